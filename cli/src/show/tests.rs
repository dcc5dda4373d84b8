//! What people are shown of agencies, environments and applications.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn conditions(ready: bool, reason: &str, message: &str) -> Value {
    json!([{"type": "Ready", "status": if ready { "True" } else { "False" }, "reason": reason, "message": message,
            "lastTransitionTime": "2030-01-01T00:00:00Z"}])
}

fn at(site: &str, ready: bool, pods: &Value) -> Value {
    json!({"site": site, "ready": ready, "reason": if ready { "Ready" } else { "PodsNotReady" },
           "message": if ready { "" } else { "1 of 2 pods ready" }, "revision": 7, "pods": pods})
}

fn unit() -> Unit {
    read(json!({
        "metadata": {"name": "health", "generation": 1},
        "spec": {"displayName": {"zh": "卫健委", "en": "Health Commission"}, "level": "City", "securityProfile": "mlps-3",
                 "administrators": ["health-admins"], "viewers": ["health-auditors"], "deletionProtection": true,
                 "budget": {"cpu": "64", "memory": "256Gi", "storage": "1Ti", "pods": 200, "environments": 4}},
        "status": {"observedGeneration": 1, "environments": 2, "conditions": conditions(true, "Ready", "in order"),
                   "used": {"cpu": "24", "memory": "96Gi", "storage": "200Gi", "pods": 80},
                   "sites": [{"site": "dc-a", "ready": true, "reason": "Ready", "revision": 5},
                             {"site": "dc-b", "ready": true, "reason": "Ready", "revision": 5}]}
    }))
}

fn environment(name: &str, delete_after: Option<&str>) -> Environment {
    read(json!({
        "metadata": {"name": format!("health-{name}"), "generation": 1},
        "spec": {"unit": "health", "purpose": "Production", "expiresAt": "2031-01-01T00:00:00Z", "deleteAfter": delete_after,
                 "quota": {"cpu": "12", "memory": "48Gi", "storage": "100Gi", "pods": 40},
                 "members": [{"group": "health-hall-team", "role": "Administrator"}], "request": "health-hall-1"},
        "status": {"observedGeneration": 1, "conditions": conditions(true, "Ready", "in order"),
                   "sites": [{"site": "dc-a", "ready": true, "reason": "Ready", "revision": 6}]}
    }))
}

fn application() -> Application {
    read(json!({
        "metadata": {"name": "hall", "namespace": "health-prod", "generation": 1},
        "spec": {"displayName": {"zh": "办事大厅", "en": "Service hall"}, "tier": 1, "standbyClass": "Warm", "rtoSeconds": 60,
                 "rpoSeconds": 0, "dependencies": [{"application": "ledger"}, {"environment": "tax-prod", "application": "portal"}],
                 "components": [{"name": "web", "image": "registry.example/hall@sha256:1", "replicas": {"active": 2},
                                 "resources": {"cpu": "500m", "memory": "1Gi"}}],
                 "endpoints": [{"name": "https", "component": "web", "port": 8080, "hosts": ["hall.gov.example"],
                                "tlsSecret": "hall-tls"}]},
        "status": {"observedGeneration": 1, "activeSite": "dc-a", "failoverGroup": "health-prod-hall",
                   "conditions": conditions(false, "PodsNotReady", "dc-a: 1 of 2 pods ready"),
                   "sites": [at("dc-a", false, &json!({"ready": 1, "wanted": 2})), at("dc-b", true, &json!({"ready": 1, "wanted": 1}))]}
    }))
}

fn group() -> FailoverGroup {
    read(json!({
        "metadata": {"name": "health-prod-hall"}, "spec": {},
        "status": {"activeSite": "dc-a", "readiness": {"state": "Unprotected", "reasons": [
            {"reason": "NoRoom", "message": "dc-b has no room for the group", "messageZh": "dc-b 容量不足"}]}}
    }))
}

#[test]
fn lists_for_people() {
    let (unit, environment, application) = (unit(), environment("prod", None), application());
    let leaves = self::environment("old", Some("2030-02-01T00:00:00Z"));
    for (wide, lang) in [(false, Lang::En), (true, Lang::Zh)] {
        let text = [
            unit_table(&[&unit], wide, lang),
            environment_table(&[&environment, &leaves], wide, lang),
            application_table(&[&application], wide, lang),
        ];
        insta::assert_snapshot!(if wide { "lists_wide_zh" } else { "lists" }, text.join("\n"));
    }
}

#[test]
fn one_in_detail() {
    let used = BTreeMap::from([
        ("health-prod".to_owned(), Used { cpu: 1500, memory: 3 << 30, storage: 0, pods: 3 }),
        ("tax-prod".to_owned(), Used { cpu: 9000, memory: 9 << 30, storage: 9, pods: 9 }),
    ]);
    let (environment, application) = (environment("prod", None), application());
    for (name, lang) in [("detail", Lang::En), ("detail_zh", Lang::Zh)] {
        let text = [
            unit_detail(&unit(), std::slice::from_ref(&environment), Some(&used), lang),
            environment_detail(&environment, std::slice::from_ref(&application), Some(&used), lang),
            application_detail(&application, Some(&group()), lang),
        ];
        insta::assert_snapshot!(name, text.join("\n----\n\n"));
    }
    let unseen = unit_detail(&unit(), &[environment], None, Lang::En);
    assert!(!unseen.contains("used at this site"), "what one may not look at is left out: {unseen}");
}
