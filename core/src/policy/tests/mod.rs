//! A unit with two environments under two profiles, and what is said of it.

mod content;
mod history;
mod pages;

use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_crds::{DisplayName, Kind};

use super::{Document, Head, Kept, Objects, Rule, Version, binding};
use crate::sync::{ObjectKey, Versioned};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn unit() -> Value {
    yaml(
        "
        id: id-of-health
        displayName: {zh: 卫生健康委员会, en: Health commission}
        level: City
        administrators: [health-admins]
        viewers: [health-viewers, audit]
        budget: {cpu: '64', memory: 256Gi, storage: 10Ti, pods: 400, environments: 4}
        securityProfile: mlps-3
        deletionProtection: true
        ",
    )
}

fn environment(name: &str) -> Value {
    let mut environment = yaml(
        "
        id: id-of-environment
        unit: health
        quota: {cpu: 16000m, memory: 65536Mi, storage: 1Ti, pods: 100}
        members:
        - {group: hall-team, role: Administrator}
        expiresAt: 2027-06-30T00:00:00+08:00
        ",
    );
    if name == "health-test" {
        environment["securityProfile"] = json!("mlps-2");
        environment["deleteAfter"] = json!("2026-12-01T00:00:00Z");
    }
    environment
}

/// A profile in which every field is set, to something that can be told from what it is where it is left out.
fn profile() -> Value {
    yaml(
        "
        id: id-of-mlps-3
        displayName: {zh: 等保三级, en: MLPS level 3}
        mlpsLevel: 3
        podSecurity: Restricted
        egress:
        - {cidr: 10.20.0.0/16, ports: [5432, 443, 443]}
        - {cidr: 10.30.0.0/24}
        images: {registries: [registry.gov.example], requireDigest: true}
        storageClasses: [encrypted]
        ingressClass: city
        hostNameSuffixes: [gov.example]
        requiredLabels: [gov.example/owner]
        controls:
        - {rule: podSecurity, control: 8.1.4.4}
        - {rule: egress, control: 8.1.3.2}
        - {rule: images, control: 8.1.4.5}
        - {rule: images.requireDigest, control: 8.1.4.6}
        securityDecision: true
        waivers:
        - {rule: images.requireDigest, environment: health-prod, application: hall, reason: 'the <old> image', until: '2026-12-31T00:00:00Z'}
        - {rule: requiredLabels, environment: water-prod, reason: 'of others', until: '2026-12-31T00:00:00Z'}
        ",
    )
}

fn application() -> Value {
    yaml(
        "
        displayName: {zh: 办事大厅}
        mlpsLevel: 3
        access:
          from: [{application: intake}]
          to: [{environment: data-prod, application: exchange}]
        endpoints:
        - {name: public, component: web, port: 8080, hosts: [hall.gov.example], path: /, tlsSecret: hall-tls}
        - {name: metrics, component: web, port: 9090, path: /}
        ",
    )
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    match name.split_once('/') {
        Some((namespace, name)) => ObjectKey::namespaced(kind, namespace, name),
        None => ObjectKey::cluster(kind, name),
    }
}

/// What is published, with no versions.
fn objects() -> Objects {
    let mut objects = Objects::new();
    let loose = json!({"displayName": {"zh": "等保二级"}, "mlpsLevel": 2, "podSecurity": "Baseline", "images": {}});
    for (key, spec) in [
        (key(Kind::Unit, "health"), unit()),
        (key(Kind::Environment, "health-prod"), environment("health-prod")),
        (key(Kind::Environment, "health-test"), environment("health-test")),
        (key(Kind::SecurityProfile, "mlps-3"), profile()),
        (key(Kind::SecurityProfile, "mlps-2"), loose),
        (key(Kind::Application, "health-prod/hall"), application()),
    ] {
        let now = binding(key.kind, &spec);
        objects.insert(key, Kept { now, versions: Vec::new() });
    }
    objects
}

fn when(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// The versions of an object: at which revision (and second), by whom, with which changes of what is published now. The last
/// one becomes what is published.
fn with_versions(objects: &mut Objects, key: &ObjectKey, versions: &[(i64, &str, Option<Value>)]) {
    let kept = objects.get_mut(key).unwrap();
    let now = kept.now.clone().unwrap();
    for (revision, by, change) in versions {
        let says = change.as_ref().map(|change| {
            let mut says = now.clone();
            for (field, value) in change.as_object().unwrap() {
                says[field] = value.clone();
            }
            says
        });
        kept.now = says.clone();
        let version = Version { by: (*by).to_owned(), at: when(*revision), says };
        kept.versions.push(Versioned::new(*revision, version));
    }
}

fn head(environment: Option<&str>) -> Head {
    Head {
        unit: "health".to_owned(),
        display_name: DisplayName { zh: "卫生健康委员会".to_owned(), en: Some("Health commission".to_owned()) },
        environment: environment.map(str::to_owned),
        read_at: when(1_000),
        notes: Vec::new(),
    }
}

fn document(objects: &Objects) -> Document {
    Document::of(objects, head(None)).unwrap()
}

/// The rule of an id, in an environment where there is one in several.
fn rule<'a>(rules: &'a [Rule], id: &str, environment: Option<&str>) -> &'a Rule {
    let there = |rule: &&Rule| {
        let mut places = rule.places.iter();
        rule.id == id && places.any(|place| environment.is_none() || place.environment.as_deref() == environment)
    };
    rules.iter().find(there).unwrap_or_else(|| panic!("no rule {id} in {environment:?}"))
}
