//! The transitions, one by one.

use super::toy::{A, B, World, s};
use crate::failover::*;

#[test]
fn a_planned_move_takes_these_steps_in_this_order() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until("over", |w| w.journal(n).over);
    let log: Vec<&str> = w.log.iter().map(String::as_str).collect();
    let ours: Vec<&str> = log.iter().copied().filter(|l| !l.ends_with("ScaleStandby")).collect();
    assert_eq!(
        ours,
        [
            "dc-a Begin Quiescing",
            "dc-a Quiesce",
            "dc-a PutJournal FinalSync",
            "dc-a FinalSync",
            "dc-a PutJournal Demoting",
            "dc-a Demote",
            "dc-a PutJournal Fencing",
            "dc-a Fence",
            "dc-a Release Fencing",
            "dc-b ClaimRelease EpochCommitted",
            "dc-b PutJournal Promoting",
            "dc-b Promote",
            "dc-b ScaleActive",
            "dc-b PutJournal Redirecting",
            "dc-b Redirect",
            "dc-b PutJournal Verifying",
            "dc-b Verify",
            "dc-b End Completed",
            "dc-b PutJournal Resyncing",
            "dc-b PutJournal Protected",
        ]
    );
    assert_eq!((w.arbiter.record.epoch, w.arbiter.record.execution.as_deref()), (5, None));
    assert!(w.journal(n).evidence.iter().all(|e| e.outcome == Some(Outcome::Done) && e.ended.is_some()));
}

#[test]
fn an_unplanned_move_leaves_out_what_needs_the_source() {
    let mut w = World::new(World::data());
    w.site(A).alive = false;
    let n = w.ask(ExecutionKind::Failover, A, B, Request::default());
    w.until_step(n, Step::Resyncing);
    assert_eq!(
        w.log,
        [
            "dc-b PutJournal Validating", // Blocked until the holder has been silent for T
            "dc-b PutJournal Fencing",
            "dc-b TakeOver { watched: 11, automatic: false } EpochCommitted",
            "dc-b PutJournal Promoting",
            "dc-b Promote",
            "dc-b ScaleActive",
            "dc-b PutJournal Redirecting",
            "dc-b Redirect",
            "dc-b PutJournal Verifying",
            "dc-b Verify",
            "dc-b End Completed",
            "dc-b PutJournal Resyncing",
        ]
    );
    let skipped: Vec<Step> = w
        .journal(n)
        .evidence
        .iter()
        .filter(|e| e.outcome == Some(Outcome::SkippedUnreachable))
        .map(|e| e.step)
        .collect();
    assert_eq!(skipped, [Step::Quiescing, Step::FinalSync, Step::Demoting]);
    assert!(w.journal(n).fence_proof().unwrap().note.contains("revision 11"));
}

#[test]
fn a_group_without_data_moves_by_its_gate_alone() {
    let mut w = World::new(Policy::default());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until("over", |w| w.journal(n).over);
    assert_eq!(w.journal(n).step, Step::Protected);
    assert!(
        w.log.iter().all(|l| !["Quiesce", "Promote", "Demote", "Fence"].iter().any(|k| l.ends_with(k))),
        "{:?}",
        w.log
    );
}

#[test]
fn only_the_driver_acts() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.tick(s(0));
    for _ in 0..40 {
        let driver = if w.arbiter.record.held_by(A) { A } else { B };
        let other = if driver == A { B } else { A };
        let idle = w.decide(other, n);
        assert!(idle.transaction().is_none(), "{idle:?}");
        if w.journal(n).step < Step::EpochCommitted {
            assert!(idle.actions.is_empty(), "{idle:?}");
        }
        w.run(driver, n, None);
        w.tick(s(0));
    }
    assert_eq!(w.journal(n).step, Step::Protected);
}

#[test]
fn a_replica_without_a_say_does_nothing() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.tick(s(0));
    let seen = w.observe(A, n);
    let now = Now { boot: w.now, wall: jiff::Timestamp::UNIX_EPOCH };
    let decide = |change: &dyn Fn(&mut Observation, &mut Journal)| {
        let (mut seen, mut journal) = (seen.clone(), w.journal(n).clone());
        change(&mut seen, &mut journal);
        step(&journal, &seen, now)
    };
    let why = |change: &dyn Fn(&mut Observation, &mut Journal)| {
        let decision = decide(change);
        assert!(decision.actions.is_empty(), "{decision:?}");
        decision.because.code()
    };
    assert_eq!(decide(&|_, _| {}).transaction(), Some(Transaction::Begin));
    assert_eq!(why(&|o, _| o.situation.leads = false), "NotLeader");
    assert_eq!(why(&|o, _| o.situation.fenced = true), "Fenced");
    assert_eq!(why(&|o, _| o.settled = false), "AnswerOutstanding");
    assert_eq!(why(&|o, _| o.situation.me = "dc-c".into()), "NotConcerned");
    assert_eq!(why(&|_, j| j.over = true), "Over");
    assert_eq!(why(&|_, j| j.kind = ExecutionKind::Drill), "DrillIsElsewhere");
    assert_eq!(why(&|o, _| o.situation.record.phase = Phase::Unconfirmed), "Unconfirmed");
    assert_eq!(why(&|o, _| o.situation.record.epoch = 3), "StaleView");
    assert_eq!(why(&|_, j| j.step = Step::Promoting), "StaleView");
}

#[test]
fn a_move_that_was_overtaken_is_closed_by_the_holder_and_touches_nothing() {
    let mut w = World::new(World::data());
    let planned = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until_step(planned, Step::FinalSync);
    w.site(A).alive = false;
    let unplanned = w.ask(ExecutionKind::Failover, A, B, Request::default());
    w.until_step(unplanned, Step::Resyncing);
    let journal = w.journal(planned);
    assert!(journal.over && journal.step == Step::RolledBack, "{journal:?}");
    assert_eq!(journal.why, Some(Reason::Superseded { epoch: 5 }));
    w.revive(A);
    w.until("over", |w| w.journal(unplanned).over);
    assert!(!w.happened("dc-a Resume"));
    assert_eq!(w.journal(unplanned).step, Step::Protected);
}

#[test]
fn a_pause_waits_only_before_anything_was_touched() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request { paused: true, ..Request::default() });
    w.rounds(10);
    assert_eq!((w.journal(n).step, &w.journal(n).side), (Step::Validating, &Some(Side::Paused)));
    w.requests[n].paused = false;
    w.until_step(n, Step::Quiescing);
    w.requests[n].paused = true;
    w.until("over", |w| w.journal(n).over);
    assert_eq!(w.journal(n).step, Step::Protected);
}

#[test]
fn the_gate_is_shut_from_quiescing_to_promoting() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    for _ in 0..400 {
        let (step, a, b) = (w.journal(n).step, w.serves(A), w.serves(B));
        let expected = match step {
            Step::Validating => (true, false),
            _ if step < Step::Redirecting => (false, false),
            _ => (false, true),
        };
        assert_eq!((a, b), expected, "{step:?}");
        assert!(!b || w.sites[B].role == Role::Active);
        w.run(A, n, None);
        w.run(B, n, None);
        w.tick(s(0));
    }
    let mut record = w.arbiter.record.clone();
    record.execution = Some("unheard-of".into());
    assert!(!may_serve(B, false, &record, Some(w.journal(n))), "without its journal the answer is no");
}

#[test]
fn a_fenced_site_empties_only_late() {
    let w = World::new(World::data());
    let mut seen = w.observe_situation(A);
    assert!(!to_standby(&seen, None, s(5000)));
    assert!(!to_standby(&seen, Some(s(100)), s(699)));
    assert!(to_standby(&seen, Some(s(100)), s(700)));
    seen.record.active = B.into();
    assert!(to_standby(&seen, None, s(0)));
    seen.record.phase = Phase::Released { to: A.into() };
    assert!(!to_standby(&seen, None, s(0)));
}
