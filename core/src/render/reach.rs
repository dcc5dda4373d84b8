//! How an application is reached: Services and Ingresses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_crds::{Application, Endpoint, Protocol, SecurityProfile};

use super::Manifest;
use super::manifest::unless_empty;
use super::workload::selector;
use crate::names;

/// The Service of an endpoint.
pub(super) fn service(
    application: &Application,
    endpoint: &Endpoint,
    namespace: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Manifest {
    let pods = match &endpoint.component {
        Some(component) => json!(selector(name, component)),
        None => json!(endpoint.selector),
    };
    let body = json!({ "spec": {
        "type": "ClusterIP",
        "selector": pods,
        "ports": [{
            "name": endpoint.name,
            "port": endpoint.port,
            "protocol": protocol(application, endpoint),
            "targetPort": endpoint.port,
        }],
    } });
    Manifest::new("v1", "Service", Some(namespace), &names::service(name, &endpoint.name), labels, body)
}

/// UDP where the component says so of the port and of no TCP port with the same number.
fn protocol(application: &Application, endpoint: &Endpoint) -> Protocol {
    let components = application.spec.components.iter().flatten();
    let mut protocols = components
        .filter(|component| Some(&component.name) == endpoint.component.as_ref())
        .flat_map(|component| &component.ports)
        .filter(|port| port.port == endpoint.port)
        .map(|port| port.protocol)
        .peekable();
    if protocols.peek().is_some() && protocols.all(|protocol| protocol == Protocol::Udp) {
        Protocol::Udp
    } else {
        Protocol::Tcp
    }
}

/// The Ingress of an endpoint with host names.
pub(super) fn ingress(
    endpoint: &Endpoint,
    profile: &SecurityProfile,
    namespace: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Manifest {
    let object = names::service(name, &endpoint.name);
    let hosts: BTreeSet<&String> = endpoint.hosts.iter().collect();
    let rules: Vec<Value> = hosts
        .iter()
        .map(|host| {
            json!({ "host": host, "http": { "paths": [{
                "path": endpoint.path,
                "pathType": "Prefix",
                "backend": { "service": { "name": object, "port": { "number": endpoint.port } } },
            }] } })
        })
        .collect();
    let tls = endpoint.tls_secret.iter().map(|secret| json!({ "hosts": hosts, "secretName": secret })).collect();
    let body = json!({ "spec": {
        "ingressClassName": profile.spec.ingress_class,
        "rules": rules,
        "tls": unless_empty(tls),
    } });
    Manifest::new("networking.k8s.io/v1", "Ingress", Some(namespace), &object, labels, body)
}
