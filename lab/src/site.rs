//! Which programs run in which place, and with what.

use crate::api;
use crate::flags::{self, ApiServer};
use crate::layout::Layout;
use crate::plan::{Place, Plan};
use crate::process::Program;
use crate::programs::Programs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;

/// Only writes, with who made them: what tests count, and what people ask after.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    verbs: [get, list, watch]
  - level: Metadata
";

/// The programs of a place, in the order in which they are started.
#[derive(Clone, Debug)]
pub struct PlacePrograms {
    /// The place's member of the arbiter.
    pub arbiter: Program,
    /// The site's etcd and API server; none at the witness.
    pub store: Vec<Program>,
    /// What runs on the API server: controller manager, scheduler, node.
    pub control: Vec<Program>,
    /// The operator's replicas.
    pub operators: Vec<Program>,
    /// The site's replica of the agencies' API; at the witness, the issuer of its tokens.
    pub api: Vec<Program>,
    /// A small data service and the agent beside it, where the lab has them.
    pub data: Vec<Program>,
}

/// Works out the programs of a place and writes the files that they read. `reached` is where the host reaches the API of each
/// site and the issuer; without it, there is none of them.
///
/// # Errors
/// When a file cannot be written.
pub fn prepare(
    plan: &Plan,
    layout: &Layout,
    programs: &Programs,
    place: &Place,
    operators: Option<&[Setting]>,
    data: Option<&str>,
    reached: Option<&BTreeMap<String, String>>,
) -> io::Result<PlacePrograms> {
    fs::create_dir_all(layout.place(&place.name))?;
    let arbiter = arbiter_member(plan, layout, programs, place);
    if !plan.sites.contains(&place.name) {
        let issuer = reached.map(|_| api::issuer(plan, layout, programs, place)).transpose()?;
        return Ok(PlacePrograms {
            arbiter,
            store: Vec::new(),
            control: Vec::new(),
            operators: Vec::new(),
            api: issuer.into_iter().collect(),
            data: Vec::new(),
        });
    }
    let dir = layout.place(&place.name);
    let policy = dir.join("audit-policy.yaml");
    fs::write(&policy, AUDIT_POLICY)?;
    let pki = layout.pki(&place.name).display().to_string();
    let program = |name: &str, executable: std::path::PathBuf, arguments: Vec<String>| Program {
        place: place.name.clone(),
        name: name.to_owned(),
        executable,
        arguments,
        run_as: None,
    };
    let kubeconfig = |user: &str| layout.kubeconfig(&place.name, user).display().to_string();
    let api_server = flags::api_server(
        programs.minor,
        &ApiServer {
            address: &place.control_plane().to_string(),
            etcd: &place.etcd().to_string(),
            services: &place.service_range(),
            pki: &pki,
            audit_log: &dir.join("audit.log").display().to_string(),
            audit_policy: &policy.display().to_string(),
        },
    );
    let kubernetes = |name: &str| programs.kubernetes.join(name);
    let node = vec![
        "node".to_owned(),
        format!("--kubeconfig={}", kubeconfig("node")),
        format!("--name={}", place.node()),
        format!("--site={}", place.name),
        format!("--pod-range={}", place.pod_range()),
        format!("--service-range={}", place.service_range()),
        format!("--dir={}", layout.node(&place.name).display()),
        format!("--programs={}", programs.own.display()),
        format!("--copies={}", place.program_copies().display()),
        format!("--images={}", layout.images().display()),
    ];
    let mut replicas = Vec::new();
    if let Some(settings) = operators {
        for replica in 0..2 {
            let config = operator_config(plan, layout, place, replica, settings)?;
            let name = format!("operator-{replica}");
            let arguments = vec![format!("--config={config}")];
            replicas.push(program(&name, programs.own.join("tandem-operator"), arguments));
        }
    }
    let settings = operators.unwrap_or_default();
    let api = reached.map(|reached| api::replica(plan, layout, programs, place, reached, settings)).transpose()?;
    let mut beside = Vec::new();
    if let Some(group) = data {
        Layout::private_dir(&place.memory())?;
        beside.push(program("agent", programs.own.join("tandem-agent"), agent(layout, place, group)));
        beside.push(program("hook", programs.own.join("tandem-hook"), hook(plan, layout, place, group)));
    }
    Ok(PlacePrograms {
        arbiter,
        data: beside,
        store: vec![
            program("etcd", programs.etcd.clone(), site_etcd(layout, place)),
            program("kube-apiserver", kubernetes("kube-apiserver"), api_server),
        ],
        control: vec![
            program(
                "kube-controller-manager",
                kubernetes("kube-controller-manager"),
                flags::controller_manager(programs.minor, &pki, &kubeconfig("controller-manager")),
            ),
            program(
                "kube-scheduler",
                kubernetes("kube-scheduler"),
                flags::scheduler(programs.minor, &pki, &kubeconfig("scheduler")),
            ),
            program("node", programs.own.join("tandem-lab"), node),
        ],
        operators: replicas,
        api: api.into_iter().collect(),
    })
}

fn agent(layout: &Layout, place: &Place, group: &str) -> Vec<String> {
    let memory = place.memory();
    let mut arguments = vec![
        format!("--group={group}"),
        format!("--ca-file={}", layout.pki(&place.name).join("ca.crt").display()),
        format!("--gate-file={}", memory.join("gate.json").display()),
        format!("--socket={}", memory.join("agent.sock").display()),
    ];
    arguments.extend((0..2).map(|replica| format!("--gate=https://{}:8443", place.operator(replica))));
    arguments
}

fn hook(plan: &Plan, layout: &Layout, place: &Place, group: &str) -> Vec<String> {
    let (memory, pki, address) = (place.memory(), layout.pki(&place.name), place.hook());
    let file = |name: &str| pki.join(name).display().to_string();
    let first = if plan.sites.first() == Some(&place.name) { "active" } else { "standby" };
    let other = plan.sites.iter().find(|site| **site != place.name).and_then(|site| plan.place(site));
    vec![
        format!("--group={group}"),
        format!("--folder={}", layout.place(&place.name).join("hook").display()),
        format!("--first={first}"),
        format!("--listen={address}:9443"),
        format!("--ca-file={}", file("data-ca.crt")),
        format!("--cert-file={}", file("hook.crt")),
        format!("--key-file={}", file("hook.key")),
        format!("--peer-listen={address}:9444"),
        format!("--peer=https://{}:9444", other.as_ref().unwrap_or(place).hook()),
        format!("--peer-ca-file={}", file("replication-ca.crt")),
        format!("--peer-cert-file={}", file("replication.crt")),
        format!("--peer-key-file={}", file("replication.key")),
        format!("--gate-file={}", memory.join("gate.json").display()),
        format!("--agent={}", memory.join("agent.sock").display()),
    ]
}

fn etcd_tls(pki: &str, certificate: &str, authority: &str) -> Vec<String> {
    let mut flags = Vec::new();
    for side in ["", "peer-"] {
        flags.push(format!("--{side}cert-file={pki}/{certificate}.crt"));
        flags.push(format!("--{side}key-file={pki}/{certificate}.key"));
        flags.push(format!("--{side}trusted-ca-file={pki}/{authority}.crt"));
        flags.push(format!("--{side}client-cert-auth"));
    }
    flags
}

fn site_etcd(layout: &Layout, place: &Place) -> Vec<String> {
    let pki = layout.pki(&place.name).display().to_string();
    let address = place.etcd();
    let mut flags = vec![
        format!("--name={}", place.name),
        format!("--data-dir={}", layout.place(&place.name).join("etcd").display()),
        format!("--listen-client-urls=https://{address}:2379"),
        format!("--advertise-client-urls=https://{address}:2379"),
        format!("--listen-peer-urls=https://{address}:2380"),
        format!("--initial-advertise-peer-urls=https://{address}:2380"),
        format!("--initial-cluster={}=https://{address}:2380", place.name),
        "--auto-compaction-retention=1".to_owned(),
        "--quota-backend-bytes=8589934592".to_owned(),
        "--logger=zap".to_owned(),
    ];
    flags.extend(etcd_tls(&pki, "etcd", "etcd-ca"));
    flags
}

fn arbiter_member(plan: &Plan, layout: &Layout, programs: &Programs, place: &Place) -> Program {
    let pki = layout.pki(&place.name).display().to_string();
    let address = place.arbiter();
    let mut arguments = vec![
        format!("--name={}", place.name),
        format!("--data-dir={}", layout.arbiter_data(&place.name).display()),
        format!("--listen-client-urls=https://{address}:2379"),
        format!("--advertise-client-urls=https://{address}:2379"),
        format!("--listen-peer-urls=https://{address}:2380"),
        format!("--initial-advertise-peer-urls=https://{address}:2380"),
        format!("--initial-cluster={}", plan.arbiter_peers().join(",")),
        format!("--initial-cluster-token={}-arbiter", plan.prefix),
        "--heartbeat-interval=100".to_owned(),
        "--election-timeout=500".to_owned(),
        "--pre-vote".to_owned(),
        "--auto-compaction-retention=1".to_owned(),
        "--quota-backend-bytes=8589934592".to_owned(),
        // Users are told by their certificates' names, which the gateway would hide behind its own.
        "--enable-grpc-gateway=false".to_owned(),
        "--logger=zap".to_owned(),
    ];
    arguments.extend(etcd_tls(&pki, "arbiter-member", "arbiter-ca"));
    Program {
        place: place.name.clone(),
        name: "arbiter".to_owned(),
        executable: programs.etcd.clone(),
        arguments,
        run_as: None,
    }
}

/// A setting of the operators that is to be another than the lab's usual one, or one of the API, under `api`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    path: Vec<String>,
    value: Value,
}

impl std::str::FromStr for Setting {
    type Err = String;

    /// Reads `field=value` or `field.field=value`; the value is YAML.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is no setting; write FIELD=VALUE"))?;
        let value = serde_yaml::from_str(value).map_err(|error| format!("'{text}': {error}"))?;
        Ok(Self { path: path.split('.').map(str::to_owned).collect(), value })
    }
}

impl Setting {
    /// The setting without its `api`, where it is one of the API.
    pub(crate) fn of_api(&self) -> Option<Self> {
        let (first, rest) = self.path.split_first()?;
        (first == "api").then(|| Self { path: rest.to_vec(), value: self.value.clone() })
    }

    pub(crate) fn put(&self, config: &mut Value) {
        let mut here = config;
        for field in &self.path {
            here = &mut here[field.as_str()];
        }
        here.clone_from(&self.value);
    }
}

fn operator_config(
    plan: &Plan,
    layout: &Layout,
    place: &Place,
    replica: u8,
    settings: &[Setting],
) -> io::Result<String> {
    let pins = layout.place(&place.name).join("pins");
    fs::create_dir_all(&pins)?;
    let pki = layout.pki(&place.name);
    let file = |name: &str| pki.join(name).display().to_string();
    let mut config = json!({
        "site": place.name,
        "replica": format!("operator-{replica}"),
        "sites": plan.sites,
        "preferredAuthority": plan.sites.first(),
        "kubeconfig": layout.kubeconfig(&place.name, "operator").display().to_string(),
        "arbiter": {
            "endpoints": plan.arbiter_endpoints_from(place),
            "caFile": file("arbiter-ca.crt"),
            "certFile": file("arbiter-client.crt"),
            "keyFile": file("arbiter-client.key"),
        },
        "heartbeatSeconds": 2,
        "pinsFile": pins.join(format!("operator-{replica}.json")).display().to_string(),
        "listen": format!("{}:8443", place.operator(replica)),
        "tls": {
            "certFile": file(&format!("operator-{replica}.crt")),
            "keyFile": file(&format!("operator-{replica}.key")),
        },
        // Short for people, and long enough for a test to see that a deletion waits.
        "deletionGraceSeconds": 10,
        "logFormat": "json",
    });
    for setting in settings.iter().filter(|setting| setting.of_api().is_none()) {
        setting.put(&mut config);
    }
    let path = layout.place(&place.name).join(format!("operator-{replica}.yaml"));
    fs::write(&path, serde_yaml::to_string(&config).map_err(io::Error::other)?)?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_reaches_the_field_that_it_names() {
        let mut config = json!({"heartbeatSeconds": 2});
        for text in ["heartbeatSeconds=1", "failover.platformMode=Automatic", "failover.dwellSeconds=0"] {
            text.parse::<Setting>().unwrap().put(&mut config);
        }
        let wanted = json!({"heartbeatSeconds": 1, "failover": {"platformMode": "Automatic", "dwellSeconds": 0}});
        assert_eq!(config, wanted);
        assert!("heartbeatSeconds".parse::<Setting>().is_err());
    }
}
