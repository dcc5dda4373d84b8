//! The rules of an `EnvironmentRequest`, each with an object that keeps it and one that breaks it.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tandem_crds::EnvironmentRequest;
use tandem_crds::validation::broken_rules;

fn read(object: Value) -> EnvironmentRequest {
    serde_json::from_value(object).unwrap()
}

fn accepts(object: Value) {
    assert_eq!(broken_rules(&read(object), None), []);
}

fn rejects(object: Value, because: &str) {
    let broken = broken_rules(&read(object), None);
    assert!(broken.iter().any(|rule| rule.message.contains(because)), "{broken:?} does not say '{because}'");
}

fn accepts_change(before: Value, after: Value) {
    assert_eq!(broken_rules(&read(after), Some(&read(before))), []);
}

fn rejects_change(before: Value, after: Value, because: &str) {
    assert_eq!(broken_rules(&read(before.clone()), None), []);
    let broken = broken_rules(&read(after), Some(&read(before)));
    assert!(broken.iter().any(|rule| rule.message.contains(because)), "{broken:?} does not say '{because}'");
}

fn quota() -> Value {
    json!({"cpu": "8", "memory": "32Gi", "storage": "1Ti", "pods": 20})
}

fn request(kind: &str, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "EnvironmentRequest", "metadata": {"name": "health-1"},
        "spec": {
            "type": kind, "unit": "health", "environment": "health-prod", "reason": "a new ward",
            "requestedBy": {"name": "li", "roles": ["AgencyAdmin"]}, "submittedAt": "2030-01-02T03:04:05Z"
        }
    });
    for (key, value) in more.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn create(more: &Value) -> Value {
    let mut object = request("Create", &json!({"quota": quota()}));
    for (key, value) in more.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn decision(by: &str, role: &str) -> Value {
    json!({"role": role, "outcome": "Approve", "by": by, "at": "2030-01-02T04:04:05Z", "digest": "a".repeat(64)})
}

fn word(by: &str) -> Value {
    json!({"by": by, "at": "2030-01-02T05:04:05Z"})
}

#[test]
fn each_type_has_what_it_needs_and_no_more() {
    accepts(create(&json!({"until": "2031-01-01T00:00:00Z", "displayName": {"zh": "生产"}, "purpose": "Test"})));
    accepts(request("Resize", &json!({"quota": quota()})));
    accepts(request("Extend", &json!({"until": "2031-01-01T00:00:00+08:00"})));
    accepts(request("Delete", &json!({})));
    rejects(request("Create", &json!({})), "spec.quota");
    rejects(request("Resize", &json!({})), "spec.quota");
    rejects(request("Delete", &json!({"quota": quota()})), "spec.quota");
    rejects(request("Extend", &json!({})), "needs spec.until");
    rejects(request("Delete", &json!({"until": "2031-01-01T00:00:00Z"})), "for spec.type Create and Extend alone");
    let named = json!({"quota": quota(), "securityProfile": "mlps-2"});
    rejects(request("Resize", &named), "for spec.type Create alone");
    rejects(request("Extend", &json!({"until": "2031-01-01T00:00:00Z", "undone": word("li")})), "spec.undone");
}

#[test]
fn an_environment_is_the_units_own() {
    rejects(create(&json!({"environment": "education-prod"})), "<unit>-<name>");
}

#[test]
fn applications_come_with_a_new_or_a_larger_environment() {
    let component =
        json!({"name": "web", "image": "registry.example/w@sha256:0", "resources": {"cpu": "1", "memory": "1Gi"}});
    let application = json!({"name": "records", "spec": {"displayName": {"zh": "病历"}, "components": [component]}});
    accepts(create(&json!({"applications": [application]})));
    accepts(request("Resize", &json!({"quota": quota(), "applications": [application]})));
    rejects(request("Delete", &json!({"applications": [application]})), "spec.applications");
    let mut empty = application.clone();
    empty["spec"].as_object_mut().unwrap().remove("components");
    rejects(create(&json!({"applications": [empty]})), "spec.components or spec.adopt");
    let mut minted = application;
    minted["spec"]["id"] = json!("mine");
    rejects(create(&json!({"applications": [minted]})), "minted by Tandem");
}

#[test]
fn what_a_request_is_does_not_change() {
    for (field, value) in [
        ("type", json!("Resize")),
        ("unit", json!("heal")),
        ("environment", json!("health-test")),
        ("requestedBy", json!({"name": "wang"})),
        ("submittedAt", json!("2030-01-02T03:04:06Z")),
    ] {
        let mut after = create(&json!({}));
        after["spec"][field] = value;
        rejects_change(create(&json!({})), after, &format!("spec.{field} cannot be changed"));
    }
    accepts_change(create(&json!({})), create(&json!({"reason": "two new wards"})));
}

#[test]
fn nobody_decides_their_own_request_nor_twice() {
    accepts(create(&json!({"decisions": [decision("wang", "Platform"), decision("zhao", "Security")]})));
    rejects(create(&json!({"decisions": [decision("li", "Platform")]})), "nobody decides their own request");
    let twice = json!({"decisions": [decision("wang", "Platform"), decision("wang", "Security")]});
    rejects(create(&twice), "one person decides once");
    let mut other = decision("wang", "Platform");
    other["digest"] = json!("b".repeat(64));
    accepts(create(&json!({"decisions": [decision("wang", "Platform"), other]})));
}

#[test]
fn what_was_said_stands() {
    let one = || create(&json!({"decisions": [decision("wang", "Platform")]}));
    let two = create(&json!({"decisions": [decision("wang", "Platform"), decision("zhao", "Security")]}));
    accepts_change(create(&json!({})), one());
    accepts_change(one(), two.clone());
    rejects_change(two, one(), "can only be added to");
    rejects_change(one(), create(&json!({"decisions": [decision("zhao", "Platform")]})), "can only be added to");
    rejects_change(create(&json!({"withdrawn": word("li")})), create(&json!({})), "spec.withdrawn stands");
    let called_off = request("Delete", &json!({"undone": word("li")}));
    rejects_change(called_off, request("Delete", &json!({})), "spec.undone stands");
    let carried_out = |at: &str| create(&json!({ "carriedOut": at }));
    accepts_change(create(&json!({})), carried_out("2030-01-03T00:00:00Z"));
    rejects_change(carried_out("2030-01-03T00:00:00Z"), create(&json!({})), "spec.carriedOut cannot be changed");
    rejects_change(
        carried_out("2030-01-03T00:00:00Z"),
        carried_out("2030-01-04T00:00:00Z"),
        "spec.carriedOut cannot be changed",
    );
}
