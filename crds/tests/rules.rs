//! The rules of the schemas, each with an object that keeps it and one that breaks it.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tandem_crds::validation::broken_rules;
use tandem_crds::{Application, Environment, FailoverGroup, SecurityProfile, TandemKind, Unit};

fn accepts<K: TandemKind>(object: Value) {
    let object: K = serde_json::from_value(object).unwrap();
    assert_eq!(broken_rules(&object, None), []);
}

fn rejects<K: TandemKind>(object: Value, because: &str) {
    let object: K = serde_json::from_value(object).unwrap();
    let broken = broken_rules(&object, None);
    assert!(broken.iter().any(|rule| rule.message.contains(because)), "{broken:?} does not say '{because}'");
}

fn rejects_change<K: TandemKind>(before: Value, after: Value, because: &str) {
    let before: K = serde_json::from_value(before).unwrap();
    let after: K = serde_json::from_value(after).unwrap();
    assert_eq!(broken_rules(&before, None), []);
    let broken = broken_rules(&after, Some(&before));
    assert!(broken.iter().any(|rule| rule.message.contains(because)), "{broken:?} does not say '{because}'");
}

fn unit(name: &str) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Unit", "metadata": {"name": name},
        "spec": {
            "displayName": {"zh": "卫生健康委员会"}, "level": "City", "securityProfile": "mlps-3",
            "budget": {"cpu": "40", "memory": "160Gi", "storage": "4Ti", "pods": 100, "environments": 3}
        }
    })
}

fn environment(name: &str, unit: &str) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Environment", "metadata": {"name": name},
        "spec": {"unit": unit, "quota": {"cpu": "8", "memory": "32Gi", "storage": "1Ti", "pods": 20}}
    })
}

fn application(spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Application", "metadata": {"name": "records", "namespace": "health-prod"},
        "spec": {"displayName": {"zh": "电子病历"}}
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn component(name: &str) -> Value {
    json!({"name": name, "image": "registry.example/records@sha256:0", "resources": {"cpu": "1", "memory": "1Gi"}})
}

fn with(mut object: Value, path: &str, value: Value) -> Value {
    *object.pointer_mut(path).unwrap() = value;
    object
}

#[test]
fn a_unit_name_leaves_room_for_its_namespaces() {
    accepts::<Unit>(unit("health"));
    rejects::<Unit>(unit(&"h".repeat(41)), "at most 40 characters");
}

#[test]
fn an_environment_is_named_after_its_unit() {
    accepts::<Environment>(environment("health-prod", "health"));
    rejects::<Environment>(environment("prod", "health"), "<unit>-<name>");
    rejects::<Environment>(environment(&format!("health-{}", "x".repeat(60)), "health"), "at most 63 characters");
}

#[test]
fn an_environment_stays_with_its_unit() {
    let before = environment("health-prod", "health");
    let after = with(environment("health-prod", "health"), "/spec/unit", json!("education"));
    rejects_change::<Environment>(before, after, "spec.unit cannot be changed");
}

#[test]
fn a_durable_id_is_minted_once() {
    let mut minted = unit("health");
    minted["spec"]["id"] = json!("a");
    accepts::<Unit>(minted.clone());
    let changed = with(minted.clone(), "/spec/id", json!("b"));
    rejects_change::<Unit>(minted.clone(), changed, "spec.id cannot be changed");
    rejects_change::<Unit>(minted, unit("health"), "spec.id cannot be changed");
}

#[test]
fn an_application_has_components_or_adopts() {
    accepts::<Application>(application(&json!({"components": [component("web"), component("worker")]})));
    accepts::<Application>(application(&json!({"adopt": [{"kind": "Deployment", "name": "old"}]})));
    rejects::<Application>(application(&json!({})), "spec.components or spec.adopt");
    rejects::<Application>(
        application(&json!({"components": [component("web")], "adopt": [{"kind": "Deployment", "name": "old"}]})),
        "spec.components or spec.adopt",
    );
}

#[test]
fn names_inside_an_application_are_unique_and_known() {
    rejects::<Application>(application(&json!({"components": [component("web"), component("web")]})), "one name");
    accepts::<Application>(application(
        &json!({"components": [component("web")], "endpoints": [{"name": "http", "component": "web", "port": 8080}]}),
    ));
    rejects::<Application>(
        application(
            &json!({"components": [component("web")], "endpoints": [{"name": "http", "component": "gone", "port": 80}]}),
        ),
        "must be one of spec.components",
    );
}

#[test]
fn a_probe_asks_one_way() {
    let probe = |probe: Value| {
        let mut web = component("web");
        web["probes"] = json!({"readiness": probe});
        application(&json!({"components": [web]}))
    };
    accepts::<Application>(probe(json!({"tcpPort": 80})));
    rejects::<Application>(probe(json!({"tcpPort": 80, "httpGet": {"path": "/", "port": 80}})), "httpGet or tcpPort");
    rejects::<Application>(probe(json!({})), "httpGet or tcpPort");
}

#[test]
fn the_group_that_decides_authority_is_not_for_applications() {
    let group = |name: &str| json!({"apiVersion": "tandem.dev/v1alpha1", "kind": "FailoverGroup", "metadata": {"name": name}, "spec": {}});
    accepts::<FailoverGroup>(group("service-hall"));
    rejects::<FailoverGroup>(group("platform"), "Tandem's own");
}

#[test]
fn a_profile_for_level_three_is_strict() {
    let profile = |level: i64, pods: &str, digest: bool| {
        json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "SecurityProfile", "metadata": {"name": "mlps"},
            "spec": {"displayName": {"zh": "等保"}, "mlpsLevel": level, "podSecurity": pods, "images": {"requireDigest": digest}}
        })
    };
    accepts::<SecurityProfile>(profile(2, "Baseline", false));
    accepts::<SecurityProfile>(profile(3, "Restricted", true));
    rejects::<SecurityProfile>(profile(3, "Baseline", true), "podSecurity Restricted");
    rejects::<SecurityProfile>(profile(3, "Restricted", false), "requireDigest");
}
