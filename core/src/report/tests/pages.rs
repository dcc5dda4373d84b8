//! How a report looks.

use super::*;
use crate::report::{page, text};

fn whole() -> FailoverReport {
    let mut asked = asked(ExecutionKind::Failover);
    asked.accept_data_loss = Some(AcceptDataLoss { max_seconds: Some(60) });
    asked.approvals = ["ann", "bob"].map(|by| Approval { by: by.into(), at: at(10_000) }).into();
    let journal = failover();
    report(&asked, FailoverPhase::PartlyCompleted, &[("hall", None), ("tax", Some(&journal))])
}

fn returned() -> FailoverReport {
    let journal = followed(&failover(), Some(dropped()));
    report(&asked(ExecutionKind::Failover), FailoverPhase::Completed, &[("tax", Some(&journal))])
}

fn planned() -> FailoverReport {
    let journal = followed(&switchover(), None);
    report(&asked(ExecutionKind::Switchover), FailoverPhase::Completed, &[("tax", Some(&journal))])
}

#[test]
fn for_a_terminal() {
    insta::assert_snapshot!("failover", text(&whole(), Language::English));
    insta::assert_snapshot!("failover_zh", text(&whole(), Language::Chinese));
    insta::assert_snapshot!("returned", text(&returned(), Language::English));
    insta::assert_snapshot!("switchover", text(&planned(), Language::English));
    insta::assert_snapshot!("switchover_zh", text(&planned(), Language::Chinese));
}

#[test]
fn as_a_page() {
    insta::assert_snapshot!("page", page(&whole(), Some("ab12")));
}

/// A drill of two groups: one passed, the other never began.
fn drill() -> FailoverReport {
    let drill = serde_json::from_value(serde_json::json!({"site": "dc-b", "groups": [
        {"name": "hall", "step": "Completed", "result": "NotDrilled", "epoch": 4, "began": at(0), "ended": at(0),
         "why": [{"reason": "NoRoom", "message": "dc-b has no room", "messageZh": "dc-b 没有余量"}]},
        {"name": "tax", "step": "Completed", "result": "Passed", "epoch": 4, "began": at(10), "cloned": at(500),
         "ended": at(9_000), "rtoSeconds": 7.25, "rpoSeconds": 1.5, "clones": [{
            "environment": "tax-prod", "application": "portal", "component": "web", "deployment": "drill-a1-portal-web",
            "wanted": 2, "ready": 2}]},
    ]}));
    let moves = ["hall", "tax"].map(|name| (name.to_owned(), moved(name, None)));
    FailoverReport::of(&Sources {
        execution: "rehearsal",
        asked: &asked(ExecutionKind::Drill),
        phase: FailoverPhase::PartlyCompleted,
        waves: vec![vec!["hall".to_owned(), "tax".to_owned()]],
        moves: moves.into(),
        drill: drill.unwrap(),
        site: "dc-b",
        now: at(10_000),
    })
}

#[test]
fn a_drill_moved_nothing_and_says_what_its_clones_came_to() {
    let report = drill();
    assert!(report.settled && report.began == Some(at(0)) && report.ended == Some(at(9_000)));
    assert_eq!(report.rto.measured_millis, Some(7_250));
    insta::assert_snapshot!("drill", text(&report, Language::English));
    insta::assert_snapshot!("drill_zh", text(&report, Language::Chinese));
    let shown = page(&report, None);
    assert!(shown.contains("dc-b has no room") && shown.contains("tax-prod/portal web: 2 / 2 ready"), "{shown}");
    let part = report.part(&|group| group == "tax").unwrap();
    assert_eq!(part.drill.unwrap().groups.len(), 1, "an agency is told of its own groups");
    assert!(part.next.is_empty(), "{:?}", part.next);
}

#[test]
fn for_programs() {
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&planned()).unwrap());
}

#[test]
fn whatever_comes_from_an_object_is_escaped() {
    let page = page(&whole(), None);
    assert!(page.contains("dc-a lost &lt;power&gt; &amp; cooling") && !page.contains("<power>"));
    assert!(!page.contains("<script") && !page.contains("http"), "it loads nothing and runs nothing");
}
