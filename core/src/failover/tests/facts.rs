//! What the machine writes down for those who read about a move later.

use super::toy::{A, B, World, s};
use crate::failover::*;

fn facts(journal: &Journal, step: Step) -> Facts {
    journal.evidence.iter().find(|evidence| evidence.step == step).unwrap().facts.clone()
}

#[test]
fn a_switchover_has_the_positions_that_prove_it() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until("over", |w| w.journal(n).over);
    let sync = facts(w.journal(n), Step::FinalSync);
    let (source, target) = (sync.source.unwrap(), sync.target.unwrap());
    assert_eq!(source.age_millis, None, "the answer to the call, not a report");
    assert!(target.age_millis.is_some() && target.position >= source.position, "{sync:?}");
    assert!(sync.token.is_some_and(|token| token.epoch == 4));
    assert!(facts(w.journal(n), Step::Fencing).token.is_some());
    assert!(facts(w.journal(n), Step::EpochCommitted).release_seen.is_some());
    assert!(facts(w.journal(n), Step::Promoting).target.is_some_and(|stood| stood.position.is_some()));
}

#[test]
fn a_failover_has_the_silence_the_risk_and_who_agreed() {
    let mut w = World::new(World::data());
    w.policy.rpo = s(3);
    w.site(A).alive = false;
    let people = ["ann", "bob"].map(|by| Approval { by: by.into(), at: jiff::Timestamp::UNIX_EPOCH });
    let accepted = AcceptDataLoss { max_seconds: Some(60) };
    let request = Request { accept_data_loss: Some(accepted), approvals: people.into(), ..Request::default() };
    let n = w.ask(ExecutionKind::Failover, A, B, request);
    w.until_step(n, Step::Resyncing);
    let decided = facts(w.journal(n), Step::Fencing);
    let silence = decided.silence.unwrap();
    assert!(silence.unmoved_millis >= silence.take_over_millis && silence.revision > 0, "{silence:?}");
    let risk = decided.risk.unwrap();
    assert_eq!((risk.rpo_millis, risk.accepted), (3_000, Some(accepted)));
    assert!(risk.exposure_millis.is_some_and(|exposure| exposure <= 60_000), "{risk:?}");
    assert_eq!(decided.approvers, ["ann", "bob"]);
    assert!(decided.source.is_some_and(|stood| stood.age_millis.is_some()), "the last that was heard of it");
}

#[test]
fn what_the_former_source_dropped_is_this_moves_or_nothings() {
    for (epoch, taken) in [(5, true), (4, false)] {
        let mut w = World::new(World::data());
        w.site(A).alive = false;
        let n = w.ask(ExecutionKind::Failover, A, B, Request::default());
        w.until_step(n, Step::Resyncing);
        w.revive(A);
        let dropped =
            Dropped { epoch, from: 90, to: 100, transactions: Some(7), first_commit: None, last_commit: None };
        w.site(A).dropped = Some(dropped);
        w.until("over", |w| w.journal(n).over);
        assert_eq!(facts(w.journal(n), Step::Resyncing).dropped, taken.then_some(dropped));
    }
}

#[test]
fn what_went_wrong_on_the_way_stays_in_the_journal() {
    let mut w = World::new(World::data());
    w.site(B).room = Some(false);
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.rounds(10);
    w.site(B).room = Some(true);
    w.site(B).failing.insert(EffectKind::Promote);
    w.until_step(n, Step::Promoting);
    w.rounds(12);
    w.site(B).failing.clear();
    w.until("over", |w| w.journal(n).over);
    let journal = w.journal(n);
    let first = &journal.incidents[0];
    assert_eq!((first.side.as_str(), first.reason.as_str(), first.step), ("Blocked", "NoRoom", Step::Validating));
    assert!(first.until.is_some());
    let failures = facts(journal, Step::Promoting).failures.unwrap();
    assert!(failures.count > 0 && failures.last == "no", "{failures:?}");
}

#[test]
fn incidents_are_counted_where_they_are_too_many_to_keep() {
    let wall = jiff::Timestamp::UNIX_EPOCH;
    let mut journal = Journal::new(("x", "g"), ExecutionKind::Switchover, (A, B), 4, wall);
    for round in 0..40 {
        journal = journal.with_side((round % 2 == 0).then_some(Side::Paused), wall);
    }
    assert_eq!((journal.incidents.len(), journal.more_incidents), (12, 8));
    assert!(journal.incidents.iter().all(|incident| incident.until.is_some()));
}

#[test]
fn a_journal_of_an_older_release_reads_and_one_of_a_newer_is_passed_over() {
    let evidence = serde_json::json!([{"step": "Validating", "begun": "2026-01-01T00:00:00Z", "facts": {"ofTomorrow": 1}},
                                      {"step": "Fencing", "begun": "2026-01-01T00:00:00Z"}]);
    let value = serde_json::json!({"execution": "x", "group": "g", "kind": "Failover", "from": A, "to": B, "epoch": 1,
                                   "entry": 2, "step": "Fencing", "evidence": evidence});
    let journal: Journal = serde_json::from_value(value).unwrap();
    assert!(journal.evidence.iter().all(|evidence| evidence.facts.is_empty()));
    let written = serde_json::to_value(&journal).unwrap();
    assert!(written["evidence"][1].get("facts").is_none() && written.get("incidents").is_none());
}
