//! What is written: once, audited, durable, at the site with authority.

use super::*;
use crate::identity::Role::{AgencyAdministrator, AgencyViewer, Auditor, PlatformOperator, SecurityAdministrator};
use axum::body::HttpBody;
use futures::future::join_all;
use kube::ResourceExt;
use serde_json::json;
use std::sync::atomic::Ordering;
use tandem_arbiter::records::Key;
use tandem_arbiter::txn::{Op, Txn};
use tandem_core::audit::{Entry, Head, Outcome, verify};
use tandem_core::ledger::{Amounts, Change};

/// A new environment of four pods.
pub(super) fn wanted(environment: &str) -> Value {
    json!({"type": "Create", "environment": environment, "reason": "for the new service hall",
           "displayName": {"zh": "服务大厅"},
           "quota": {"cpu": "1", "memory": "2Gi", "storage": "10Gi", "pods": 4}})
}

/// A change of an object: another name for people.
pub(super) fn changed<K: tandem_crds::TandemKind>(object: &K) -> Value {
    let mut spec = json!(object.spec());
    if spec.get("displayName").is_some() {
        spec["displayName"] = json!({"zh": "另一名称"});
    } else {
        spec["tier"] = json!(2);
    }
    json!({"spec": spec})
}

/// Whom an object says to have been changed by.
fn changed_by<K: ResourceExt>(object: &K) -> Option<String> {
    object.annotations().get(tandem_core::names::ANNOTATION_CHANGED_BY).cloned()
}

/// The city, with a budget of health's that is larger than what is asked for in a test, and `level-2` demanding two people
/// where that is wanted.
fn with_two_people(two: bool) -> Memory {
    let mut city = city();
    city.security_profiles = city
        .security_profiles
        .iter()
        .map(|profile| {
            let mut profile = (**profile).clone();
            profile.spec.security_decision = two;
            Arc::new(profile)
        })
        .collect();
    city
}

impl Api {
    pub(super) async fn post(&self, who: (&str, Role), path: &str, key: &str, body: &Value) -> (u16, HeaderMap, Value) {
        self.write(Method::POST, who, path, key, body).await
    }

    async fn put(&self, who: (&str, Role), path: &str, key: &str, body: &Value) -> (u16, HeaderMap, Value) {
        self.write(Method::PUT, who, path, key, body).await
    }

    async fn delete(&self, who: (&str, Role), path: &str, key: &str) -> (u16, Value) {
        let (name, role) = who;
        let token = self.token_of(name, (!role.is_office()).then_some("health"), &[role]);
        let request = Request::builder().method(Method::DELETE).uri(path).header("idempotency-key", key);
        let request = request.header("authorization", format!("Bearer {token}"));
        let (status, _, item) = self.send(request.body(Body::empty()).unwrap()).await;
        (status, item)
    }

    async fn write(
        &self,
        method: Method,
        who: (&str, Role),
        path: &str,
        key: &str,
        body: &Value,
    ) -> (u16, HeaderMap, Value) {
        let (name, role) = who;
        let unit = (!role.is_office()).then_some("health");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token_of(name, unit, &[role])))
            .header("idempotency-key", key)
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Asks for an environment as li; gives the request's path and digest.
    async fn ask(&self, key: &str, body: &Value) -> (String, String) {
        let (status, headers, item) = self.post(("li", AgencyAdministrator), "/v1/requests", key, body).await;
        assert_eq!(status, 201, "{item}");
        (headers["location"].to_str().unwrap().to_owned(), item["digest"].as_str().unwrap().to_owned())
    }

    async fn approve(&self, who: (&str, Role), path: &str, digest: &str) -> (u16, Value) {
        let body = json!({"outcome": "Approve", "digest": digest, "note": "fine"});
        let key = format!("{}-{}-{path}", who.0, who.1.as_str());
        let (status, _, item) = self.post(who, &format!("{path}/decisions"), &key, &body).await;
        (status, item)
    }

    pub(super) async fn chain(&self) -> Vec<Entry> {
        let page = self.state.coordination.audit_page("dc-a", 1, 10_000).await.unwrap();
        verify(&Head::genesis("dc-a"), "dc-a", &page.entries).unwrap();
        page.entries
    }

    /// What was done by whom, and how it ended.
    pub(super) async fn trail(&self) -> Vec<(String, String, Outcome)> {
        self.chain().await.into_iter().map(|entry| (entry.actor.name, entry.action, entry.outcome)).collect()
    }

    fn requests_named(&self, prefix: &str) -> usize {
        let memory = self.site.now();
        memory.requests.iter().filter(|request| request.spec.environment.starts_with(prefix)).count()
    }
}

pub(super) fn trail(entries: &[(&str, &str, Outcome)]) -> Vec<(String, String, Outcome)> {
    entries.iter().map(|(who, what, how)| ((*who).to_owned(), (*what).to_owned(), *how)).collect()
}

const LI: (&str, Role) = ("li", AgencyAdministrator);
const WANG: (&str, Role) = ("wang", PlatformOperator);
const CHIEF: (&str, Role) = ("zhang", PlatformOperator);
const CHEN: (&str, Role) = ("chen", SecurityAdministrator);

#[tokio::test]
async fn a_request_is_made_once_however_often_it_is_sent() {
    let api = Api::over(with_two_people(false));
    let (status, headers, first) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!(status, 201, "{first}");
    assert!(headers["location"].to_str().unwrap().starts_with("/v1/requests/health-"));
    assert_eq!(first["spec"]["requestedBy"], json!({"name": "li", "roles": ["AgencyAdmin"]}));
    let (status, headers, again) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!((status, &headers["idempotency-replayed"]), (201, &"true".parse().unwrap()));
    assert_eq!(again, first);
    assert_eq!(api.requests_named("health-new"), 1);
    let done = trail(&[("li", "requests.create", Outcome::Begun), ("li", "requests.create", Outcome::Done)]);
    assert_eq!(api.trail().await, done);
    // The key is li's alone, and for this request alone.
    let (status, _, problem) = api.post(LI, "/v1/requests", "k1", &wanted("health-other")).await;
    assert_eq!((status, problem["type"].as_str()), (422, Some("/docs/problems#key-reused")));
    let (status, ..) = api.post(("zhou", AgencyAdministrator), "/v1/requests", "k1", &wanted("health-third")).await;
    assert_eq!(status, 201);
}

#[tokio::test]
async fn another_replica_knows_what_was_answered() {
    let api = Api::over(with_two_people(false));
    let (path, _) = api.ask("k1", &wanted("health-new")).await;
    let mut other = Api::over(with_two_people(false));
    other.state.coordination = Arc::clone(&api.state.coordination);
    other.rebuild();
    let (status, headers, _) = other.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (201, path.as_str()));
    assert_eq!(other.requests_named("health-new"), 0, "nothing was made there");
}

#[tokio::test]
async fn two_people_decide_and_neither_on_their_own() {
    let api = Api::over(with_two_people(true));
    let (path, digest) = api.ask("k1", &wanted("health-new")).await;
    let (status, problem) = api.approve(("li", PlatformOperator), &path, &digest).await;
    assert_eq!((status, problem["reason"].as_str()), (403, Some("OwnRequest")), "{problem}");
    let (status, problem) = api.approve(WANG, &path, &"0".repeat(64)).await;
    assert_eq!((status, problem["reason"].as_str()), (409, Some("ContentMoved")));
    assert_eq!(api.site.held("health"), 0);
    let (status, item) = api.approve(WANG, &path, &digest).await;
    assert_eq!((status, item["spec"]["decisions"][0]["by"].as_str()), (202, Some("wang")), "{item}");
    assert_eq!(api.site.held("health"), 0, "one approval of two promises nothing");
    let (status, _) = api.approve(("wang", SecurityAdministrator), &path, &digest).await;
    assert_eq!(status, 409, "one person decides once");
    let (status, item) = api.approve(CHEN, &path, &digest).await;
    assert_eq!((status, item["spec"]["decisions"].as_array().map(Vec::len)), (202, Some(2)), "{item}");
    assert_eq!(api.site.held("health"), 4);
    let done = |who, what| [(who, what, Outcome::Begun), (who, what, Outcome::Done)];
    let wanted =
        [done("li", "requests.create"), done("wang", "requests.approve"), done("chen", "requests.approve")].concat();
    assert_eq!(api.trail().await, trail(&wanted));
}

#[tokio::test]
async fn taking_back_and_calling_off() {
    let api = Api::over(with_two_people(false));
    let (path, digest) = api.ask("k1", &wanted("health-new")).await;
    let note = json!({"note": "no more"});
    let (status, _, item) = api.post(LI, &format!("{path}/withdraw"), "k2", &note).await;
    assert_eq!((status, item["spec"]["withdrawn"]["by"].as_str()), (202, Some("li")));
    let (status, problem) = api.approve(WANG, &path, &digest).await;
    assert_eq!((status, problem["reason"].as_str()), (409, Some("Over")));
    let delete = json!({"type": "Delete", "environment": "health-prod", "reason": "the hall has moved"});
    // Its application has to go first; here it goes.
    api.site.now().applications.clear();
    let (path, digest) = api.ask("k3", &delete).await;
    let (status, _, problem) = api.post(LI, &format!("{path}/undo"), "k4", &note).await;
    assert_eq!((status, problem["reason"].as_str()), (409, Some("NotApproved")));
    assert_eq!(api.approve(WANG, &path, &digest).await.0, 202);
    let (status, _, item) = api.post(LI, &format!("{path}/undo"), "k4", &note).await;
    assert_eq!((status, item["spec"]["undone"]["by"].as_str()), (202, Some("li")), "{item}");
    let (path, digest) = api.ask("k5", &wanted("health-third")).await;
    let body = json!({"outcome": "Reject", "digest": digest, "note": "too much"});
    assert_eq!(api.post(WANG, &format!("{path}/decisions"), "k6", &body).await.0, 202);
    let actions: BTreeSet<String> = api.chain().await.into_iter().map(|entry| entry.action).collect();
    assert!(actions.contains("requests.reject"));
    for (_, path, action) in table::AUDITED.into_iter().filter(|(_, path, _)| path.starts_with("/v1/requests")) {
        assert!(actions.contains(action), "{path} leaves no {action}");
    }
}

#[tokio::test]
async fn what_is_wanted_is_made_changed_and_left_alone_where_it_is_so_already() {
    let api = Api::over(with_two_people(false));
    let unit = changed(&*api.site.now().units[0].clone());
    let (status, _, item) = api.put(WANG, "/v1/units/health", "k1", &unit).await;
    assert_eq!((status, item["spec"]["displayName"]["zh"].as_str()), (202, Some("另一名称")), "{item}");
    assert_eq!(changed_by(&*api.site.now().units[0].clone()), Some("wang".to_owned()));
    assert_eq!(api.put(CHIEF, "/v1/units/health", "k2", &unit).await.0, 202, "it is so already");
    assert_eq!(changed_by(&*api.site.now().units[0].clone()), Some("wang".to_owned()), "and nobody changed it");
    let mut stale = unit.clone();
    stale["resourceVersion"] = json!("7");
    stale["spec"]["displayName"] = json!({"zh": "第三名称"});
    let (status, _, problem) = api.put(WANG, "/v1/units/health", "k3", &stale).await;
    assert_eq!((status, problem["type"].as_str()), (409, Some("/docs/problems#kept-changing")), "{problem}");
    let mut own_id = unit.clone();
    own_id["spec"]["id"] = json!("mine");
    let (status, _, problem) = api.put(WANG, "/v1/units/health", "k4", &own_id).await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some("spec.id")));
    let mut nothing = unit.clone();
    nothing["spec"]["budget"]["cpu"] = json!("a lot");
    assert_eq!(api.put(WANG, "/v1/units/health", "k5", &nothing).await.0, 400);
    let profile = changed(&*api.site.now().security_profiles[0].clone());
    let (status, headers, _) = api.put(CHEN, "/v1/security/profiles/level-5", "k6", &profile).await;
    assert_eq!((status, &headers["location"]), (201, &"/v1/security/profiles/level-5".parse().unwrap()));
    let made = api.site.now().security_profiles.iter().find(|made| made.name_any() == "level-5").cloned();
    assert_eq!(made.and_then(|made| changed_by(&*made)), Some("chen".to_owned()));
    let site = changed(&*api.site.now().data_centres[0].clone());
    let group = changed(&*api.site.now().failover_groups[0].clone());
    for (path, change) in [("/v1/data-centres/dc-a", site), ("/v1/failover-groups/health-group", group)] {
        let (status, _, item) = api.put(WANG, path, path, &change).await;
        assert_eq!(status, 202, "{path}: {item}");
    }
    let mut application = changed(&*api.site.now().applications[0].clone());
    application["spec"]["adopt"][0]["name"] = json!("hall");
    let (status, _, item) = api.put(LI, "/v1/applications/health-prod/hall", "k7", &application).await;
    assert_eq!(status, 201, "{item}");
    assert_eq!(api.put(LI, "/v1/applications/water-prod/hall", "k8", &application).await.0, 404);
    assert_eq!(api.delete(LI, "/v1/applications/health-prod/hall", "k9").await.0, 204);
    let trail = api.trail().await;
    let others = |path: &str| path.starts_with("/v1/requests") || path.starts_with("/v1/failovers");
    for (_, path, action) in table::AUDITED.into_iter().filter(|(_, path, _)| !others(path)) {
        let of = trail.iter().filter(|(_, done, _)| done == action).map(|(_, _, outcome)| *outcome);
        assert_eq!(of.collect::<Vec<_>>(), [Outcome::Begun, Outcome::Done], "{path} leaves {action} once");
    }
}

#[tokio::test]
async fn an_application_is_deleted_once_and_that_is_durable() {
    let api = Api::over(with_two_people(false));
    let here = "/v1/applications/health-prod/hall";
    let mut application = changed(&*api.site.now().applications[0].clone());
    application["spec"]["adopt"][0]["name"] = json!("hall");
    assert_eq!(api.put(LI, here, "k1", &application).await.0, 201);
    let others = || api.site.now().applications.len();
    let before = others();
    assert_eq!(api.delete(LI, "/v1/applications/water-prod/portal", "k2").await.0, 404);
    assert_eq!(api.delete(WANG, here, "k2").await.0, 403, "agencies' applications are theirs");
    // It is marked, and not known to be gone: nothing is promised.
    api.site.publishes.store(false, Ordering::SeqCst);
    let (status, problem) = api.delete(LI, here, "k3").await;
    assert_eq!((status, problem["type"].as_str(), others()), (503, Some("/docs/problems#not-durable"), before));
    assert_eq!(api.delete(LI, here, "k3").await.0, 503, "not before the operator has seen to it");
    api.site.publish_all();
    let (status, item) = api.delete(LI, here, "k3").await;
    assert_eq!((status, others()), (204, before - 1), "{item}");
    assert_eq!(api.delete(LI, here, "k3").await.0, 204, "asked again, it is answered again");
    assert_eq!(api.delete(LI, here, "k4").await.0, 204, "it is gone");
    assert_eq!(api.delete(LI, "/v1/applications/health-prod/never", "k5").await.0, 404);
    let deletions = api.trail().await.into_iter().filter(|(_, action, _)| action == "applications.delete");
    let done = trail(&[("li", "applications.delete", Outcome::Begun), ("li", "applications.delete", Outcome::Done)]);
    assert_eq!(deletions.collect::<Vec<_>>(), done, "asked for once");
    // Another that comes in between is taken in.
    assert_eq!(api.put(LI, here, "k6", &application).await.0, 201);
    api.site.moved.store(2, Ordering::SeqCst);
    assert_eq!(api.delete(LI, here, "k7").await.0, 204);
}

#[tokio::test]
async fn what_belongs_to_others_cannot_be_written_nor_found_out() {
    let api = Api::over(with_two_people(false));
    let mut theirs = wanted("water-new");
    theirs["unit"] = json!("water");
    assert_eq!(api.post(LI, "/v1/requests", "k1", &theirs).await.0, 404);
    // A name that is another unit's is refused by the rules, whoever has it.
    assert_eq!(api.post(LI, "/v1/requests", "k2", &wanted("water-new")).await.0, 400);
    for path in ["/v1/requests/water-longer/withdraw", "/v1/requests/fire-longer/withdraw"] {
        assert_eq!(api.post(LI, path, "k3", &json!({})).await.0, 404, "{path}");
    }
    assert_eq!(api.post(("zhao", AgencyViewer), "/v1/requests", "k4", &wanted("health-new")).await.0, 403);
    assert_eq!(api.post(("liu", Auditor), "/v1/requests", "k5", &wanted("health-new")).await.0, 403);
    assert!(api.chain().await.is_empty());
}

#[tokio::test]
async fn a_site_without_authority_says_who_has_it_and_reads_on() {
    let api = Api::over(with_two_people(false));
    let mut other = Api::over(with_two_people(false));
    other.state.site = "dc-b".into();
    other.state.coordination = Arc::clone(&api.state.coordination);
    other.rebuild();
    let (status, headers, problem) = other.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!(headers["location"], "https://api.dc-a.example");
    assert_eq!((status, problem["address"].as_str()), (421, Some("https://api.dc-a.example")), "{problem}");
    assert_eq!(other.requests_named("health-new"), 0);
    assert_eq!(other.get(AgencyViewer, "/v1/requests").await.0, 200);
    assert!(api.chain().await.is_empty());
}

#[tokio::test]
async fn nothing_is_promised_before_it_is_published() {
    let api = Api::over(with_two_people(false));
    api.site.publishes.store(false, Ordering::SeqCst);
    let (status, headers, problem) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#not-durable")));
    assert!(headers.contains_key("retry-after"));
    let (status, ..) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!(status, 503, "still not");
    assert_eq!(api.requests_named("health-new"), 1);
    api.site.publish_all();
    assert_eq!(api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await.0, 201);
    assert_eq!(api.requests_named("health-new"), 1);
    let done = trail(&[("li", "requests.create", Outcome::Begun), ("li", "requests.create", Outcome::Done)]);
    assert_eq!(api.trail().await, done, "it was done once");
}

#[tokio::test]
async fn a_lost_answer_of_the_api_server_is_found_out_by_asking_again() {
    let api = Api::over(with_two_people(false));
    api.site.loses.store(true, Ordering::SeqCst);
    let (status, _, problem) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#not-known")));
    let entry = &api.chain().await[0];
    assert_eq!((entry.outcome, api.chain().await.len()), (Outcome::Begun, 1), "nobody knows how it ended");
    let (path, digest) = api.ask("k1", &wanted("health-new")).await;
    assert_eq!(api.requests_named("health-new"), 1);
    api.site.loses.store(true, Ordering::SeqCst);
    assert_eq!(api.approve(WANG, &path, &digest).await.0, 503);
    let (status, item) = api.approve(WANG, &path, &digest).await;
    assert_eq!((status, item["spec"]["decisions"].as_array().map(Vec::len)), (202, Some(1)));
}

#[tokio::test]
async fn changes_of_others_in_between_are_taken_in() {
    let api = Api::over(with_two_people(false));
    let (path, digest) = api.ask("k1", &wanted("health-new")).await;
    api.site.moved.store(3, Ordering::SeqCst);
    assert_eq!(api.approve(WANG, &path, &digest).await.0, 202);
    let failed = api.chain().await.iter().filter(|entry| entry.outcome == Outcome::Failed).count();
    assert_eq!(failed, 3, "each that came to nothing says so");
}

#[tokio::test]
async fn without_an_entry_nothing_is_done() {
    let api = Api::over(with_two_people(false));
    // A chain whose head cannot be read: nothing can be added to it.
    let put = Op::put(Key::AuditHead("dc-a".to_owned()), &json!({"no": "head"}));
    api.site.store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    let (status, _, problem) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#no-audit")), "{problem}");
    assert_eq!(api.requests_named("health-new"), 0);
}

#[tokio::test]
async fn without_the_arbiter_nothing_is_done_and_reads_go_on() {
    let api = Api::over(with_two_people(false));
    api.site.store.set_down(true);
    let (status, _, problem) = api.post(LI, "/v1/requests", "k1", &wanted("health-new")).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#arbiter-unavailable")));
    assert_eq!(api.requests_named("health-new"), 0);
    assert_eq!(api.get(AgencyViewer, "/v1/requests").await.0, 200);
}

#[tokio::test]
async fn whoever_goes_away_leaves_nothing_half_done() {
    let api = Api::over(with_two_people(false));
    let body = wanted("health-new");
    let asking = api.post(LI, "/v1/requests", "k1", &body);
    // Polled once, so that it is under way, and dropped.
    let gone = tokio::time::timeout(Duration::ZERO, asking).await;
    api.state.running.close();
    tokio::time::timeout(Duration::from_secs(10), api.state.running.wait()).await.unwrap();
    let entries = api.chain().await;
    assert_eq!(entries.len() % 2, 0, "{gone:?}: {entries:?}");
    assert_eq!(api.requests_named("health-new"), entries.len() / 2);
}

#[tokio::test]
async fn bodies_that_are_wrong_are_refused_with_their_field_and_nothing_changes() {
    let api = Api::over(with_two_people(false));
    let with = |field: &str, value: Value| {
        let mut body = wanted("health-new");
        body.pointer_mut(field.rsplit_once('/').unwrap().0).unwrap()[field.rsplit_once('/').unwrap().1] = value;
        body
    };
    for (body, field) in [
        (with("/quotta", json!({})), "quotta"),
        (with("/quota/cpus", json!("1")), "quota.?.cpus"),
        (with("/quota/pods", json!("many")), "quota.pods"),
        (with("/type", json!("Conquer")), "type"),
        (with("/environment", json!("nothing")), "environment"),
        (with("/decisions", json!([])), "decisions"),
        (with("/requestedBy", json!({"name": "wang"})), "requestedBy"),
        (with("/carriedOut", json!("2026-01-01T00:00:00Z")), "carriedOut"),
        (json!([]), "body"),
    ] {
        let (status, _, problem) = api.post(LI, "/v1/requests", "k1", &body).await;
        assert_eq!(status, 400, "{body}: {problem}");
        let fields: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert!(fields.iter().any(|found| found.contains(field)), "{field}: {problem}");
    }
    let token = api.token_of("li", Some("health"), &[AgencyAdministrator]);
    let raw = |key: Option<&str>, kind: &str, text: &str| {
        let mut request = Request::post("/v1/requests").header("authorization", format!("Bearer {token}"));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.header("content-type", kind).body(Body::from(text.to_owned())).unwrap()
    };
    let good = wanted("health-new").to_string();
    for (request, status) in [
        (raw(None, "application/json", &good), 400),
        (raw(Some("a b"), "application/json", &good), 400),
        (raw(Some("k"), "text/plain", &good), 415),
        (raw(Some("k"), "application/json", "{\"type\": "), 400),
        (raw(Some("k"), "application/json", &"x".repeat(2 << 20)), 413),
        (raw(Some("k"), "application/json", "\u{feff}{}"), 400),
    ] {
        let (found, _, problem) = api.send(request).await;
        assert_eq!(found, status, "{problem}");
    }
    assert!(api.chain().await.is_empty());
    assert_eq!(api.requests_named("health-new"), 0);
}

#[tokio::test]
async fn a_token_that_does_not_hold_changes_nothing() {
    let api = Api::over(with_two_people(false));
    let good = api.token_of("li", Some("health"), &[AgencyAdministrator]);
    let parts: Vec<&str> = good.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwia2lkIjoiayJ9";
    for token in [
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        "x".repeat(9000),
    ] {
        let request = Request::post("/v1/requests")
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", "k")
            .header("content-type", "application/json");
        let (status, ..) = api.send(request.body(Body::from(wanted("health-new").to_string())).unwrap()).await;
        assert_eq!(status, 401);
    }
    assert_eq!(api.requests_named("health-new"), 0);
}

#[tokio::test]
async fn of_a_hundred_approvals_at_once_exactly_what_fits_is_approved() {
    let mut city = with_two_people(false);
    let mut unit = (*city.units[0]).clone();
    unit.spec.budget.environments = 200;
    unit.spec.budget.cpu = "1000".into();
    unit.spec.budget.memory = "1000Gi".into();
    unit.spec.budget.storage = "100Ti".into();
    unit.spec.budget.pods = 4 * 37 + 3;
    city.units[0] = Arc::new(unit);
    city.environments.clear();
    let mut api = Api::over(city);
    // Each waits for those before it on the one chain and the one ledger.
    api.state.patience = Duration::from_secs(60);
    api.rebuild();
    let mut asked = Vec::new();
    for n in 0..100 {
        asked.push(api.ask(&format!("k{n}"), &wanted(&format!("health-e{n}"))).await);
    }
    let answers = join_all(asked.iter().map(|(path, digest)| api.approve(WANG, path, digest))).await;
    let of = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert_eq!((of(202), of(409)), (37, 63), "{answers:?}");
    let budget = answers.iter().filter(|(status, _)| *status == 409);
    assert!(budget.clone().all(|(_, problem)| problem["type"] == "/docs/problems#over-budget"));
    assert_eq!(api.site.held("health"), 4 * 37);
    let approved = |memory: &Memory| memory.requests.iter().filter(|asked| !asked.spec.decisions.is_empty()).count();
    assert_eq!(approved(&api.site.now()), 37);
    assert_eq!(api.chain().await.len(), 2 * 100 + 2 * 100, "who was refused is in the chain too");
}

#[tokio::test]
async fn what_is_promised_to_one_is_not_promised_to_another() {
    let api = Api::over(with_two_people(false));
    let held = Change::Reserve {
        request: "other".to_owned(),
        environment: "health-other".to_owned(),
        amounts: Amounts { pods: 47, ..Amounts::default() },
    };
    let authority = api.state.coordination.authority().await.unwrap();
    api.state.coordination.promise(authority.revision, "health", &held).await.unwrap();
    let (path, digest) = api.ask("k1", &wanted("health-new")).await;
    let (status, problem) = api.approve(WANG, &path, &digest).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("pods: asks 4, free 3 of 50"), "{problem}");
    let back = Change::Unreserve { request: "other".to_owned() };
    api.state.coordination.promise(authority.revision, "health", &back).await.unwrap();
    assert_eq!(api.approve(WANG, &path, &digest).await.0, 202, "the key is free after a refusal");
}

/// The next piece of a stream, as text.
pub(super) async fn piece(body: &mut Body) -> Option<String> {
    let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context));
    let frame = tokio::time::timeout(Duration::from_secs(20), next).await.unwrap()?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

async fn events(api: &Api, path: &str, last: Option<&str>) -> (u16, Body) {
    let token = api.token_of("li", Some("health"), &[AgencyViewer]);
    let mut request = Request::get(format!("{path}/events")).header("authorization", format!("Bearer {token}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = api.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    (response.status().as_u16(), response.into_body())
}

#[tokio::test]
async fn what_becomes_of_a_request_is_told_as_it_happens_and_nothing_twice() {
    let api = Api::over(with_two_people(false));
    let (path, digest) = api.ask("k1", &wanted("health-new")).await;
    let (status, mut body) = events(&api, &path, None).await;
    assert_eq!(status, 200);
    let first = piece(&mut body).await.unwrap();
    assert!(first.contains("event: request\n") && first.contains("\"environment\":\"health-new\""), "{first}");
    let id = first.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert_eq!(api.approve(WANG, &path, &digest).await.0, 202);
    let second = piece(&mut body).await.unwrap();
    assert!(second.contains("\"by\":\"wang\""), "{second}");
    drop(body);
    // Whoever comes back is sent what they have not seen, and then what ends it.
    let (_, mut body) = events(&api, &path, Some(&id)).await;
    let caught_up = piece(&mut body).await.unwrap();
    assert!(caught_up.contains("\"by\":\"wang\""), "{caught_up}");
    api.site.show(&path, json!({"phase": "Provisioned"}));
    assert!(piece(&mut body).await.unwrap().contains("\"phase\":\"Provisioned\""));
    assert!(piece(&mut body).await.unwrap().contains("event: end\n"));
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test]
async fn streams_are_few_and_end_when_the_process_does() {
    let api = Api::over(with_two_people(false));
    let (path, _) = api.ask("k1", &wanted("health-new")).await;
    let (_, mut one) = events(&api, &path, None).await;
    let (_, two) = events(&api, &path, None).await;
    assert_eq!(events(&api, &path, None).await.0, 503);
    drop(two);
    assert_eq!(events(&api, &path, None).await.0, 200);
    piece(&mut one).await.unwrap();
    api.state.stopping.cancel();
    assert_eq!(piece(&mut one).await, None);
}

#[tokio::test]
async fn what_is_written_and_its_entries_name_the_trace_of_the_request() {
    let api = Api::over(with_two_people(false));
    let (status, headers, item) =
        api.post(("li", AgencyAdministrator), "/v1/requests", "k", &wanted("health-hall")).await;
    assert_eq!(status, 201, "{item}");
    let asked = headers["traceparent"].to_str().unwrap().to_owned();
    let said = || {
        let memory = api.site.now();
        let found = memory.requests.iter().find(|request| request.spec.environment == "health-hall").unwrap();
        found.annotations().get(tandem_core::names::ANNOTATION_TRACE).cloned()
    };
    assert_eq!(said().as_deref(), Some(asked.as_str()));
    let of = |entries: &[Entry], action: &str| -> Vec<Option<String>> {
        entries.iter().filter(|entry| entry.action == action).map(|entry| entry.trace.clone()).collect()
    };
    assert_eq!(of(&api.chain().await, "requests.create")[0].as_deref(), Some(&asked[3..35]));
    // A decision is another request: its entry has its own trace, and what was asked for keeps that of its asking.
    let path = headers["location"].to_str().unwrap();
    let (status, item) = api.approve(("wang", PlatformOperator), path, item["digest"].as_str().unwrap()).await;
    assert_eq!(status, 202, "{item}");
    let decided = of(&api.chain().await, "requests.approve")[0].clone().unwrap();
    assert_ne!(decided, asked[3..35]);
    assert_eq!(said().as_deref(), Some(asked.as_str()));
}
