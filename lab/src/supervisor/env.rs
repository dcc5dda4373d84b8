//! What a shell needs to work with the lab.

use super::{Settings, Supervisor, lock};
use crate::api;
use crate::entry::{self, Entry};
use crate::layout::Layout;
use crate::people::{PEOPLE, Person};
use crate::pki;
use crate::plan::WITNESS;
use std::collections::BTreeMap;
use std::fs;

impl Supervisor {
    /// Writes the file that a shell sources.
    pub(super) fn write_env(&self) -> std::io::Result<()> {
        let Settings { plan, layout, programs, .. } = &self.settings;
        let ports = lock(&self.state).ports.clone();
        let arbiter: Vec<String> = plan
            .places()
            .iter()
            .filter_map(|place| ports.get(&format!("{}/arbiter", place.name)))
            .map(|port| format!("https://127.0.0.1:{port}"))
            .collect();
        let dir = layout.dir.display();
        let certificates = layout.pki(WITNESS);
        let places: Vec<String> = plan.places().into_iter().map(|place| place.name).collect();
        let text = format!(
            "# To be sourced: . {dir}/env
export PATH=\"{own}:$PATH\"
# Contexts: {contexts}; the first is the current one.
export KUBECONFIG=\"{dir}/kubeconfig\"
# The lab that `tandem lab` speaks to, from any folder.
export TANDEM_LAB_DIR=\"{dir}\"
# What `tandem arbiter` reads: the members ({members}), and one of the two people who look after them, {first}. The other
# one is {second}, beside it; and the root, whom `tandem arbiter replace` needs:
#   tandem arbiter replace MEMBER --cert=$TANDEM_ARBITER_ROOT_CERT --key=$TANDEM_ARBITER_ROOT_KEY
# For a look into the arbiter:
#   ETCDCTL_API=3 etcdctl --endpoints=$TANDEM_ARBITER_ENDPOINTS --cacert=$TANDEM_ARBITER_CA \\
#     --cert=$TANDEM_ARBITER_CERT --key=$TANDEM_ARBITER_KEY get --prefix --keys-only /tandem/v1/
export TANDEM_ARBITER_ENDPOINTS=\"{endpoints}\"
export TANDEM_ARBITER_CA=\"{pki}/arbiter-ca.crt\"
export TANDEM_ARBITER_CERT=\"{pki}/{first}.crt\"
export TANDEM_ARBITER_KEY=\"{pki}/{first}.key\"
export TANDEM_ARBITER_ROOT_CERT=\"{pki}/arbiter-root.crt\"
export TANDEM_ARBITER_ROOT_KEY=\"{pki}/arbiter-root.key\"
",
            first = pki::ARBITER_ADMINS[0],
            second = pki::ARBITER_ADMINS[1],
            own = programs.own.display(),
            contexts = plan.sites.join(" and "),
            members = places.join(", "),
            endpoints = arbiter.join(","),
            pki = certificates.display(),
        );
        let reached = api::addresses(plan, &ports);
        fs::write(
            layout.env(),
            text + &of_api(layout, &plan.sites, &reached) + &of_entries(&self.settings.entries, &ports),
        )
    }
}

/// What `curl` needs for the agencies' API; nothing where there is none.
fn of_api(layout: &Layout, sites: &[String], reached: &BTreeMap<String, String>) -> String {
    let at = |place: &str, program: &str| reached.get(&format!("{place}/{program}"));
    let first = sites.first().map(String::as_str).unwrap_or_default();
    let (Some(api), Some(issuer)) = (at(first, api::API), at(WITNESS, api::ISSUER)) else { return String::new() };
    let others: Vec<String> = sites
        .iter()
        .skip(1)
        .filter_map(|site| at(site, api::API).map(|address| format!("; the one of {site}: {address}")))
        .collect();
    let people: Vec<String> = PEOPLE.iter().map(Person::shown).collect();
    format!(
        "# The agencies' API of {first}{others}. Who may ask it, by file in TANDEM_PEOPLE:
#   {people}
#   curl --cacert $TANDEM_API_CA --cert $TANDEM_PEOPLE/li.crt --key $TANDEM_PEOPLE/li.key $TANDEM_API/v1/me
# A token for whoever's certificate is shown:
#   curl --cacert $TANDEM_API_CA --cert $TANDEM_PEOPLE/li.crt --key $TANDEM_PEOPLE/li.key \\
#     -d grant_type=client_credentials $TANDEM_ISSUER/token
export TANDEM_API=\"{api}\"
export TANDEM_API_CA=\"{folder}/api-ca.crt\"
export TANDEM_PEOPLE=\"{folder}\"
export TANDEM_ISSUER=\"{issuer}\"
",
        others = others.concat(),
        people = people.join("\n#   "),
        folder = layout.people().display(),
    )
}

/// Where the city's entry is for each group that has one.
fn of_entries(entries: &[Entry], ports: &BTreeMap<String, u16>) -> String {
    let line = |entry: &Entry| {
        let port = ports.get(&entry::port_name(&entry.group))?;
        let variable = entry.group.to_uppercase().replace('-', "_");
        Some(format!(
            "# The city's entry to {service} at whichever site holds {group}:
export TANDEM_ENTRY_{variable}=\"http://127.0.0.1:{port}\"
",
            service = entry.service,
            group = entry.group,
        ))
    };
    entries.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_in_the_environment_by_its_group() {
        let entries = [crate::ledger::entry("service-hall"), crate::ledger::entry("data-hub")];
        let text = of_entries(&entries, &BTreeMap::from([("entry/service-hall".to_owned(), 7)]));
        assert!(text.contains("export TANDEM_ENTRY_SERVICE_HALL=\"http://127.0.0.1:7\"\n"), "{text}");
        assert!(text.contains("city-service-hall/ledger-http:8080") && !text.contains("DATA_HUB"), "{text}");
    }

    #[test]
    fn the_api_is_in_the_environment_where_it_runs() {
        let layout = Layout { dir: "/lab".into() };
        let sites = ["dc-a".to_owned(), "dc-b".to_owned()];
        let named = [("dc-a/api", "https://127.0.0.1:1"), ("dc-b/api", "https://127.0.0.1:2")];
        let issuer = [("witness/issuer", "https://127.0.0.1:3")];
        let reached = named.into_iter().chain(issuer).map(|(name, at)| (name.to_owned(), at.to_owned())).collect();
        let text = of_api(&layout, &sites, &reached);
        for line in [
            "export TANDEM_API=\"https://127.0.0.1:1\"\n",
            "export TANDEM_API_CA=\"/lab/people/api-ca.crt\"\n",
            "export TANDEM_PEOPLE=\"/lab/people\"\n",
            "export TANDEM_ISSUER=\"https://127.0.0.1:3\"\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("the one of dc-b: https://127.0.0.1:2"), "{text}");
        assert_eq!(of_api(&layout, &sites, &BTreeMap::new()), "");
    }
}
