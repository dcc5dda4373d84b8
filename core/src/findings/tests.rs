//! A small city in which every sort of finding is found.

use super::*;
use crate::check::World;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tandem_crds::{Application, Environment, FailoverGroup, SecurityProfile, Unit};

const DAY: u64 = 24 * 3_600;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[derive(Clone)]
struct City {
    units: BTreeMap<String, Unit>,
    environments: BTreeMap<String, Environment>,
    profiles: BTreeMap<String, SecurityProfile>,
    groups: BTreeMap<String, FailoverGroup>,
    applications: BTreeMap<(String, String), Application>,
    hosts: BTreeMap<String, (String, String)>,
    drifts: Vec<(String, Drift)>,
    now: Timestamp,
}

impl City {
    /// Two environments under one profile that wants digests; an application without one in each; nothing waived.
    fn new() -> Self {
        let environment = |unit: &str| {
            let quota = json!({"cpu": "8", "memory": "8Gi", "storage": "8Gi", "pods": 20});
            let spec =
                json!({"id": format!("id-of-{unit}"), "unit": unit, "quota": quota, "securityProfile": "strict"});
            let name = format!("{unit}-prod");
            (name.clone(), read(json!({"metadata": {"name": name}, "spec": spec})))
        };
        let application = |unit: &str| {
            let component =
                json!({"name": "web", "image": "r.example/hall:1", "resources": {"cpu": "1", "memory": "1Gi"}});
            let spec = json!({"id": "minted", "displayName": {"zh": "大厅"}, "components": [component]});
            let namespace = format!("{unit}-prod");
            let object = json!({"metadata": {"name": "hall", "namespace": namespace}, "spec": spec});
            ((namespace, "hall".to_owned()), read(object))
        };
        let profile = read(json!({"metadata": {"name": "strict"}, "spec": {
            "displayName": {"zh": "等保三级"}, "mlpsLevel": 3, "podSecurity": "Restricted", "images": {"requireDigest": true},
            "controls": [
                {"rule": "images.requireDigest", "control": "8.1.4.4"}, {"rule": "egress", "control": "8.1.3.1"},
                {"rule": "images.requireDigest", "control": "8.1.10.5"},
            ],
        }}));
        Self {
            units: BTreeMap::new(),
            environments: ["health", "water"].map(environment).into(),
            profiles: BTreeMap::from([("strict".to_owned(), profile)]),
            groups: BTreeMap::new(),
            applications: ["health", "water"].map(application).into(),
            hosts: BTreeMap::new(),
            drifts: Vec::new(),
            now: time("2027-01-10T00:00:00Z"),
        }
    }

    fn waive(mut self, environment: &str, until: &str) -> Self {
        let waiver = json!({"rule": "images.requireDigest", "environment": environment, "application": "hall",
                            "reason": "the vendor's next release", "until": until});
        self.profiles.get_mut("strict").unwrap().spec.waivers.push(read(waiver));
        self
    }

    fn drift(mut self, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let drift = json!({"kind": kind, "namespace": namespace, "name": name, "by": "kubectl-edit",
                           "fields": ["spec.ingress"], "first": "2027-01-02T00:00:00.5Z", "last": "2027-01-09T00:00:00Z",
                           "times": 3});
        self.drifts.push(("dc-a".to_owned(), read(drift)));
        self
    }

    fn found(&self) -> Vec<Finding> {
        let world = World {
            units: &self.units,
            environments: &self.environments,
            profiles: &self.profiles,
            groups: &self.groups,
            applications: &self.applications,
            hosts: &self.hosts,
            now: self.now,
        };
        findings(&world, &self.drifts)
    }

    fn after_days(mut self, days: u64) -> Self {
        self.now += std::time::Duration::from_secs(days * DAY);
        self
    }
}

/// Environment, sort and severity of each.
fn shape(found: &[Finding]) -> Vec<(&str, FindingKind, Severity)> {
    let one = |finding: &Finding| (finding.kind, finding.severity);
    found
        .iter()
        .map(|finding| (finding.environment.as_deref().unwrap_or("-"), one(finding).0, one(finding).1))
        .collect()
}

#[test]
fn an_application_that_was_accepted_and_breaks_a_rule_is_a_violation() {
    let found = City::new().found();
    let high = |place| (place, FindingKind::Violation, Severity::High);
    assert_eq!(shape(&found), [high("health-prod"), high("water-prod")]);
    let one = &found[0];
    assert_eq!((one.unit.as_deref(), one.application.as_deref()), (Some("health"), Some("hall")));
    assert_eq!((one.profile.as_deref(), one.rule.as_deref()), (Some("strict"), Some("images.requireDigest")));
    assert_eq!(one.controls, ["8.1.10.5", "8.1.4.4"]);
    assert_eq!(one.fields, ["spec.components[0].image"]);
    assert!(one.message.en.contains("has no digest") && one.message.zh.contains("没有摘要"), "{:?}", one.message);
    let mut city = City::new();
    city.applications.values_mut().for_each(|application| application.spec.id = None);
    assert_eq!(city.found(), [], "what was never accepted does not run");
}

#[test]
fn a_waiver_takes_the_place_of_the_violation_and_gives_it_back_when_it_ends() {
    let city = City::new().waive("health-prod", "2027-02-01T00:00:00+08:00");
    let found = city.found();
    let water = ("water-prod", FindingKind::Violation, Severity::High);
    assert_eq!(shape(&found), [("health-prod", FindingKind::Waiver, Severity::Medium), water]);
    assert_eq!((found[0].until, found[0].lapsed), (Some(time("2027-01-31T16:00:00Z")), false));
    assert!(found[0].message.en.ends_with("the vendor's next release"), "{:?}", found[0].message);

    let ended = city.clone().after_days(30).found();
    let back = ("health-prod", FindingKind::Violation, Severity::High);
    assert_eq!(shape(&ended), [back, ("health-prod", FindingKind::Waiver, Severity::Info), water]);
    assert!(ended[1].lapsed);
    assert_eq!(ended[1].id, found[0].id, "it is the same waiver");
    assert_eq!(shape(&city.after_days(60).found()), [back, water], "in the end it is forgotten");
}

#[test]
fn a_waiver_that_waives_nothing_is_none() {
    let nowhere = City::new().waive("fire-prod", "2027-02-01T00:00:00Z").found();
    assert_eq!(nowhere.len(), 2);
    let mut city = City::new().waive("health-prod", "2027-02-01T00:00:00Z");
    let mut other = city.profiles["strict"].clone();
    other.metadata.name = Some("other".to_owned());
    other.spec.waivers.clear();
    city.profiles.insert("other".to_owned(), other);
    city.environments.get_mut("health-prod").unwrap().spec.security_profile = Some("other".to_owned());
    let kinds: Vec<FindingKind> = city.found().iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Violation; 2]);
}

#[test]
fn what_was_put_back_is_a_finding_of_its_environment_for_a_while() {
    let mut city = City::new().drift("NetworkPolicy", Some("health-prod"), "default").drift("Namespace", None, "gone");
    city = city.drift("Namespace", None, "water-prod");
    city.applications.clear();
    let found = city.found();
    let drift = |place, severity| (place, FindingKind::Drift, severity);
    let wanted =
        [drift("gone", Severity::Medium), drift("health-prod", Severity::High), drift("water-prod", Severity::Medium)];
    assert_eq!(shape(&found), wanted);
    let units: Vec<Option<&str>> = found.iter().map(|finding| finding.unit.as_deref()).collect();
    assert_eq!(units, [None, Some("health"), Some("water")], "what is in no environment is nobody's");
    assert_eq!((found[1].site.as_deref(), found[1].times), (Some("dc-a"), Some(3)));
    assert!(found[1].message.en.contains("kubectl-edit") && found[1].message.zh.contains("kubectl-edit"));
    assert_eq!(city.clone().after_days(28).found().len(), 3);
    assert_eq!(city.after_days(29).found(), []);
}

#[test]
fn no_two_findings_have_one_id_and_their_order_is_theirs() {
    let mut city = City::new().waive("health-prod", "2027-02-01T00:00:00Z");
    for (kind, namespace, name) in [
        ("Role", "a", "bc"),
        ("Role", "ab", "c"),
        ("RoleBinding", "a", "bc"),
        ("Deployment", "health-prod", "hall-web"),
    ] {
        city = city.drift(kind, Some(namespace), name);
    }
    let drift = city.drifts[0].1.clone();
    city.drifts.push(("dc-b".to_owned(), drift));
    let found = city.found();
    let ids: std::collections::BTreeSet<&str> = found.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!((ids.len(), found.len()), (7, 7));
    city.drifts.reverse();
    assert_eq!(city.found(), found);
    assert!(found.is_sorted_by_key(Finding::place));
}

fn reported(city: &City, kind: ReportKind) -> Option<Value> {
    let manifest = report(kind, &city.environments["health-prod"], &city.found())?;
    assert_eq!((manifest.api_version(), manifest.kind()), (kind.api_version(), kind.name()));
    assert_eq!((manifest.namespace(), manifest.name()), (Some("health-prod"), "tandem"));
    Some(manifest.value().clone())
}

#[test]
fn a_report_holds_what_is_found_in_its_environment_and_weighs_most_first() {
    let mut city =
        City::new().waive("health-prod", "2027-02-01T00:00:00Z").drift("Service", Some("health-prod"), "hall");
    let application = city.applications.get_mut(&("health-prod".to_owned(), "hall".to_owned())).unwrap();
    application.spec.mlps_level = Some(4);
    let value = reported(&city, ReportKind::PolicyReport).unwrap();
    assert_eq!(value["summary"], json!({"pass": 0, "fail": 1, "warn": 1, "error": 0, "skip": 1}));
    let results = value["results"].as_array().unwrap();
    let of = |field: &str| results.iter().map(|one| one[field].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("result"), ["fail", "warn", "skip"]);
    assert_eq!(of("severity"), ["high", "medium", "medium"]);
    assert_eq!(of("policy"), ["strict", "drift", "strict"]);
    assert_eq!(of("rule"), ["mlpsLevel", "-", "images.requireDigest"]);
    assert_eq!(of("source"), ["tandem"; 3]);
    let subject = json!([{"apiVersion": "tandem.dev/v1alpha1", "kind": "Application", "name": "hall", "namespace": "health-prod"}]);
    assert_eq!(results[0]["resources"], subject);
    assert_eq!(results[1]["resources"], json!([{"kind": "Service", "name": "hall", "namespace": "health-prod"}]));
    assert_eq!(results[1]["timestamp"], json!({"seconds": 1_798_848_000, "nanos": 500_000_000}));
    assert_eq!(results[2]["properties"]["controls"], "8.1.10.5, 8.1.4.4");
    assert_eq!(value["metadata"]["labels"]["tandem.dev/id"], "id-of-health");
    assert!(value["metadata"].get("ownerReferences").is_none());
    assert!(!value.to_string().contains("water") && !value.to_string().contains("null"), "{value}");
    let other = reported(&city, ReportKind::Report).unwrap();
    assert_eq!((&other["results"], &other["summary"]), (&value["results"], &value["summary"]));
}

#[test]
fn a_report_moves_only_when_something_else_is_found() {
    let mut city = City::new().drift("Service", Some("health-prod"), "hall");
    let before = reported(&city, ReportKind::Report);
    city.drifts[0].1.times += 1;
    city.drifts[0].1.last = time("2027-01-10T00:00:00Z");
    assert_eq!(reported(&city.clone().after_days(2), ReportKind::Report), before);
    city.drifts.clear();
    assert_ne!(reported(&city, ReportKind::Report), before);
    city.applications.clear();
    assert_eq!(reported(&city, ReportKind::Report), None);
}

#[test]
fn a_report_has_an_end_and_counts_what_it_leaves_out() {
    let mut city = City::new();
    for n in 0..600 {
        city = city.drift("Service", Some("health-prod"), &format!("s{n}"));
    }
    let value = reported(&city, ReportKind::Report).unwrap();
    assert_eq!(value["results"].as_array().unwrap().len(), 500);
    assert_eq!((value["results"][0]["result"].as_str(), &value["summary"]["warn"]), (Some("fail"), &json!(600)));
}
