//! The city's entry: HAProxy where the places meet, before both sites, with the configuration that `tandem balancer haproxy` writes.
//!
//! It is in no place, so that it survives the loss of either site. A site has no gateway in the lab: its node leads one port of its own
//! address to a Service, for each entry, as a gateway would.

use crate::command::run;
use crate::forward::Forward;
use crate::layout::Layout;
use crate::node::Way;
use crate::plan::{METRO, Place, Plan};
use crate::process::Program;
use crate::programs::{Programs, ProgramsError, which};
use crate::site::{PlacePrograms, Setting};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

/// What the program is called.
pub const ENTRY: &str = "entry";
/// The first entry's port, at the entry itself and at each site; the others follow.
const FIRST_PORT: u16 = 30_800;

/// A failover group, and the Service that is reached through the entry while the group's site is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The group.
    pub group: String,
    /// The Service, as `NAMESPACE/NAME:PORT`.
    pub service: String,
}

impl std::str::FromStr for Entry {
    type Err = String;

    /// Reads `GROUP=NAMESPACE/SERVICE:PORT`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!("'{text}' is no entry; write GROUP=NAMESPACE/SERVICE:PORT, such as hall=hall-prod/ledger-http:8080")
        };
        let (group, service) = text.split_once('=').filter(|(group, _)| !group.is_empty()).ok_or_else(wrong)?;
        format!("{}:{FIRST_PORT}={service}", Ipv4Addr::LOCALHOST).parse::<Way>().map_err(|_| wrong())?;
        Ok(Self { group: group.to_owned(), service: service.to_owned() })
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.group, self.service)
    }
}

/// Each entry with its port.
fn numbered(entries: &[Entry]) -> impl Iterator<Item = (u16, &Entry)> {
    (FIRST_PORT..).zip(entries)
}

/// What the host's ports are called that lead to an entry, and past it to the Service at each site.
#[must_use]
pub fn port_names(entries: &[Entry], plan: &Plan) -> Vec<String> {
    let past = |entry: &Entry| plan.sites.iter().map(|site| past(site, entry)).collect::<Vec<_>>();
    entries.iter().flat_map(|entry| [vec![port_name(&entry.group)], past(entry)].concat()).collect()
}

/// What the host's port is called that leads to the entry of a group.
#[must_use]
pub fn port_name(group: &str) -> String {
    format!("{ENTRY}/{group}")
}

fn past(site: &str, entry: &Entry) -> String {
    format!("{site}/{ENTRY}-{}", entry.group)
}

/// What the host reaches of a site past the entry, as whoever is inside does, by the ports' names.
#[must_use]
pub fn inside(entries: &[Entry], place: &Place) -> Vec<(String, SocketAddrV4)> {
    let lead = |(port, entry)| (past(&place.name, entry), SocketAddrV4::new(place.control_plane(), port));
    numbered(entries).map(lead).collect()
}

/// The host's ways to the entries.
#[must_use]
pub fn forwards(entries: &[Entry], ports: &BTreeMap<String, u16>) -> Vec<Forward> {
    let lead = |(port, entry): (u16, &Entry)| {
        let own = ports.get(&port_name(&entry.group))?;
        Some(Forward { port: *own, target: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port) })
    };
    numbered(entries).filter_map(lead).collect()
}

/// Has a site's node lead the entries' ports to their Services.
pub fn lead_in(site: &mut PlacePrograms, place: &Place, entries: &[Entry]) {
    for node in site.control.iter_mut().filter(|program| program.name == "node") {
        for (port, entry) in numbered(entries) {
            node.arguments.push(format!("--way={}:{port}={}", place.control_plane(), entry.service));
        }
    }
}

/// The heartbeat of the lab's operators, which settings may change.
fn heartbeat(settings: &[Setting]) -> serde_json::Value {
    let mut config = json!({"heartbeatSeconds": 2});
    for setting in settings.iter().filter(|setting| setting.of_api().is_none()) {
        setting.put(&mut config);
    }
    config["heartbeatSeconds"].clone()
}

fn description(plan: &Plan, layout: &Layout, entries: &[Entry], settings: &[Setting]) -> serde_json::Value {
    let sites: Vec<Place> = plan.places().into_iter().filter(|place| plan.sites.contains(&place.name)).collect();
    let gates = |place: &Place| [0, 1].map(|replica| format!("{}:8443", place.operator(replica)));
    let described = sites.iter().map(|place| {
        let authority = layout.pki(&place.name).join("ca.crt").display().to_string();
        json!({"name": place.name, "gates": gates(place), "caFile": authority, "gateName": "localhost"})
    });
    let entries = numbered(entries).map(|(port, entry)| {
        let endpoint = |place: &Place| (place.name.clone(), format!("{}:{port}", place.control_plane()));
        let endpoints: BTreeMap<String, String> = sites.iter().map(endpoint).collect();
        json!({"group": entry.group, "bind": format!("0.0.0.0:{port}"), "endpoints": endpoints})
    });
    json!({
        "heartbeatSeconds": heartbeat(settings),
        "sites": described.collect::<Vec<_>>(),
        "entries": entries.collect::<Vec<_>>(),
    })
}

/// The entry's program. Has its configuration written by the command line, as an operator of a real one would.
///
/// # Errors
/// When HAProxy is not installed, a file cannot be written, or the description is refused.
pub fn prepare(
    plan: &Plan,
    layout: &Layout,
    programs: &Programs,
    entries: &[Entry],
    settings: &[Setting],
) -> io::Result<Program> {
    let missing = || io::Error::other(ProgramsError::Tool { program: "haproxy", package: "haproxy" });
    let executable = which("haproxy").ok_or_else(missing)?;
    let folder = layout.place(METRO);
    fs::create_dir_all(&folder)?;
    let (file, config) = (folder.join("balancer.yaml"), folder.join("haproxy.cfg"));
    let described = description(plan, layout, entries, settings);
    fs::write(&file, serde_yaml::to_string(&described).map_err(io::Error::other)?)?;
    let (file, config) = (file.display().to_string(), config.display().to_string());
    let tandem = programs.own.join("tandem").display().to_string();
    run(&tandem, &["balancer", "haproxy", "--file", &file, "--out", &config]).map_err(io::Error::other)?;
    Ok(Program {
        place: METRO.to_owned(),
        name: ENTRY.to_owned(),
        executable,
        arguments: vec!["-db".to_owned(), "-f".to_owned(), config],
        run_as: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        vec!["hall=hall-prod/ledger-http:8080".parse().unwrap(), "hub=hub-prod/exchange:80".parse().unwrap()]
    }

    #[test]
    fn an_entry_names_a_group_and_a_service() {
        let entry = &entries()[0];
        assert_eq!((entry.group.as_str(), entry.service.as_str()), ("hall", "hall-prod/ledger-http:8080"));
        assert_eq!(entry.to_string().parse::<Entry>().unwrap(), *entry);
        for wrong in ["hall", "=a/b:1", "hall=b:1", "hall=a/b", "hall=a/b:0", "hall=a/b:x", "hall=/b:1"] {
            assert!(wrong.parse::<Entry>().unwrap_err().contains("write GROUP="), "{wrong}");
        }
    }

    #[test]
    fn each_entry_has_a_port_of_its_own_that_leads_to_its_service() {
        let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
        let layout = Layout { dir: "/lab".into() };
        let settings = ["heartbeatSeconds=1".parse().unwrap(), "api.limits.client.perSecond=7".parse().unwrap()];
        let found = description(&plan, &layout, &entries(), &settings);
        assert_eq!(found["heartbeatSeconds"], 1);
        assert_eq!(found["sites"][1]["gates"], json!(["10.90.64.5:8443", "10.90.64.6:8443"]));
        assert_eq!(found["sites"][1]["caFile"], "/lab/dc-b/pki/ca.crt");
        assert_eq!(found["entries"][1]["bind"], "0.0.0.0:30801");
        assert_eq!(found["entries"][1]["endpoints"], json!({"dc-a": "10.90.0.3:30801", "dc-b": "10.90.64.3:30801"}));
        assert_eq!(port_names(&entries()[1..], &plan), ["entry/hub", "dc-a/entry-hub", "dc-b/entry-hub"]);
        let inside = inside(&entries(), &plan.places()[1]);
        assert_eq!((inside[1].0.as_str(), inside[1].1.to_string().as_str()), ("dc-b/entry-hub", "10.90.64.3:30801"));
        let ports = BTreeMap::from([("entry/hub".to_owned(), 4_711)]);
        let forwards = forwards(&entries(), &ports);
        assert_eq!(forwards, [Forward { port: 4_711, target: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 30_801) }]);
    }
}
