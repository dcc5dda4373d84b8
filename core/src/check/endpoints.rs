//! Endpoints: who has a host name, and what an API server would refuse once they are rendered.

use std::collections::BTreeMap;

use kube::ResourceExt;
use tandem_crds::Endpoint;
use tandem_crds::status::Reason;

use super::Problem;
use super::application::Subject;
use super::fields::{is_label_key, is_label_value};
use crate::names;

pub(super) fn check(subject: &Subject<'_>, problems: &mut Vec<Problem>) {
    let endpoints = subject.application.spec.endpoints.as_deref().unwrap_or_default();
    // A Service's name is an RFC 1035 label until 1.33.
    if !endpoints.is_empty() && subject.name.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!(
            "'{}' begins with a digit, but an application with endpoints must begin with a letter: its name begins those of \
             its Services",
            subject.name
        );
        problems.push(Problem::new(Reason::Invalid, "metadata.name", message));
    }
    let mut places: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for (n, endpoint) in endpoints.iter().enumerate() {
        let path = format!("spec.endpoints[{n}]");
        one(&path, endpoint, problems);
        for (m, host) in endpoint.hosts.iter().enumerate() {
            let path = format!("{path}.hosts[{m}]");
            taken(subject, &path, host, problems);
            let place = (host.as_str(), endpoint.path.as_str());
            if let Some(before) = places.insert(place, path.clone()) {
                let message = format!(
                    "{host} with the path {} is {before} already: give the endpoint another path or host name",
                    endpoint.path
                );
                problems.push(Problem::new(Reason::Invalid, path, message));
            }
        }
    }
    services(subject, endpoints, problems);
}

fn one(path: &str, endpoint: &Endpoint, problems: &mut Vec<Problem>) {
    if endpoint.component.is_none() && endpoint.selector.is_empty() {
        let message =
            "nothing serves the endpoint: name a component, or give the labels of the adopted workload's pods";
        problems.push(Problem::new(Reason::Invalid, format!("{path}.selector"), message));
    }
    if endpoint.component.is_some() && !endpoint.selector.is_empty() {
        let message = "a component serves the endpoint, so labels have no meaning: take one of them out";
        problems.push(Problem::new(Reason::Invalid, format!("{path}.selector"), message));
    }
    for (key, value) in &endpoint.selector {
        if !is_label_key(key) || !is_label_value(value) {
            let message = format!("'{key}: {value}' is no label: write it as it stands on the pods");
            problems.push(Problem::new(Reason::Invalid, format!("{path}.selector"), message));
        }
    }
    if endpoint.tls_secret.is_some() && endpoint.hosts.is_empty() {
        let message = "a certificate serves host names only: give host names or leave the Secret out";
        problems.push(Problem::new(Reason::Invalid, format!("{path}.tlsSecret"), message));
    }
    let climbs = endpoint.path.contains("//") || endpoint.path.split('/').any(|part| part == "." || part == "..");
    if climbs || endpoint.path.contains(char::is_whitespace) {
        let message =
            format!("'{}' is no plain path: write it like /hall, with no // and no dots alone", endpoint.path);
        problems.push(Problem::new(Reason::Invalid, format!("{path}.path"), message));
    }
}

/// Whether another application has the host name.
fn taken(subject: &Subject<'_>, path: &str, host: &str, problems: &mut Vec<Problem>) {
    let Some((namespace, name)) = subject.world.hosts.get(host) else { return };
    if (namespace.as_str(), name.as_str()) == (subject.namespace, subject.name) {
        return;
    }
    // Who asks is not told what another unit has: the same sentence goes to agencies.
    let unit = |namespace: &str| subject.world.environments.get(namespace).map(|environment| &environment.spec.unit);
    let own = unit(namespace).is_some() && unit(namespace) == unit(subject.namespace);
    let message = if own {
        format!("{host} is already the host name of {namespace}/{name}; choose another or remove it there")
    } else {
        format!("{host} is already the host name of another unit's application; choose another")
    };
    problems.push(Problem::new(Reason::HostNameTaken, path, message));
}

/// `a-b` with endpoint `c` and `a` with endpoint `b-c` would share a Service.
fn services(subject: &Subject<'_>, endpoints: &[Endpoint], problems: &mut Vec<Problem>) {
    if endpoints.is_empty() {
        return;
    }
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    for neighbour in subject.neighbours() {
        let name = neighbour.name_any();
        for endpoint in neighbour.spec.endpoints.iter().flatten() {
            services.insert(names::service(&name, &endpoint.name), name.clone());
        }
    }
    for (n, endpoint) in endpoints.iter().enumerate() {
        let service = names::service(subject.name, &endpoint.name);
        if let Some(other) = services.get(&service) {
            let message = format!(
                "the Service would be called {service}, as one of application {other} is; choose another name for the \
                 endpoint or the application"
            );
            problems.push(Problem::new(Reason::Invalid, format!("spec.endpoints[{n}].name"), message));
        }
    }
}
