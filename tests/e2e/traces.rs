//! One id in the logs of all programs at both sites, from the request to Ready.

use crate::world::{PATIENCE, World};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_core::names::ANNOTATION_TRACE;
use tandem_core::trace::Trace;
use tandem_crds::Kind;
use tandem_tests::https::{Caller, Shown};
use tandem_tests::{api, eventually, fixtures};

/// The example of the standard, and the trace that it belongs to.
const ASKED_IN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ASKED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const DECIDED_IN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a site's programs have logged in a trace.
fn logged(world: &World, site: &str, trace: &str) -> Vec<Value> {
    let programs = ["api", "operator-0", "operator-1"];
    let read =
        |program| std::fs::read_to_string(world.lab.dir().join(site).join(format!("log/{program}.log"))).unwrap();
    let texts = programs.map(read);
    let lines = texts.iter().flat_map(|text| text.lines()).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["trace_id"] == trace).collect()
}

/// The line that says so of an object.
fn line<'a>(lines: &'a [Value], message: &str, kind: &str) -> Option<&'a Value> {
    lines.iter().find(|line| line["message"] == message && line["kind"] == kind)
}

/// The trace that stands on an object, which is the same at both sites.
async fn stands_on(world: &World, kind: Kind, namespace: Option<&str>, name: &str) -> String {
    let (a, b) = (api(&world.a, kind, namespace), api(&world.b, kind, namespace));
    eventually(&format!("{kind} {name} to bear one trace at both sites"), PATIENCE, || async {
        let (a, b) = (a.get_opt(name).await.ok()??, b.get_opt(name).await.ok()??);
        let said =
            |object: &kube::api::DynamicObject| object.metadata.annotations.as_ref()?.get(ANNOTATION_TRACE).cloned();
        said(&a).filter(|trace| said(&b).as_ref() == Some(trace))
    })
    .await
}

fn asks(world: &World, person: &'static str, traceparent: &str) -> Caller {
    world.lab.asks_api("dc-a", Shown::Person(person)).with_trace(traceparent)
}

pub(crate) async fn one_trace_goes_from_the_request_to_ready_in_both_sites(world: Arc<World>) {
    world.agency("health").await;
    let (li, wang) = (asks(&world, "li", ASKED_IN), asks(&world, "wang", DECIDED_IN));
    eventually("the unit to be shown", PATIENCE, || async {
        li.try_get("/v1/units/health").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let application = fixtures::application("health-traced", "web", 1);
    let asked = json!({
        "type": "Create", "environment": "health-traced", "purpose": "Test", "reason": "a test",
        "quota": {"cpu": "2", "memory": "8Gi", "storage": "50Gi", "pods": 10},
        "applications": [{"name": "web", "spec": application["spec"]}],
    });
    let made = li.post("/v1/requests", "traced", &asked).await;
    assert_eq!(made.status, 201, "{made:?}");
    let answered_in = Trace::parse(&made.traceparent.unwrap()).unwrap();
    assert_eq!(answered_in.trace_id(), ASKED);
    let place = made.location.unwrap();
    let request = made.body["name"].as_str().unwrap();
    let decision = json!({"outcome": "Approve", "digest": made.body["digest"]});
    let decided = wang.post(&format!("{place}/decisions"), "traced-yes", &decision).await;
    assert_eq!(decided.status, 202, "{decided:?}");
    world.ready(Kind::Environment, None, "health-traced").await;
    world.ready(Kind::Application, Some("health-traced"), "web").await;
    eventually("the request to be provisioned", PATIENCE, || async {
        li.try_get(&place).await.ok().filter(|answer| answer.body["status"]["phase"] == "Provisioned")
    })
    .await;

    let [a, b] = eventually("the trace to be in the logs of both sites", PATIENCE, || async {
        let found = ["dc-a", "dc-b"].map(|site| logged(&world, site, ASKED));
        found.iter().all(|lines| line(lines, "ready", "Application").is_some()).then_some(found)
    })
    .await;
    let post = a.iter().find(|line| line["message"] == "answered" && line["method"] == "POST").unwrap();
    assert_eq!(
        (&post["program"], &post["site"], &post["status"], &post["path"], &post["span_id"]),
        (&json!("tandem-api"), &json!("dc-a"), &json!(201), &json!("/v1/requests"), &json!(answered_in.span_id())),
    );
    for (kind, name) in [("EnvironmentRequest", request), ("Environment", "health-traced"), ("Application", "web")] {
        for (lines, site, message) in [(&a, "dc-a", "published"), (&b, "dc-b", "followed")] {
            let found = line(lines, message, kind).unwrap_or_else(|| panic!("no {message} {kind} in {lines:#?}"));
            let from = (&found["program"], &found["site"], &found["name"]);
            assert_eq!(from, (&json!("tandem-operator"), &json!(site), &json!(name)), "{found}");
            let ready = line(lines, "ready", kind).unwrap_or_else(|| panic!("{kind} is not ready in {lines:#?}"));
            let seconds = ready["elapsed_seconds"].as_f64().unwrap();
            assert!((0.0..PATIENCE.as_secs_f64()).contains(&seconds), "{ready}");
            assert!(kind == "EnvironmentRequest" || line(lines, "applied", kind).is_some(), "{kind} {lines:#?}");
        }
    }
    for lines in [&a, &b] {
        let ready: Vec<String> = lines
            .iter()
            .filter(|line| line["message"] == "ready")
            .map(|line| format!("{}/{}@{}", line["kind"], line["name"], line["revision"]))
            .collect();
        assert_eq!(ready.len(), ready.iter().collect::<BTreeSet<_>>().len(), "told twice: {ready:?}");
    }
    assert!(a.iter().any(|line| line["step"] == "carry-out"), "{a:#?}");
    let decided = logged(&world, "dc-a", &DECIDED_IN[3..35]);
    assert!(decided.iter().all(|line| line["program"] == "tandem-api") && !decided.is_empty(), "{decided:#?}");
    for (kind, namespace, name) in [
        (Kind::EnvironmentRequest, None, request),
        (Kind::Environment, None, "health-traced"),
        (Kind::Application, Some("health-traced"), "web"),
    ] {
        let said = stands_on(&world, kind, namespace, name).await;
        assert_eq!(Trace::parse(&said).unwrap().trace_id(), ASKED, "{kind} {name}");
    }

    // What somebody else changes has a trace of its own, the same at both sites.
    let patch = json!({"spec": {"displayName": {"zh": "追踪", "en": "Traced"}}});
    let applications = api(&world.a, Kind::Application, Some("health-traced"));
    applications.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let by_hand = eventually("the edit to have a trace of its own", PATIENCE, || async {
        let said = stands_on(&world, Kind::Application, Some("health-traced"), "web").await;
        Trace::parse(&said).map(|trace| trace.trace_id()).filter(|trace| trace != ASKED)
    })
    .await;
    eventually("the edit to be followed in the logs", PATIENCE, || async {
        let (a, b) = (logged(&world, "dc-a", &by_hand), logged(&world, "dc-b", &by_hand));
        (line(&a, "published", "Application").is_some() && line(&b, "ready", "Application").is_some()).then_some(())
    })
    .await;
}
