//! The report on a failover: who is told what, in which form, and for how long it is found.

use super::*;
use crate::identity::Role::{AgencyViewer, Auditor, PlatformOperator};
use crate::objects::testing::failover;
use tandem_arbiter::records::{Key, parts};
use tandem_arbiter::txn::{Op, Txn};
use tandem_core::failover::{ExecutionKind, Journal};
use tandem_core::report::{Asked, FailoverReport, Move, Sources, Wanted};
use tandem_core::sync::spec_hash;
use tandem_crds::FailoverPhase;

fn report(execution: &str, groups: &[&str]) -> FailoverReport {
    let asked = Asked {
        kind: ExecutionKind::Failover,
        from: "dc-a".into(),
        to: "dc-b".into(),
        by: "wang".into(),
        site: "dc-b".into(),
        reason: "dc-a lost power".into(),
        at: at(1),
        automatic: false,
        approvals_wanted: 0,
        approvals: Vec::new(),
        accept_data_loss: None,
        despite_not_ready: false,
        abort: false,
    };
    let journal = Journal::new((execution, "g"), ExecutionKind::Failover, ("dc-a", "dc-b"), 4, at(2));
    let of = || Move {
        journal: Some((&journal, 9)),
        epoch: 4,
        waits: None,
        wanted: Wanted::default(),
        applications: Vec::new(),
    };
    FailoverReport::of(&Sources {
        execution,
        asked: &asked,
        phase: FailoverPhase::Completed,
        waves: Vec::new(),
        moves: groups.iter().map(|name| ((*name).to_owned(), of())).collect(),
        drill: None,
        site: "dc-b",
        now: at(5),
    })
}

/// An API at whose arbiter reports are kept.
fn with(reports: &[FailoverReport]) -> Api {
    let mut city = city();
    city.failovers.push(Arc::new(failover("unreported", &["health-group"])));
    let api = Api::over(city);
    for report in reports {
        for (place, part) in (0..).zip(parts(report, 0)) {
            let put = Op::put(Key::Report { execution: report.execution.clone(), part: place }, &part);
            api.site.store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
        }
    }
    api
}

const BOTH: &str = "/v1/failovers/both-move/report";

#[tokio::test]
async fn offices_are_told_all_and_can_prove_it_unchanged() {
    let written = report("both-move", &["health-group", "water-group"]);
    let api = with(std::slice::from_ref(&written));
    for role in [PlatformOperator, Auditor] {
        let (status, headers, mut told) = api.get(role, BOTH).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"), "{told}");
        let digest = told.as_object_mut().unwrap().remove("sha256").unwrap();
        assert_eq!(
            (digest.as_str(), &told),
            (Some(spec_hash(&told).as_str()), &serde_json::to_value(&written).unwrap())
        );
    }
    let (status, headers, page) = api.get(Auditor, &format!("{BOTH}?format=html")).await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(status == 200 && policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let page = page.as_str().unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("water-group") && page.contains(&written.digest()));
    for (query, field) in [("format=pdf", "format"), ("format=json&format=html", "format"), ("form=html", "form")] {
        let (status, _, problem) = api.get(Auditor, &format!("{BOTH}?{query}")).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(field)), "{query}: {problem}");
    }
}

#[tokio::test]
async fn an_agency_is_told_its_own_part() {
    let api = with(&[report("both-move", &["health-group", "water-group"]), report("water-move", &["water-group"])]);
    let (status, _, told) = api.get(AgencyViewer, BOTH).await;
    let text = told.to_string();
    assert_eq!((status, told["groups"][0]["name"].as_str()), (200, Some("health-group")), "{text}");
    for foreign in ["water", "wang", "power", "sha256"] {
        assert!(!text.contains(foreign), "{foreign}: {text}");
    }
    let (_, _, page) = api.get(AgencyViewer, &format!("{BOTH}?format=html")).await;
    assert!(page.as_str().unwrap().contains("health-group") && !page.as_str().unwrap().contains("water"));
    assert_eq!(api.get(AgencyViewer, "/v1/failovers/water-move/report").await.0, 404);
}

#[tokio::test]
async fn a_report_is_found_when_its_failover_is_gone_and_said_to_be_missing_before() {
    let api = with(&[report("auto-dc-a-7", &["health-group"])]);
    let (status, _, told) = api.get(Auditor, "/v1/failovers/auto-dc-a-7/report").await;
    assert_eq!((status, told["execution"].as_str()), (200, Some("auto-dc-a-7")), "{told}");
    assert_eq!(api.get(AgencyViewer, "/v1/failovers/auto-dc-a-7/report").await.0, 200);
    let (status, _, problem) = api.get(Auditor, "/v1/failovers/unreported/report").await;
    assert_eq!((status, problem["type"].as_str()), (409, Some("/docs/problems#no-report")), "{problem}");
    let (status, _, problem) = api.get(Auditor, "/v1/failovers/nothing/report").await;
    assert_eq!((status, problem["type"].as_str()), (404, Some("/docs/problems#not-found")), "{problem}");
    api.site.store.set_down(true);
    assert_eq!(api.get(Auditor, BOTH).await.0, 503);
}
