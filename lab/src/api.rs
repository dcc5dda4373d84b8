//! The agencies' API: a replica at each site, the issuer of tokens at the witness, and how both are reached from the host.

use crate::layout::Layout;
use crate::people::{PEOPLE, Person, ROLES};
use crate::plan::{Place, Plan, WITNESS};
use crate::process::Program;
use crate::programs::Programs;
use crate::site::Setting;
use kube::{Client, Config};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the programs are called in their places.
pub const API: &str = "api";
/// The issuer of tokens, at the witness.
pub const ISSUER: &str = "issuer";
/// For whom the issuer's tokens are.
const AUDIENCE: &str = "tandem-api";
/// The port of both.
pub const PORT: u16 = 8_443;

/// How often it is looked whether a program answers, and how long one answer may take.
const LOOK: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_secs(2);

/// Where the host reaches the API of each site and the issuer, by place and program such as `dc-a/api`; what has no port is left
/// out.
#[must_use]
pub fn addresses(plan: &Plan, ports: &BTreeMap<String, u16>) -> BTreeMap<String, String> {
    programs(plan)
        .into_iter()
        .filter_map(|name| ports.get(&name).map(|port| format!("https://127.0.0.1:{port}")).map(|at| (name, at)))
        .collect()
}

/// The API's replicas and the issuer, by place and program.
#[must_use]
pub fn programs(plan: &Plan) -> Vec<String> {
    let replicas = plan.sites.iter().map(|site| format!("{site}/{API}"));
    replicas.chain([format!("{WITNESS}/{ISSUER}")]).collect()
}

/// The issuer's address as tokens have it: the one that the APIs know. The host reaches it over a forward.
fn issuer_url(plan: &Plan) -> String {
    plan.place(WITNESS).map(|place| format!("https://{}:{PORT}", place.issuer())).unwrap_or_default()
}

/// A site's replica. Writes the configuration that it reads; `reached` is what [`addresses`] gives.
///
/// # Errors
/// When the file cannot be written.
pub fn replica(
    plan: &Plan,
    layout: &Layout,
    programs: &Programs,
    place: &Place,
    reached: &BTreeMap<String, String>,
    settings: &[Setting],
) -> io::Result<Program> {
    let path = layout.place(&place.name).join("api.yaml");
    let mut config = config(plan, layout, place, reached);
    for setting in settings.iter().filter_map(Setting::of_api) {
        setting.put(&mut config);
    }
    fs::write(&path, serde_yaml::to_string(&config).map_err(io::Error::other)?)?;
    Ok(Program {
        place: place.name.clone(),
        name: API.to_owned(),
        executable: programs.own.join("tandem-api"),
        arguments: vec![format!("--config={}", path.display())],
        run_as: None,
    })
}

fn config(plan: &Plan, layout: &Layout, place: &Place, reached: &BTreeMap<String, String>) -> Value {
    let pki = layout.pki(&place.name);
    let file = |name: &str| pki.join(name).display().to_string();
    // Whoever has to write elsewhere is told an address that can be reached from where people are, which is the host.
    let addresses: BTreeMap<&String, &String> =
        plan.sites.iter().filter_map(|site| Some((site, reached.get(&format!("{site}/{API}"))?))).collect();
    let roles: BTreeMap<&str, &str> = ROLES.into_iter().map(|role| (role, role)).collect();
    json!({
        "site": place.name,
        "kubeconfig": layout.kubeconfig(&place.name, "api").display().to_string(),
        "arbiter": {
            "endpoints": plan.arbiter_endpoints_from(place),
            "caFile": file("arbiter-ca.crt"),
            "certFile": file("arbiter-api.crt"),
            "keyFile": file("arbiter-api.key"),
        },
        "addresses": addresses,
        "listen": format!("{}:{PORT}", place.api()),
        "tls": {"certFile": file("api.crt"), "keyFile": file("api.key")},
        "clientCertificates": {"caFile": file("people-ca.crt")},
        "oidc": {
            "issuer": issuer_url(plan),
            "audience": AUDIENCE,
            "caFile": file("api-ca.crt"),
            "algorithms": ["ES256"],
            "roles": roles,
        },
        "logFormat": "json",
    })
}

/// The issuer, with the people that it knows.
///
/// # Errors
/// When the people's file cannot be written.
pub fn issuer(plan: &Plan, layout: &Layout, programs: &Programs, place: &Place) -> io::Result<Program> {
    let people = layout.place(&place.name).join("people.yaml");
    let told: Vec<Value> = PEOPLE.iter().map(Person::for_issuer).collect();
    fs::write(&people, serde_yaml::to_string(&told).map_err(io::Error::other)?)?;
    let pki = layout.pki(&place.name);
    let file = |name: &str| pki.join(name).display().to_string();
    Ok(Program {
        place: place.name.clone(),
        name: ISSUER.to_owned(),
        executable: programs.own.join("tandem-issuer"),
        arguments: vec![
            format!("--issuer={}", issuer_url(plan)),
            format!("--audience={AUDIENCE}"),
            format!("--listen={}:{PORT}", place.issuer()),
            format!("--cert={}", file("issuer.crt")),
            format!("--key={}", file("issuer.key")),
            format!("--client-ca={}", file("people-ca.crt")),
            format!("--people={}", people.display()),
        ],
        run_as: None,
    })
}

/// The path at which a program says that it is ready.
#[must_use]
pub fn ready_path(program: &str) -> &'static str {
    // The issuer reads nothing: once it answers, it is ready.
    if program.ends_with(API) { "/readyz" } else { "/keys" }
}

/// Waits until a program answers with success; says whether it did before the deadline.
pub async fn wait(address: &str, path: &str, authority: &Path, deadline: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < deadline {
        if answers(address, path, authority).await {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

async fn answers(address: &str, path: &str, authority: &Path) -> bool {
    let Ok(address) = address.parse() else { return false };
    let mut config = Config::new(address);
    config.root_cert_file = Some(authority.to_owned());
    config.default_retry = false;
    for limit in [&mut config.connect_timeout, &mut config.read_timeout, &mut config.write_timeout] {
        *limit = Some(ANSWER);
    }
    let (Ok(client), Ok(request)) = (Client::try_from(config), http::Request::get(path).body(Vec::new())) else {
        return false;
    };
    client.request_text(request).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::new("t", "10.90", "dc-a,dc-b").unwrap()
    }

    fn ports() -> BTreeMap<String, u16> {
        let named = [("dc-a/api", 4001), ("dc-b/api", 4002), ("witness/issuer", 4003), ("dc-a/hook", 4004)];
        named.into_iter().map(|(name, port)| (name.to_owned(), port)).collect()
    }

    #[test]
    fn only_the_api_and_its_issuer_are_among_what_people_reach() {
        let reached = addresses(&plan(), &ports());
        let named: Vec<&str> = reached.keys().map(String::as_str).collect();
        assert_eq!(named, ["dc-a/api", "dc-b/api", "witness/issuer"]);
        assert_eq!(reached["dc-b/api"], "https://127.0.0.1:4002");
        assert!(addresses(&plan(), &BTreeMap::new()).is_empty(), "a lab without it");
        assert_eq!((ready_path("dc-a/api"), ready_path("witness/issuer")), ("/readyz", "/keys"));
    }

    #[test]
    fn a_replica_knows_both_sites_addresses_and_its_own_arbiter_user() {
        let (plan, layout) = (plan(), Layout { dir: "/lab".into() });
        let place = plan.place("dc-b").unwrap();
        let config = config(&plan, &layout, &place, &addresses(&plan, &ports()));
        assert_eq!(config["addresses"], json!({"dc-a": "https://127.0.0.1:4001", "dc-b": "https://127.0.0.1:4002"}));
        assert_eq!(config["arbiter"]["endpoints"][0], "https://10.90.64.4:2379", "the one nearby first");
        assert_eq!(config["arbiter"]["certFile"], "/lab/dc-b/pki/arbiter-api.crt");
        assert_eq!(config["oidc"]["issuer"], "https://10.90.128.9:8443");
        assert_eq!(config["listen"], "10.90.64.8:8443");
        let (usual, other): (Setting, Setting) =
            ("heartbeatSeconds=1".parse().unwrap(), "api.limits.client.perSecond=7".parse().unwrap());
        assert_eq!(usual.of_api(), None);
        let mut config = config;
        other.of_api().unwrap().put(&mut config);
        assert_eq!(config["limits"], json!({"client": {"perSecond": 7}}));
    }
}
