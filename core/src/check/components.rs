//! Components and adopted workloads: what an API server would refuse once they are rendered.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use tandem_crds::status::Reason;
use tandem_crds::{AdoptedKind, Component};

use super::Problem;
use super::application::Subject;
use super::fields::repeated;
use crate::names;

/// What fits into a ConfigMap, in bytes.
const MOST_CONFIG: usize = 1 << 20;

pub(super) fn check(subject: &Subject<'_>, problems: &mut Vec<Problem>) {
    let components = subject.application.spec.components.as_deref().unwrap_or_default();
    for (n, component) in components.iter().enumerate() {
        let path = format!("spec.components[{n}]");
        image(&path, component, problems);
        ports(&path, component, problems);
        environment(&path, component, problems);
        config(&path, component, problems);
    }
    names_taken(subject, components, problems);
    adopted(subject, problems);
}

fn image(path: &str, component: &Component, problems: &mut Vec<Problem>) {
    let image = &component.image;
    if image.trim() != image || image.contains(char::is_whitespace) || image.contains("://") {
        let message =
            format!("'{image}' is no image: write <registry>/<path>:<tag> or <registry>/<path>@sha256:<digest>");
        problems.push(Problem::new(Reason::Invalid, format!("{path}.image"), message));
    }
}

fn ports(path: &str, component: &Component, problems: &mut Vec<Problem>) {
    for (n, port) in component.ports.iter().enumerate() {
        // A port's name is an IANA service name (RFC 6335): a DNS label is not enough.
        let has_letter = port.name.bytes().any(|b| b.is_ascii_lowercase());
        if !has_letter || port.name.contains("--") {
            let message =
                format!("'{}' cannot be a port's name: it needs a letter and no two dashes in a row", port.name);
            problems.push(Problem::new(Reason::Invalid, format!("{path}.ports[{n}].name"), message));
        }
    }
    for (n, before) in repeated(&component.ports, |port| port.name.clone()) {
        let name = &component.ports[n].name;
        let message = format!("'{name}' is the name of ports[{before}] already: give each port a name of its own");
        problems.push(Problem::new(Reason::Invalid, format!("{path}.ports[{n}].name"), message));
    }
    for (n, before) in repeated(&component.ports, |port| (port.port, port.protocol)) {
        let number = component.ports[n].port;
        let message = format!("{number} is given in ports[{before}] already: take one of them out");
        problems.push(Problem::new(Reason::Invalid, format!("{path}.ports[{n}].port"), message));
    }
}

fn environment(path: &str, component: &Component, problems: &mut Vec<Problem>) {
    for (n, before) in repeated(&component.env, |var| var.name.clone()) {
        let name = &component.env[n].name;
        let message = format!("{name} is set in env[{before}] already: take one of them out");
        problems.push(Problem::new(Reason::Invalid, format!("{path}.env[{n}].name"), message));
    }
}

fn config(path: &str, component: &Component, problems: &mut Vec<Problem>) {
    for key in component.config.keys() {
        let good = (1..=253).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && key != "."
            && !key.starts_with("..");
        if !good {
            let message = format!(
                "'{key}' cannot be a configuration file's name: take letters, digits, dashes, underscores and dots, and no \
                 folder"
            );
            problems.push(Problem::new(Reason::Invalid, format!("{path}.config"), message));
        }
    }
    let size: usize = component.config.iter().map(|(key, text)| key.len() + text.len()).sum();
    if size > MOST_CONFIG {
        let message = format!(
            "the configuration files take {size} bytes together, but at most {MOST_CONFIG} fit; put large files into the \
             image"
        );
        problems.push(Problem::new(Reason::Invalid, format!("{path}.config"), message));
    }
}

/// `a-b` with component `c` and `a` with component `b-c` would share a Deployment.
fn names_taken(subject: &Subject<'_>, components: &[Component], problems: &mut Vec<Problem>) {
    if components.is_empty() {
        return;
    }
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for neighbour in subject.neighbours() {
        let name = neighbour.name_any();
        for component in neighbour.spec.components.iter().flatten() {
            taken.insert(names::workload(&name, &component.name), name.clone());
        }
        let adopts = neighbour.spec.adopt.iter().flatten();
        taken.extend(
            adopts
                .filter(|workload| workload.kind == AdoptedKind::Deployment)
                .map(|workload| (workload.name.clone(), name.clone())),
        );
    }
    for (n, component) in components.iter().enumerate() {
        let deployment = names::workload(subject.name, &component.name);
        if let Some(other) = taken.get(&deployment) {
            let message = format!(
                "the Deployment would be called {deployment}, as one of application {other} is; choose another name for the \
                 component or the application"
            );
            problems.push(Problem::new(Reason::Invalid, format!("spec.components[{n}].name"), message));
        }
    }
}

/// A workload is scaled by one application only, and not by one that Tandem renders.
fn adopted(subject: &Subject<'_>, problems: &mut Vec<Problem>) {
    let adopted = subject.application.spec.adopt.as_deref().unwrap_or_default();
    for (n, before) in repeated(adopted, |workload| (workload.kind, workload.name.clone())) {
        let message = format!("{} is in spec.adopt[{before}] already: take one of them out", adopted[n].name);
        problems.push(Problem::new(Reason::Invalid, format!("spec.adopt[{n}].name"), message));
    }
    for (n, workload) in adopted.iter().enumerate() {
        let holders: BTreeSet<String> = subject
            .neighbours()
            .filter(|neighbour| {
                let name = neighbour.name_any();
                let mut adopts = neighbour.spec.adopt.iter().flatten();
                let mut runs = neighbour.spec.components.iter().flatten();
                adopts.any(|other| (other.kind, &other.name) == (workload.kind, &workload.name))
                    || workload.kind == AdoptedKind::Deployment
                        && runs.any(|component| names::workload(&name, &component.name) == workload.name)
            })
            .map(ResourceExt::name_any)
            .collect();
        if let Some(other) = holders.first() {
            let message = format!(
                "{:?} {} is application {other}'s already: a workload belongs to one application; take it out here or there",
                workload.kind, workload.name
            );
            problems.push(Problem::new(Reason::Invalid, format!("spec.adopt[{n}].name"), message));
        }
    }
}
