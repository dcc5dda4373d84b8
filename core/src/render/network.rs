//! Who may talk to whom. Everything is denied in an environment; what is allowed adds up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_crds::{Application, ApplicationRef, SecurityProfile};

use super::Manifest;
use super::manifest::unless_empty;
use crate::names;

const API: &str = "networking.k8s.io/v1";

fn policy(namespace: &str, name: &str, labels: &BTreeMap<String, String>, spec: &Value) -> Manifest {
    Manifest::new(API, "NetworkPolicy", Some(namespace), name, labels, json!({ "spec": spec }))
}

/// The policies that every pod of an environment is under. The namespaces of DNS and gateway are known by their labels,
/// since an old cluster does not label namespaces with their names.
pub(super) fn environment(
    namespace: &str,
    labels: &BTreeMap<String, String>,
    profile: &SecurityProfile,
) -> Vec<Manifest> {
    let deny = json!({
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        // Written although empty: server-side apply then takes out rules that somebody adds.
        "ingress": [],
        "egress": [],
    });
    let dns = json!({
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [to_dns()],
    });
    let mut policies = vec![
        policy(namespace, "tandem-default-deny", labels, &deny),
        policy(namespace, "tandem-allow-dns", labels, &dns),
    ];
    if !profile.spec.egress.is_empty() {
        let rules: Vec<Value> = profile
            .spec
            .egress
            .iter()
            .map(|rule| {
                let ports: BTreeSet<i32> = rule.ports.iter().copied().collect();
                let ports = ports.into_iter().map(|port| json!({ "port": port, "protocol": "TCP" })).collect();
                json!({ "to": [{ "ipBlock": { "cidr": rule.cidr } }], "ports": unless_empty(ports) })
            })
            .collect();
        // Policies add up: what a drill's pods may not do must not be allowed to all.
        let pods = json!({ "matchExpressions": [{ "key": names::LABEL_DRILL, "operator": "DoesNotExist" }] });
        let egress = json!({ "podSelector": pods, "policyTypes": ["Egress"], "egress": rules });
        policies.push(policy(namespace, names::ALLOW_EGRESS, labels, &egress));
    }
    policies
}

/// Whether a policy, as the cluster has it, is not for the pods of drills: what it allows, it does not allow clones.
#[must_use]
pub fn spares_clones(policy: &Value) -> bool {
    let expressions = policy.pointer("/spec/podSelector/matchExpressions").and_then(Value::as_array);
    expressions.into_iter().flatten().any(|of| of["key"] == names::LABEL_DRILL && of["operator"] == "DoesNotExist")
}

/// To ask the cluster's DNS.
fn to_dns() -> Value {
    json!({
        "to": [{ "namespaceSelector": { "matchLabels": { names::LABEL_ROLE: names::ROLE_DNS } } }],
        "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }],
    })
}

/// The policy of a drill's clones in one environment: they talk among each other, wherever they are, and to DNS. What every pod of
/// an environment is under denies them the rest.
pub(super) fn drill(namespace: &str, drill: &str, labels: &BTreeMap<String, String>) -> Manifest {
    let clones = json!({ "matchLabels": { names::LABEL_DRILL: drill } });
    let each_other = json!({ "namespaceSelector": {}, "podSelector": clones });
    let spec = json!({
        "podSelector": clones,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{ "from": [each_other] }],
        "egress": [{ "to": [each_other] }, to_dns()],
    });
    policy(namespace, &names::clone_of(drill, "isolation"), labels, &spec)
}

/// The policies of an application: one for its own pods, which bear its label, and one for each endpoint whose pods are
/// an adopted workload's, which bear labels of their own.
pub(super) fn application(
    application: &Application,
    namespace: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Vec<Manifest> {
    let own = json!({ "matchLabels": { names::LABEL_APPLICATION: name } });
    let adopted: Vec<(&str, Value)> = application
        .spec
        .endpoints
        .iter()
        .flatten()
        .filter(|endpoint| endpoint.component.is_none() && !endpoint.selector.is_empty())
        .map(|endpoint| (endpoint.name.as_str(), json!({ "matchLabels": endpoint.selector })))
        .collect();
    let pods = std::iter::once(&own).chain(adopted.iter().map(|(_, pods)| pods));
    let siblings: Vec<Value> = pods.map(|pods| json!({ "podSelector": pods })).collect();
    let access = application.spec.access.clone().unwrap_or_default();
    let callers: Vec<Value> = siblings.iter().cloned().chain(peers(&access.from, namespace)).collect();
    let called: Vec<Value> = siblings.into_iter().chain(peers(&access.to, namespace)).collect();
    let write = |object: &str, pods: &Value, gateway_ports: BTreeSet<i32>| {
        let mut ingress = vec![json!({ "from": callers })];
        if !gateway_ports.is_empty() {
            // The gateway speaks TCP to the pods.
            let ports: Vec<Value> =
                gateway_ports.into_iter().map(|port| json!({ "port": port, "protocol": "TCP" })).collect();
            ingress.push(json!({
                "from": [{ "namespaceSelector": { "matchLabels": { names::LABEL_ROLE: names::ROLE_GATEWAY } } }],
                "ports": ports,
            }));
        }
        let spec = json!({
            "podSelector": pods,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": [{ "to": called }],
        });
        policy(namespace, object, labels, &spec)
    };
    let public = || application.spec.endpoints.iter().flatten().filter(|endpoint| !endpoint.hosts.is_empty());
    let mut policies =
        vec![write(&names::application_policy(name), &own, public().map(|endpoint| endpoint.port).collect())];
    policies.extend(adopted.iter().map(|(endpoint, pods)| {
        let ports = public().filter(|candidate| candidate.name == *endpoint).map(|candidate| candidate.port).collect();
        write(&names::adopted_policy(name, endpoint), pods, ports)
    }));
    policies
}

/// Other applications' pods, sorted, each once.
fn peers(others: &[ApplicationRef], namespace: &str) -> Vec<Value> {
    let others: BTreeSet<(&str, &str)> = others
        .iter()
        .map(|other| (other.environment.as_deref().unwrap_or(namespace), other.application.as_str()))
        .collect();
    others
        .into_iter()
        .map(|(environment, application)| {
            json!({
                "namespaceSelector": { "matchLabels": { names::LABEL_ENVIRONMENT: environment } },
                "podSelector": { "matchLabels": { names::LABEL_APPLICATION: application } },
            })
        })
        .collect()
}
