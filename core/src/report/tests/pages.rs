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

#[test]
fn for_programs() {
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&planned()).unwrap());
}

#[test]
fn a_rehearsal_has_what_it_found_and_asks_for_no_move() {
    let found = serde_json::json!({"groups": [{"name": "tax", "rtoMillis": 1200}]});
    let drill = report(&asked(ExecutionKind::Drill), FailoverPhase::Completed, &[("tax", None)]);
    let drill = FailoverReport { drill: Some(found), ..drill };
    assert!(drill.next.is_empty() && drill.settled, "{:?}", drill.next);
    assert!(text(&drill, Language::Chinese).contains("rtoMillis") && page(&drill, None).contains("<pre>"));
}

#[test]
fn whatever_comes_from_an_object_is_escaped() {
    let page = page(&whole(), None);
    assert!(page.contains("dc-a lost &lt;power&gt; &amp; cooling") && !page.contains("<power>"));
    assert!(!page.contains("<script") && !page.contains("http"), "it loads nothing and runs nothing");
}
