//! Failovers that are asked for: at either site, once, audited, and answered when both sites know.

use super::writes::{piece, trail};
use super::*;
use crate::identity::Role::{AgencyAdministrator, AgencyViewer, Auditor, PlatformOperator, SecurityAdministrator};
use crate::objects::testing::failover;
use crate::problem::Declined;
use serde_json::json;
use std::sync::atomic::Ordering;
use tandem_arbiter::records::Key;
use tandem_arbiter::txn::{Op, Txn};
use tandem_core::audit::Outcome;
use tandem_core::failover::{ExecutionKind, Language};
use tandem_crds::{FailoverPhase, Why};

const WANG: (&str, Role) = ("wang", PlatformOperator);
const ZHAO: (&str, Role) = ("zhao", PlatformOperator);
const QIAN: (&str, Role) = ("qian", PlatformOperator);

/// The example that the command line's tests plan as well.
fn example() -> Value {
    serde_json::from_str(include_str!("../../../../core/src/plan/example.json")).unwrap()
}

/// The city with the example's sites and groups.
fn two_sites() -> Memory {
    let example = example();
    let mut city = city();
    city.data_centres = serde_json::from_value(example["datacentres"].clone()).map(arcs).unwrap();
    city.failover_groups.extend(serde_json::from_value(example["failovergroups"].clone()).map(arcs).unwrap());
    city
}

fn arcs<K>(all: Vec<K>) -> Vec<Arc<K>> {
    all.into_iter().map(Arc::new).collect()
}

fn wanted() -> Value {
    json!({"type": "Switchover", "selector": {"groups": ["tax", "hall"]}, "to": "dc-b", "reason": "storage work",
           "expectedEpochs": {"tax": 3}})
}

/// One that loses data, so that it waits for two people.
fn lossy() -> Value {
    json!({"type": "Failover", "selector": {"groups": ["tax"]}, "to": "dc-b", "reason": "dc-a lost power",
           "acceptDataLoss": {"maxSeconds": 30}})
}

fn why(chinese: &str) -> Why {
    let message = "group tax is at epoch 4 and not at 3".to_owned();
    Why { reason: "EpochMoved".to_owned(), message, message_zh: chinese.to_owned() }
}

impl Api {
    /// The API of the other site, which knows the same arbiter.
    fn beside(&self, objects: Memory) -> Self {
        let mut other = Self::over(Memory::default());
        other.site = Arc::new(self.site.beside(objects));
        other.state.objects = other.site.clone();
        other.state.writer = other.site.clone();
        other.state.coordination = Arc::new(ByArbiter::new(other.site.store.clone(), "dc-b"));
        other.state.site = "dc-b".into();
        other.rebuild();
        other
    }

    /// Asks for a failover as wang; gives its path.
    async fn fail_over(&self, key: &str, body: &Value) -> String {
        let (status, headers, item) = self.post(WANG, "/v1/failovers", key, body).await;
        assert_eq!(status, 201, "{item}");
        headers["location"].to_str().unwrap().to_owned()
    }

    fn failovers_for(&self, reason: &str) -> usize {
        self.site.now().failovers.iter().filter(|failover| failover.spec.reason == reason).count()
    }
}

fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_plan_is_the_one_that_the_command_line_shows_and_changes_nothing() {
    let (api, example) = (Api::over(two_sites()), example());
    let ask = |role: Role, body: &Value| {
        let unit = (!role.is_office()).then_some("health");
        let request = Request::post("/v1/failovers/plan")
            .header("authorization", format!("Bearer {}", api.token(unit, &[role])))
            .header("content-type", "application/json");
        api.send(request.body(Body::from(body.to_string())).unwrap())
    };
    for role in [PlatformOperator, SecurityAdministrator, Auditor] {
        let (status, _, plan) = ask(role, &example["wanted"]).await;
        assert_eq!((status, &plan), (200, &example["plan"]), "{plan}");
    }
    let refused = &example["plan"]["waves"][1]["groups"][0]["refused"][0];
    assert!(refused["message"].is_string() && refused["messageZh"].is_string(), "{refused}");
    let (status, _, plan) = ask(Auditor, &json!({"selector": {"unit": "water"}, "to": "dc-b"})).await;
    assert_eq!((status, plan["waves"][0]["groups"][0]["name"].as_str()), (200, Some("water-group")), "{plan}");
    for role in [AgencyAdministrator, AgencyViewer] {
        assert_eq!(ask(role, &example["wanted"]).await.0, 403);
    }
    for (body, field) in [
        (json!({}), "body"),
        (json!({"selector": {}}), "selector"),
        (json!({"selector": {"groups": ["nowhere"]}}), "selector.groups"),
        (json!({"selector": {"unit": "nobody"}}), "selector.unit"),
        (json!({"selector": {"site": "dc-c"}}), "selector.site"),
        (json!({"selector": {"all": true}, "to": "dc-c"}), "to"),
        (json!({"selector": {"all": true}, "type": "Switchover", "acceptDataLoss": {}}), "acceptDataLoss"),
        (json!({"selector": {"all": true}, "maxParallel": 0}), "maxParallel"),
        (json!({"selector": {"all": true}, "form": "dc-a"}), "form"),
    ] {
        let (status, _, problem) = ask(Auditor, &body).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(field)), "{body}: {problem}");
    }
    assert!(api.chain().await.is_empty());
}

#[tokio::test]
async fn a_failover_is_asked_for_once_however_often_it_is_sent() {
    let api = Api::over(two_sites());
    let (status, headers, first) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!(status, 201, "{first}");
    let path = headers["location"].to_str().unwrap().to_owned();
    assert!(path.starts_with("/v1/failovers/switchover-") && id(&path).len() == "switchover-".len() + 12, "{path}");
    assert_eq!(
        (first["spec"]["requestedBy"].as_str(), first["spec"]["idempotencyKey"].as_str()),
        (Some("wang"), Some(id(&path)))
    );
    let record = api.site.asked(id(&path)).unwrap();
    assert_eq!((record.kind, record.by.as_str(), record.to.as_str()), (ExecutionKind::Switchover, "wang", "dc-b"));
    let (status, headers, again) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, &headers["idempotency-replayed"], &again), (201, &"true".parse().unwrap(), &first));
    assert_eq!(api.failovers_for("storage work"), 1);
    let done = trail(&[("wang", "failovers.create", Outcome::Begun), ("wang", "failovers.create", Outcome::Done)]);
    assert_eq!(api.trail().await, done);
    assert_eq!(api.chain().await[0].object, format!("failovers/{}", id(&path)));
    assert_eq!(api.post(WANG, "/v1/failovers", "k1", &lossy()).await.0, 422, "the key is for this failover alone");
}

#[tokio::test]
async fn it_works_at_the_site_without_authority_and_is_one_at_both() {
    let api = Api::over(two_sites());
    let other = api.beside(two_sites());
    let path = other.fail_over("k1", &wanted()).await;
    assert_eq!(api.site.asked(id(&path)).unwrap().site, "dc-b");
    let (status, headers, _) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, headers.contains_key("idempotency-replayed")), (201, true));
    assert_eq!(api.failovers_for("storage work"), 0, "nothing was made there");
    let chain = other.state.coordination.audit_page("dc-b", 1, 10).await.unwrap();
    assert_eq!(chain.entries.len(), 2, "in the chain of the site at which it was asked for");
}

#[tokio::test]
async fn what_the_operator_made_of_it_at_the_other_site_is_the_same_failover() {
    let api = Api::over(two_sites());
    api.site.publishes.store(false, Ordering::SeqCst);
    assert_eq!(api.post(WANG, "/v1/failovers", "k1", &wanted()).await.0, 503);
    let made = api.site.now().failovers.last().unwrap().clone();
    let mut objects = two_sites();
    let mut shown = (*made).clone();
    shown.metadata.labels = Some([("tandem.dev/asked-at".to_owned(), "dc-a".to_owned())].into());
    (shown.spec.from, shown.spec.expected_epochs) = (Some("dc-a".to_owned()), BTreeMap::new());
    objects.failovers.push(Arc::new(shown));
    api.site.take_all();
    let other = api.beside(objects);
    let (status, _, item) = other.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, item["name"].as_str()), (201, made.metadata.name.as_deref()), "{item}");
    let mut different = wanted();
    different["reason"] = json!("another");
    assert_eq!(other.post(WANG, "/v1/failovers", "k1", &different).await.0, 422);
}

#[tokio::test]
async fn what_the_operator_refuses_is_answered_with_its_reason() {
    let api = Api::over(two_sites());
    *api.site.refuses.lock().unwrap() = Some(why("tax 组的纪元为 4，而非 3"));
    for _ in 0..2 {
        let (status, _, problem) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
        assert_eq!((status, problem["reason"].as_str()), (409, Some("EpochMoved")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("at epoch 4"), "{problem}");
    }
    assert_eq!(api.failovers_for("storage work"), 1);
    assert_eq!(api.chain().await.len(), 2, "it was asked for once");
    let token = api.token_of("wang", None, &[PlatformOperator]);
    let request = Request::post("/v1/failovers")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", "k1")
        .header("accept-language", "zh")
        .header("content-type", "application/json");
    let (_, _, problem) = api.send(request.body(Body::from(wanted().to_string())).unwrap()).await;
    assert!(problem["detail"].as_str().unwrap().contains("纪元为 4"), "{problem}");
}

#[test]
fn every_reason_is_said_in_both_languages() {
    for declined in [
        Declined::Operator(why("")),
        Declined::Operator(why("纪元已变")),
        Declined::Operator(Why { reason: "Other".to_owned(), ..Why::default() }),
        Declined::NothingToMove { to: "dc-b".to_owned() },
        Declined::OwnRequest,
        Declined::Ended { phase: FailoverPhase::Completed },
        Declined::Automatic,
        Declined::PausedElsewhere { sites: ["dc-b".to_owned()].into() },
    ] {
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        let (english, chinese) = (declined.sentence(Language::English), declined.sentence(Language::Chinese));
        assert!(!is_chinese(&english) && is_chinese(&chinese) && !declined.code().is_empty(), "{english} {chinese}");
    }
}

#[tokio::test]
async fn nothing_is_promised_before_both_sites_know() {
    let api = Api::over(two_sites());
    api.site.publishes.store(false, Ordering::SeqCst);
    let (status, headers, problem) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#not-durable")));
    assert!(headers.contains_key("retry-after"));
    api.site.take_all();
    let path = api.fail_over("k1", &wanted()).await;
    assert_eq!((api.failovers_for("storage work"), api.chain().await.len()), (1, 2));
    // So it is with what is said of it.
    api.site.publishes.store(false, Ordering::SeqCst);
    let approvals = format!("{path}/approvals");
    assert_eq!(api.post(ZHAO, &approvals, "k2", &json!({"note": "fine"})).await.0, 503);
    api.site.take_all();
    assert_eq!(api.post(ZHAO, &approvals, "k2", &json!({"note": "fine"})).await.0, 202);
    assert_eq!(api.site.asked(id(&path)).unwrap().approvals.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_of_the_api_server_is_found_out_by_asking_for_it_again() {
    let api = Api::over(two_sites());
    api.site.loses.store(true, Ordering::SeqCst);
    let (status, _, problem) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#not-known")));
    api.fail_over("k1", &wanted()).await;
    assert_eq!(api.failovers_for("storage work"), 1);
}

#[tokio::test]
async fn without_the_arbiter_or_an_entry_nothing_is_done() {
    let api = Api::over(two_sites());
    api.site.store.set_down(true);
    let (status, _, problem) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#arbiter-unavailable")));
    api.site.store.set_down(false);
    let put = Op::put(Key::AuditHead("dc-a".to_owned()), &json!({"no": "head"}));
    api.site.store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    let (status, _, problem) = api.post(WANG, "/v1/failovers", "k1", &wanted()).await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#no-audit")), "{problem}");
    assert_eq!(api.failovers_for("storage work"), 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_field_and_nothing_is_made() {
    let api = Api::over(two_sites());
    let with = |field: &str, value: Value| {
        let mut body = wanted();
        body[field] = value;
        body
    };
    for (body, field) in [
        (with("selector", json!({"groups": ["tax", "nowhere"]})), "selector.groups"),
        (with("selector", json!({"groups": ["tax"], "all": true})), "selector"),
        (with("selector", json!({"unit": "nobody"})), "selector.unit"),
        (with("to", json!("dc-c")), "to"),
        (with("type", json!("Sideways")), "type"),
        (with("acceptDataLoss", json!({})), "acceptDataLoss"),
        (with("despiteNotReady", json!(true)), "despiteNotReady"),
        (with("maxParallel", json!(5000)), "maxParallel"),
        (with("requestedBy", json!("li")), "requestedBy"),
        (with("approvals", json!([{"by": "li"}])), "approvals"),
        (with("idempotencyKey", json!("mine")), "idempotencyKey"),
        (json!({"selector": {"all": true}, "type": "Switchover"}), "body"),
    ] {
        let (status, _, problem) = api.post(WANG, "/v1/failovers", "k1", &body).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(field)), "{body}: {problem}");
    }
    let (status, _, problem) = api.post(WANG, "/v1/failovers", "k1", &with("to", json!("dc-a"))).await;
    assert_eq!((status, problem["reason"].as_str()), (409, Some("NothingToMove")), "{problem}");
    for who in [("li", AgencyAdministrator), ("chen", SecurityAdministrator), ("liu", Auditor)] {
        assert_eq!(api.post(who, "/v1/failovers", "k2", &wanted()).await.0, 403);
    }
    assert_eq!(api.failovers_for("storage work"), 0);
    assert!(api.chain().await.is_empty());
}

#[tokio::test]
async fn two_people_agree_and_neither_is_who_asked() {
    let api = Api::over(two_sites());
    let path = api.fail_over("k1", &lossy()).await;
    let approvals = format!("{path}/approvals");
    let note = json!({"note": "as agreed"});
    for own in [WANG, ("Wang", PlatformOperator)] {
        let (status, _, problem) = api.post(own, &approvals, "k2", &note).await;
        assert_eq!((status, problem["reason"].as_str()), (403, Some("OwnRequest")), "{problem}");
    }
    let (status, _, item) = api.post(ZHAO, &approvals, "k3", &note).await;
    assert_eq!((status, item["spec"]["approvals"][0]["by"].as_str()), (202, Some("zhao")), "{item}");
    assert_eq!(item["spec"]["approvals"][0]["note"], "as agreed");
    // Once more, under another key, is not another person.
    let (status, _, item) = api.post(ZHAO, &approvals, "k4", &note).await;
    assert_eq!((status, item["spec"]["approvals"].as_array().map(Vec::len)), (202, Some(1)));
    api.site.moved.store(2, Ordering::SeqCst);
    assert_eq!(api.post(QIAN, &approvals, "k5", &note).await.0, 202);
    assert_eq!(api.site.asked(id(&path)).unwrap().approvals.len(), 2);
    let done = |who, what| [(who, what, Outcome::Begun), (who, what, Outcome::Done)];
    let lost = [("qian", "failovers.approve", Outcome::Begun), ("qian", "failovers.approve", Outcome::Failed)];
    let wanted = [
        done("wang", "failovers.create"),
        done("zhao", "failovers.approve"),
        lost,
        lost,
        done("qian", "failovers.approve"),
    ];
    assert_eq!(api.trail().await, trail(&wanted.concat()));
}

#[tokio::test]
async fn wishes_are_heard_and_every_operation_leaves_its_entry() {
    let api = Api::over(two_sites());
    let path = api.fail_over("k1", &wanted()).await;
    let say = |what: &'static str| {
        let (api, path) = (&api, format!("{path}/{what}"));
        async move { api.post(WANG, &path, what, &json!({})).await }
    };
    assert_eq!(say("pause").await.0, 202);
    assert!(api.site.asked(id(&path)).unwrap().paused_at.contains("dc-a"));
    assert_eq!(say("resume").await.0, 202);
    assert!(api.site.asked(id(&path)).unwrap().paused_at.is_empty());
    let (status, _, item) = say("abort").await;
    assert_eq!((status, item["spec"]["abort"].as_bool()), (202, Some(true)));
    assert!(api.site.asked(id(&path)).unwrap().abort);
    assert_eq!(api.post(ZHAO, &format!("{path}/approvals"), "k2", &json!({})).await.0, 202);
    assert_eq!(api.post(ZHAO, &format!("{path}/abort"), "k3", &json!({"note": "why"})).await.0, 400);
    let actions: BTreeSet<String> = api.chain().await.into_iter().map(|entry| entry.action).collect();
    for (_, path, action) in table::AUDITED.iter().filter(|(_, path, _)| path.starts_with("/v1/failovers")) {
        assert!(actions.contains(*action), "{path} leaves no {action}");
    }
}

#[tokio::test]
async fn what_was_asked_to_wait_at_both_sites_is_resumed_at_both() {
    let api = Api::over(two_sites());
    let path = api.fail_over("k1", &wanted()).await;
    let mut there = two_sites();
    there.failovers.push(api.site.now().failovers.last().unwrap().clone());
    let other = api.beside(there);
    for (n, one) in [&api, &other].into_iter().enumerate() {
        assert_eq!(one.post(WANG, &format!("{path}/pause"), &format!("p{n}"), &json!({})).await.0, 202);
    }
    let (status, _, problem) = api.post(WANG, &format!("{path}/resume"), "k2", &json!({})).await;
    assert_eq!((status, problem["reason"].as_str()), (409, Some("PausedElsewhere")), "{problem}");
    assert_eq!(other.post(WANG, &format!("{path}/resume"), "k3", &json!({})).await.0, 202);
    assert_eq!(api.post(WANG, &format!("{path}/resume"), "k2", &json!({})).await.0, 202);
}

#[tokio::test]
async fn what_has_ended_or_began_by_itself_takes_no_word() {
    let mut city = two_sites();
    city.failovers.push(Arc::new(failover("auto-dc-a-17", &["tax"])));
    let api = Api::over(city);
    let path = api.fail_over("k1", &wanted()).await;
    api.site.show(&path, json!({"phase": "Completed"}));
    let before = api.chain().await.len();
    for what in ["approvals", "abort", "pause", "resume"] {
        for (path, reason) in [(path.as_str(), "Ended"), ("/v1/failovers/auto-dc-a-17", "Automatic")] {
            let (status, _, problem) =
                api.post(ZHAO, &format!("{path}/{what}"), &format!("{reason}-{what}"), &json!({})).await;
            assert_eq!((status, problem["reason"].as_str()), (409, Some(reason)), "{what}: {problem}");
        }
        assert_eq!(api.post(ZHAO, &format!("/v1/failovers/none/{what}"), what, &json!({})).await.0, 404);
    }
    assert_eq!(api.chain().await.len(), before);
}

#[tokio::test]
async fn one_that_was_carried_out_is_not_asked_for_anew_when_its_key_is_forgotten() {
    let api = Api::over(two_sites());
    let path = api.fail_over("k1", &wanted()).await;
    api.site.show(&path, json!({"phase": "Completed"}));
    let mut later = two_sites();
    later.failovers.push(api.site.now().failovers.last().unwrap().clone());
    let later = Api::over(later);
    assert_eq!(later.fail_over("k1", &wanted()).await, path);
    assert_eq!((later.failovers_for("storage work"), later.chain().await.len()), (1, 0));
    let mut other = wanted();
    other["reason"] = json!("another");
    let (status, _, problem) = later.post(WANG, "/v1/failovers", "k1", &other).await;
    assert_eq!((status, problem["type"].as_str()), (422, Some("/docs/problems#key-reused")));
}

async fn events(api: &Api, role: Role, name: &str, last: Option<&str>) -> (u16, Body) {
    let unit = (!role.is_office()).then_some("health");
    let mut request = Request::get(format!("/v1/failovers/{name}/events"))
        .header("authorization", format!("Bearer {}", api.token(unit, &[role])));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = api.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    (response.status().as_u16(), response.into_body())
}

#[tokio::test]
async fn what_becomes_of_a_failover_is_told_as_it_happens_to_each_their_part() {
    let api = Api::over(two_sites());
    assert_eq!(events(&api, AgencyViewer, "water-move", None).await.0, 404);
    let (_, mut all) = events(&api, Auditor, "both-move", None).await;
    let (status, mut own) = events(&api, AgencyViewer, "both-move", None).await;
    assert_eq!(status, 200);
    let (seen, part) = (piece(&mut all).await.unwrap(), piece(&mut own).await.unwrap());
    assert!(seen.contains("event: failover\n") && seen.contains("water-group") && seen.contains("wang"), "{seen}");
    assert!(part.contains("health-group") && !part.contains("water") && !part.contains("wang"), "{part}");
    let last = seen.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    // What concerns others alone is no news to an agency.
    let show = |phase: &str, water: &str| {
        let groups = json!([{"name": "health-group"}, {"name": "water-group", "step": water}]);
        let waves = json!([{"number": 0, "groups": ["health-group", "water-group"]}]);
        let status = json!({"phase": phase, "message": water, "groups": groups, "waves": waves});
        api.site.show("/v1/failovers/both-move", status);
    };
    show("Running", "Promoting");
    assert!(piece(&mut all).await.unwrap().contains("Promoting"));
    show("Completed", "Completed");
    let seen = piece(&mut own).await.unwrap();
    assert!(seen.contains("\"phase\":\"Completed\""), "{seen}");
    drop(own);
    let (_, mut back) = events(&api, Auditor, "both-move", Some(&last)).await;
    assert!(piece(&mut back).await.unwrap().contains("\"phase\":\"Completed\""));
    assert!(piece(&mut back).await.unwrap().contains("event: end\n"));
    assert_eq!(piece(&mut back).await, None);
}
