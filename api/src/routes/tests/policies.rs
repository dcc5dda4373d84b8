//! `/v1/security/policies`: who reads whose, in which form, and what was in force before.

use super::*;
use crate::coordination::{Answer, Authority, Coordination, Published};
use crate::identity::Role::{AgencyAdministrator, AgencyViewer, Auditor, PlatformOperator, SecurityAdministrator};
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::json;
use tandem_arbiter::arbiter::{AuditPage, Claimed, Completion, Receipt};
use tandem_arbiter::records::{AnswerRecord, IdempotencyRecord, RequestRecord};
use tandem_core::audit::{Draft, Segment};
use tandem_core::findings::Drift;
use tandem_core::ledger::Change;
use tandem_core::policy::{Version, binding};
use tandem_core::sync::{ObjectKey, Versioned};
use tandem_crds::Kind;

type History = BTreeMap<ObjectKey, Vec<Versioned<Version>>>;

/// What both sites share, with versions that a test has put there.
struct Remembering {
    rest: Arc<dyn Coordination>,
    history: History,
}

impl Coordination for Remembering {
    fn authority(&self) -> Answer<'_, Authority> {
        self.rest.authority()
    }
    fn audit_begin(&self, draft: Draft) -> Answer<'_, Receipt> {
        self.rest.audit_begin(draft)
    }
    fn audit_complete<'a>(&'a self, receipt: &'a Receipt, completion: Completion) -> Answer<'a, ()> {
        self.rest.audit_complete(receipt, completion)
    }
    fn audit_page<'a>(&'a self, site: &'a str, from: u64, limit: u64) -> Answer<'a, AuditPage> {
        self.rest.audit_page(site, from, limit)
    }
    fn audit_segments<'a>(&'a self, site: &'a str) -> Answer<'a, Vec<Segment>> {
        self.rest.audit_segments(site)
    }
    fn claim<'a>(&'a self, id: &'a str, record: &'a IdempotencyRecord, now: Timestamp) -> Answer<'a, Claimed> {
        self.rest.claim(id, record, now)
    }
    fn keep<'a>(
        &'a self,
        id: &'a str,
        revision: i64,
        record: &'a IdempotencyRecord,
        answer: &'a AnswerRecord,
    ) -> Answer<'a, ()> {
        self.rest.keep(id, revision, record, answer)
    }
    fn release<'a>(&'a self, id: &'a str, revision: i64) -> Answer<'a, ()> {
        self.rest.release(id, revision)
    }
    fn promise<'a>(&'a self, authority: i64, unit: &'a str, change: &'a Change) -> Answer<'a, ()> {
        self.rest.promise(authority, unit, change)
    }
    fn published<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, Option<Published>> {
        self.rest.published(key)
    }
    fn buried<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, bool> {
        self.rest.buried(key)
    }
    fn drifts(&self) -> Answer<'_, Vec<(String, Drift)>> {
        self.rest.drifts()
    }
    fn asked<'a>(&'a self, id: &'a str) -> Answer<'a, Option<RequestRecord>> {
        self.rest.asked(id)
    }
    fn report<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Value>> {
        self.rest.report(execution)
    }
    fn versions<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, Vec<Versioned<Version>>> {
        let found = self.history.get(key).cloned().unwrap_or_default();
        async { Ok(found) }.boxed()
    }
    fn versions_of(&self, kind: Kind) -> Answer<'_, History> {
        let found = self.history.iter().filter(|(key, _)| key.kind == kind);
        let found = found.map(|(key, versions)| (key.clone(), versions.clone())).collect();
        async { Ok(found) }.boxed()
    }
}

/// The city, all of it published, with a history.
fn with(history: History) -> Api {
    let mut api = Api::over(city());
    api.site.publish_bound();
    api.state.coordination = Arc::new(Remembering { rest: Arc::clone(&api.state.coordination), history });
    api.rebuild();
    api
}

/// Versions of an object, at a revision and that many seconds before now, by whom, with what of it was otherwise.
fn versions(now: &Value, kind: Kind, of: &[(i64, &str, Option<Value>)]) -> Vec<Versioned<Version>> {
    of.iter()
        .map(|(revision, by, change)| {
            let says = change.as_ref().map(|change| {
                let mut says = binding(kind, now).unwrap();
                says.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
                says
            });
            let at = at(10) - jiff::SignedDuration::from_secs(100 - revision);
            Versioned::new(*revision, Version { by: (*by).to_owned(), at, says })
        })
        .collect()
}

/// health came with revision 10, its environment with 20 and was resized with 30; in between it had another one.
fn story() -> History {
    let city = city();
    let (unit, environment) = (json!(city.units[0].spec), json!(city.environments[0].spec));
    let profile = json!(city.security_profiles[0].spec);
    let less = json!({"quota": {"cpu": "2", "memory": "8Gi", "storage": "100Gi", "pods": 20}});
    [
        (
            ObjectKey::cluster(Kind::SecurityProfile, "level-2"),
            versions(&profile, Kind::SecurityProfile, &[(5, "chen", Some(json!({})))]),
        ),
        (ObjectKey::cluster(Kind::Unit, "health"), versions(&unit, Kind::Unit, &[(10, "wang", Some(json!({})))])),
        (
            ObjectKey::cluster(Kind::Environment, "health-prod"),
            versions(
                &environment,
                Kind::Environment,
                &[(20, "request health-a", Some(less)), (30, "request health-b", Some(json!({})))],
            ),
        ),
        (
            ObjectKey::cluster(Kind::Environment, "health-old"),
            versions(&environment, Kind::Environment, &[(22, "request health-c", Some(json!({}))), (40, "zhou", None)]),
        ),
        (
            ObjectKey::cluster(Kind::Environment, "water-old"),
            versions(&environment, Kind::Environment, &[(23, "tan", Some(json!({"unit": "water"})))]),
        ),
    ]
    .into()
}

const HERE: &str = "/v1/security/policies";

impl Api {
    /// What somebody is answered who wants it in a form.
    async fn in_form(&self, role: Role, path: &str, accept: &str, language: &str) -> (u16, HeaderMap, String) {
        let unit = (!role.is_office()).then_some("health");
        let request = Request::get(path)
            .header("authorization", format!("Bearer {}", self.token(unit, &[role])))
            .header("accept", accept)
            .header("accept-language", language);
        let (status, headers, body) = self.send(request.body(Body::empty()).unwrap()).await;
        (status, headers, body.as_str().map_or_else(|| body.to_string(), str::to_owned))
    }
}

#[tokio::test]
async fn each_reads_whose_they_may() {
    let api = with(History::new());
    for (query, wanted) in [
        // Agency administrator, agency viewer, platform operator, security administrator, auditor.
        ("", [200, 200, 403, 400, 400]),
        ("?unit=health", [200, 200, 403, 200, 200]),
        ("?environment=health-prod", [200, 200, 403, 200, 200]),
        ("?unit=water", [404, 404, 403, 200, 200]),
        ("?environment=water-prod", [404, 404, 403, 200, 200]),
        ("?unit=fire", [404, 404, 403, 404, 404]),
        ("?environment=fire-prod", [404, 404, 403, 404, 404]),
    ] {
        for (role, wanted) in Role::ALL.into_iter().zip(wanted) {
            let (status, headers, body) = api.get(role, &format!("{HERE}{query}")).await;
            assert_eq!(status, wanted, "{role:?} {query}: {body}");
            if status >= 400 {
                assert_eq!(headers["content-type"], "application/problem+json");
            }
        }
    }
}

#[tokio::test]
async fn what_others_have_is_not_told_from_what_nobody_has() {
    let api = with(History::new());
    for of in ["unit=water", "environment=water-prod"] {
        let theirs = api.get(AgencyViewer, &format!("{HERE}?{of}")).await;
        let nobodys = api.get(AgencyViewer, &format!("{HERE}?{}", of.replace("water", "fire"))).await;
        assert_eq!(untraced(theirs), untraced(nobodys));
    }
    let (_, _, own) = api.get(AgencyViewer, &format!("{HERE}?format=json")).await;
    assert!(!own.to_string().contains("water"), "{own}");
}

#[tokio::test]
async fn the_document_is_yaml_a_page_or_json() {
    let api = with(story());
    let (_, headers, yaml) = api.in_form(Auditor, &format!("{HERE}?unit=health"), "*/*", "en").await;
    assert_eq!(headers["content-type"], "application/yaml");
    assert_eq!(headers["vary"], "accept");
    let yaml: Value = serde_yaml::from_str(&yaml).unwrap();
    let (_, headers, json) = api.in_form(Auditor, &format!("{HERE}?unit=health"), "application/json", "en").await;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), yaml, "the same in both");
    let quota = yaml["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "quota.cpu").unwrap();
    assert_eq!((&quota["set"]["by"], &quota["set"]["revision"]), (&json!("request health-b"), &json!(30)));
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let (_, headers, page) = api.in_form(Auditor, &format!("{HERE}?unit=health"), browser, "en").await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(page.starts_with("<!doctype html>") && page.contains("生效规则") && page.contains("request health-b"));
    // What the page has is what its policy allows: one style, by its hash.
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    // An address is enough.
    let (_, headers, _) =
        api.in_form(Auditor, &format!("{HERE}?unit=health&format=html"), "application/json", "en").await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let (status, _, body) = api.in_form(Auditor, &format!("{HERE}?unit=health"), "image/png", "zh").await;
    assert_eq!(status, 406);
    assert!(body.contains("not-acceptable") && body.contains("没有该格式"), "{body}");
}

#[tokio::test]
async fn the_difference_is_against_a_revision_or_a_time() {
    let api = with(story());
    let of = |against: &str| format!("{HERE}?unit=health&format=json&against={against}");
    let (status, _, by_revision) = api.get(SecurityAdministrator, &of("29")).await;
    assert_eq!(status, 200, "{by_revision}");
    let ids = |field: &str| -> Vec<String> {
        let all = by_revision[field].as_array().unwrap().iter();
        all.map(|rule| rule.get("rule").unwrap_or(rule)["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("changed"), ["quota.cpu"]);
    assert_eq!((&by_revision["changed"][0]["from"], &by_revision["against"]["revision"]), (&json!("2"), &json!(22)));
    // What was deleted since: its environment was there then, and who took it away is known.
    assert!(ids("added").is_empty() && ids("removed").contains(&"quota.pods".to_owned()));
    let removed = by_revision["removed"].as_array().unwrap().iter();
    assert!(removed.filter(|rule| rule["set"]["state"] == "known").all(|rule| rule["set"]["by"] == "zhou"));
    let time = at(10) - jiff::SignedDuration::from_secs(71);
    let (_, _, by_time) = api.get(SecurityAdministrator, &of(&time.to_string())).await;
    assert_eq!(by_time, by_revision);
    let (_, _, own) = api.get(AgencyAdministrator, &format!("{HERE}?format=json&against=29")).await;
    assert_eq!(own, by_revision);
    assert!(!own.to_string().contains("water"), "what was another unit's is not among what is gone");
    let (_, _, page) = api.get(Auditor, &format!("{HERE}?unit=health&format=html&against=40")).await;
    assert!(page.as_str().unwrap().contains("自该时点以来规则没有变化"));
}

#[tokio::test]
async fn what_is_asked_wrongly_or_not_kept_is_named_in_both_languages() {
    let api = with(story());
    for (query, field) in [
        ("?unit=health&environment=health-prod", "environment"),
        ("", "unit"),
        ("?unit=health&against=soon", "against"),
        ("?unit=health&against=0", "against"),
        ("?unit=health&against=2999-01-01T00:00:00Z", "against"),
        // Before anything is kept, and before the unit is.
        ("?unit=health&against=4", "against"),
        ("?unit=health&against=9", "against"),
        ("?unit=water&against=20", "against"),
        ("?unit=health&format=pdf", "format"),
        ("?unit=health&unit=health", "unit"),
        ("?uint=health", "uint"),
    ] {
        let (status, _, problem) = api.get(Auditor, &format!("{HERE}{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem}");
        assert!(!problem["errors"][0]["messageZh"].as_str().unwrap().is_ascii(), "{query}: {problem}");
    }
}

#[tokio::test]
async fn what_is_not_published_is_not_in_force() {
    let mut objects = city();
    let mut late = (*objects.environments[0]).clone();
    late.metadata.name = Some("health-late".to_owned());
    let api = Api::over(objects.clone());
    let (status, _, problem) = api.get(AgencyViewer, HERE).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/docs/problems#not-in-force")));
    api.site.publish_bound();
    objects.environments.push(Arc::new(late.clone()));
    *api.site.memory.lock().unwrap() = objects;
    let (_, _, document) = api.get(AgencyViewer, &format!("{HERE}?format=json")).await;
    assert!(document["notes"][0]["en"].as_str().unwrap().starts_with("Environment health-late is not published"));
    assert!(!document["rules"].to_string().contains("health-late"));
    let (status, _, _) = api.get(AgencyViewer, &format!("{HERE}?environment=health-late")).await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn an_edit_that_was_refused_is_not_in_force() {
    let api = with(History::new());
    {
        let mut memory = api.site.now();
        Arc::make_mut(&mut memory.environments[0]).spec.quota.pods = 9_999;
    }
    let (_, _, document) = api.get(PlatformOperator, HERE).await;
    assert_eq!(document["status"], 403);
    let (_, _, document) = api.get(Auditor, &format!("{HERE}?environment=health-prod&format=json")).await;
    assert!(!document.to_string().contains("9999"), "{document}");
}

#[tokio::test]
async fn without_the_arbiter_nothing_is_said_to_be_in_force() {
    let api = with(History::new());
    api.site.store.set_down(true);
    let (status, _, problem) = api.get(Auditor, &format!("{HERE}?unit=health")).await;
    assert_eq!((status, &problem["type"]), (503, &json!("/docs/problems#arbiter-unavailable")));
}
