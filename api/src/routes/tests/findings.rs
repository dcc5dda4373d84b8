//! Findings: who sees which, and what of them cannot be known.

use super::*;
use crate::objects::testing::waived;
use serde_json::json;
use tandem_arbiter::records::Key;
use tandem_arbiter::txn::{Op, Txn};
use tandem_core::findings::Drift;

/// A city with a violation and two cases of drift in each unit, a waiver that does not help `health`, and drift in nobody's
/// environment.
fn troubled() -> Api {
    let mut city = waived(city());
    for application in &mut city.applications {
        let application = Arc::make_mut(application);
        application.spec.id = Some(format!("id-of-{}", application.metadata.namespace.as_deref().unwrap()));
        application.spec.mlps_level = Some(4);
    }
    let api = Api::over(city);
    let drift = |(namespace, name): (&str, &str)| {
        let drift: Drift = serde_json::from_value(json!({
            "kind": "Service", "namespace": namespace, "name": name, "by": "kubectl-edit", "fields": ["spec.ports"],
            "first": at(1), "last": at(5), "times": 2,
        }))
        .unwrap();
        let (kind, namespace, name) = (drift.kind.clone(), drift.namespace.clone(), drift.name.clone());
        Op::put(Key::Drift { site: "dc-a".to_owned(), kind, namespace, name }, &drift)
    };
    let here =
        [("health-prod", "b"), ("health-prod", "a"), ("water-prod", "b"), ("water-prod", "a"), ("gone-prod", "c")];
    let then = here.into_iter().map(drift).collect();
    api.site.store.apply(&Txn { then, ..Txn::default() }).unwrap();
    api
}

/// Environment, kind and object of each.
fn shape(list: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let one = |item: &Value| [&item["environment"], &item["kind"], &item["object"]["name"]].map(text).join(" ");
    list["items"].as_array().unwrap().iter().map(one).collect()
}

const HEALTH: [&str; 4] =
    ["health-prod Drift a", "health-prod Drift b", "health-prod Violation portal", "health-prod Waiver health-prod"];

#[tokio::test]
async fn an_agency_is_shown_what_is_found_in_its_own_environments() {
    let api = troubled();
    for role in [Role::AgencyAdministrator, Role::AgencyViewer] {
        let (status, _, list) = api.get(role, "/v1/security/findings").await;
        assert_eq!((status, shape(&list)), (200, HEALTH.map(str::to_owned).to_vec()));
        assert!(!list.to_string().contains("water") && !list.to_string().contains("fire"), "{list}");
        // Asking by name for what is others' finds no more.
        for query in ["unit=water", "environment=water-prod", "environment=gone-prod"] {
            let (status, _, list) = api.get(role, &format!("/v1/security/findings?{query}")).await;
            assert_eq!((status, shape(&list).len()), (200, 0), "{query}");
        }
    }
}

#[tokio::test]
async fn the_security_administrator_and_the_auditor_see_everything_and_the_platform_operator_nothing() {
    let api = troubled();
    for role in [Role::SecurityAdministrator, Role::Auditor] {
        let (_, _, list) = api.get(role, "/v1/security/findings").await;
        let found = shape(&list);
        assert_eq!((found.len(), found[0].as_str()), (8, "gone-prod Drift c"));
        let violation = &list["items"][3];
        assert_eq!(violation["rule"], "mlpsLevel");
        assert!(violation["message"]["zh"].as_str().unwrap().contains("等级保护"), "{violation}");
    }
    assert_eq!(api.get(Role::PlatformOperator, "/v1/security/findings").await.0, 403);
}

#[tokio::test]
async fn findings_are_paged_and_filtered() {
    let api = troubled();
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let (_, _, page) = api.get(Role::Auditor, &format!("/v1/security/findings?limit=3{next}")).await;
        all.extend(shape(&page));
        match page.get("continue") {
            Some(token) => next = format!("&continue={}", token.as_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(all, shape(&api.get(Role::Auditor, "/v1/security/findings").await.2));
    for (query, count) in [
        ("unit=health", 4),
        ("environment=water-prod", 3),
        ("kind=Drift", 5),
        ("kind=Violation", 2),
        ("kind=Waiver", 1),
        ("unit=health&kind=Drift", 2),
        ("unit=fire", 0),
    ] {
        let (status, _, list) = api.get(Role::Auditor, &format!("/v1/security/findings?{query}")).await;
        assert_eq!((status, shape(&list).len()), (200, count), "{query}");
    }
    for query in ["kind=drift", "severity=High"] {
        assert_eq!(api.get(Role::Auditor, &format!("/v1/security/findings?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_no_empty_list() {
    let api = troubled();
    api.site.store.set_down(true);
    let (status, headers, problem) = api.get(Role::Auditor, "/v1/security/findings").await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#arbiter-unavailable")));
    assert!(headers.contains_key("retry-after"));
    let mut unread = city();
    unread.unread = true;
    let api = Api::over(unread);
    assert_eq!(api.get(Role::Auditor, "/v1/security/findings").await.0, 503);
}
