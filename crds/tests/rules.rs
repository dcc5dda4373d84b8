//! The rules of the schemas, each with an object that keeps it and one that breaks it.
#![allow(clippy::unwrap_used)]

use kube::core::CustomResourceExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tandem_crds::validation::broken_rules;
use tandem_crds::{Application, Environment, Failover, FailoverGroup, SecurityProfile, Unit};

trait Ruled: CustomResourceExt + Serialize + DeserializeOwned + 'static {}
impl<K: CustomResourceExt + Serialize + DeserializeOwned + 'static> Ruled for K {}

fn accepts<K: Ruled>(object: Value) {
    let object: K = serde_json::from_value(object).unwrap();
    assert_eq!(broken_rules(&object, None), []);
}

fn rejects<K: Ruled>(object: Value, because: &str) {
    let object: K = serde_json::from_value(object).unwrap();
    let broken = broken_rules(&object, None);
    assert!(broken.iter().any(|rule| rule.message.contains(because)), "{broken:?} does not say '{because}'");
}

fn rejects_change<K: Ruled>(before: Value, after: Value, because: &str) {
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

fn group(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "tandem.dev/v1alpha1", "kind": "FailoverGroup", "metadata": {"name": name}, "spec": spec})
}

#[test]
fn a_group_keeps_the_platforms_floors() {
    accepts::<FailoverGroup>(group("tax", &json!({})));
    accepts::<FailoverGroup>(group("tax", &json!({"minReadySeconds": 60, "dwellSeconds": 300, "automaticPerDay": 3})));
    rejects::<FailoverGroup>(group("tax", &json!({"minReadySeconds": 59})), "set 60 or more");
    rejects::<FailoverGroup>(group("tax", &json!({"dwellSeconds": 299})), "set 300 or more");
    rejects::<FailoverGroup>(group("tax", &json!({"automaticPerDay": 4})), "set 3 or less");
    rejects::<FailoverGroup>(group("tax", &json!({"scaleAfterSeconds": 59})), "set 60 or more");
    accepts::<FailoverGroup>(group("tax", &json!({"deadlines": {"claimSeconds": 6, "quiesceSeconds": 1}})));
    rejects::<FailoverGroup>(group("tax", &json!({"deadlines": {"claimSeconds": 5}})), "6 or more");
}

#[test]
fn the_defaults_of_a_group_are_those_of_the_schema() {
    let read: FailoverGroup = serde_json::from_value(group("tax", &json!({}))).unwrap();
    assert_eq!(read.spec, tandem_crds::FailoverGroupSpec::default());
    assert_eq!((read.spec.min_ready_seconds, read.spec.dwell_seconds, read.spec.automatic_per_day), (600, 1800, 1));
}

#[test]
fn a_group_with_a_hook_names_a_service_for_each_site() {
    let ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let site =
        |name: &str| json!({"site": name, "url": "https://ledger.db:9443/v1", "caBundle": ca, "tokenSecret": "t"});
    let hook = |sites: Value| group("ledger", &json!({"provider": "Hook", "hook": {"sites": sites}}));
    accepts::<FailoverGroup>(hook(json!([site("dc-a"), site("dc-b")])));
    rejects::<FailoverGroup>(group("ledger", &json!({"provider": "Hook"})), "both or neither");
    rejects::<FailoverGroup>(group("ledger", &json!({"hook": {"sites": [site("dc-a")]}})), "both or neither");
    rejects::<FailoverGroup>(hook(json!([site("dc-a"), site("dc-a")])), "name each once");
    let broken = |field: &str, value: &str| hook(json!([with(site("dc-a"), &format!("/{field}"), json!(value))]));
    rejects::<FailoverGroup>(broken("url", "http://ledger.db"), "https://");
    rejects::<FailoverGroup>(broken("url", "https://me:secret@ledger.db"), "belongs into a Secret");
    rejects::<FailoverGroup>(broken("caBundle", "none"), "PEM");
    let both =
        json!({"site": "dc-a", "url": "https://l", "caBundle": ca, "tokenSecret": "t", "clientCertificateSecret": "c"});
    rejects::<FailoverGroup>(hook(json!([both])), "either");
    let none = json!({"site": "dc-a", "url": "https://l", "caBundle": ca});
    rejects::<FailoverGroup>(hook(json!([none])), "either");
}

#[test]
fn a_group_depends_on_others_once() {
    accepts::<FailoverGroup>(group("tax", &json!({"dependsOn": ["identity", "ledger"]})));
    rejects::<FailoverGroup>(group("tax", &json!({"dependsOn": ["tax"]})), "names the group itself");
    rejects::<FailoverGroup>(group("tax", &json!({"dependsOn": ["ledger", "ledger"]})), "name each once");
}

fn failover(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Failover", "metadata": {"name": "move-7"},
        "spec": {"type": "Failover", "to": "dc-b", "selector": {"groups": ["tax"]}, "reason": "dc-a lost power"}
    });
    for (key, value) in more.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

#[test]
fn a_failover_selects_in_one_way() {
    accepts::<Failover>(failover(&json!({})));
    for selector in [json!({"all": true}), json!({"site": "dc-a"}), json!({"unit": "health"})] {
        accepts::<Failover>(failover(&json!({"selector": selector})));
    }
    for selector in [json!({}), json!({"all": false}), json!({"groups": []}), json!({"groups": ["tax"], "all": true})] {
        rejects::<Failover>(failover(&json!({"selector": selector})), "exactly one of");
    }
}

#[test]
fn a_failover_is_not_changed() {
    let before = || failover(&json!({"expectedEpochs": {"tax": 3}, "requestedBy": "li"}));
    for (field, value) in [
        ("type", json!("Switchover")),
        ("from", json!("dc-a")),
        ("to", json!("dc-c")),
        ("selector", json!({"all": true})),
        ("expectedEpochs", json!({"tax": 4})),
        ("idempotencyKey", json!("move-8")),
        ("reason", json!("another")),
        ("requestedBy", json!("wang")),
        ("acceptDataLoss", json!({"maxSeconds": 30})),
        ("despiteNotReady", json!(true)),
        ("maxParallel", json!(3)),
    ] {
        let mut after = before();
        after["spec"][field] = value;
        rejects_change::<Failover>(before(), after, &format!("spec.{field} cannot be changed"));
    }
}

#[test]
fn a_failover_is_approved_paused_and_aborted() {
    let approval = |by: &str| json!({"by": by, "at": "2030-01-02T03:04:05Z"});
    let changed = |before: Value, after: Value| {
        let [before, after] = [before, after].map(|object| serde_json::from_value::<Failover>(object).unwrap());
        broken_rules(&after, Some(&before))
    };
    let one = failover(&json!({"approvals": [approval("li")]}));
    let two = failover(&json!({"approvals": [approval("li"), approval("wang")], "pause": true}));
    assert_eq!(changed(failover(&json!({})), one.clone()), []);
    assert_eq!(changed(one.clone(), two.clone()), []);
    assert_eq!(
        changed(two.clone(), failover(&json!({"approvals": [approval("li"), approval("wang")], "abort": true}))),
        []
    );
    rejects_change::<Failover>(two, one.clone(), "can only be added to");
    rejects_change::<Failover>(one, failover(&json!({"approvals": [approval("wang")]})), "can only be added to");
    rejects_change::<Failover>(failover(&json!({"abort": true})), failover(&json!({})), "never withdrawn");
}

#[test]
fn what_a_planned_move_cannot_have() {
    accepts::<Failover>(failover(&json!({"acceptDataLoss": {"maxSeconds": 30}, "despiteNotReady": true})));
    let planned = |more: Value| {
        let mut object = failover(&more);
        object["spec"]["type"] = json!("Switchover");
        object
    };
    accepts::<Failover>(planned(json!({})));
    rejects::<Failover>(planned(json!({"acceptDataLoss": {}})), "loses nothing");
    rejects::<Failover>(planned(json!({"despiteNotReady": true})), "needs a target that is ready");
    rejects::<Failover>(failover(&json!({"from": "dc-b"})), "must be two sites");
}
