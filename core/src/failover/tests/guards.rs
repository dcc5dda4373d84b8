//! Guards that a well-meaning arbiter or provider would cover up for: each is looked at alone.

use super::toy::{A, B, World, s};
use crate::failover::*;

fn released() -> (World, usize) {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until_step(n, Step::Fencing);
    while w.arbiter.record.phase == Phase::Held {
        w.run(A, n, None);
    }
    w.tick(s(0));
    (w, n)
}

fn decide(w: &World, n: usize, site: &'static str, change: impl Fn(&mut Observation, &mut Journal)) -> Decision {
    let (mut seen, mut journal) = (w.observe(site, n), w.journal(n).clone());
    change(&mut seen, &mut journal);
    step(&journal, &seen, Now { boot: w.now, wall: jiff::Timestamp::UNIX_EPOCH })
}

#[test]
fn nothing_is_demoted_before_the_target_has_everything() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.site(B).stalled = true;
    w.rounds(8);
    assert_eq!(w.journal(n).step, Step::FinalSync);
    assert_eq!(w.decide(A, n).because, Reason::TargetBehind { site: B.into() });
    // It catches up in time.
    let mut late = w.clone();
    late.site(B).stalled = false;
    late.until("over", |w| w.journal(n).over);
    assert_eq!(late.journal(n).step, Step::Protected);
    // It does not.
    w.until("over", |w| w.journal(n).over);
    assert_eq!((w.journal(n).step, w.serves(A)), (Step::RolledBack, true));
    assert!(!w.happened("dc-a Demote"));
}

#[test]
fn a_final_position_that_is_not_known_is_not_reached() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until_step(n, Step::FinalSync);
    w.run(A, n, None);
    let next = |change: fn(&mut Observation)| decide(&w, n, A, |seen, _| change(seen)).next.map(|j| j.step);
    assert_eq!(next(|_| {}), Some(Step::Demoting));
    assert_eq!(next(|o| o.situation.sites.get_mut(B).unwrap().data.as_mut().unwrap().position = None), None);
    assert_eq!(next(|o| o.situation.sites.get_mut(B).unwrap().data = None), None);
    let forget = |o: &mut Observation| {
        o.answers.iter_mut().for_each(|a| a.answer = Answer::Done { note: String::new(), position: None });
    };
    assert_eq!(next(forget), None);
}

#[test]
fn a_release_is_claimed_when_all_have_seen_it_or_after_t() {
    let (w, n) = released();
    let claims = |change: fn(&mut Observation)| decide(&w, n, B, |seen, _| change(seen));
    assert_eq!(claims(|o| o.release_seen = true).transaction(), Some(Transaction::ClaimRelease));
    let waits = claims(|o| o.release_seen = false);
    assert_eq!((waits.transaction(), waits.because.code()), (None, "ReleaseNotSeen"));
    assert_eq!(waits.wake, Some(w.observe(B, n).situation.record.since + s(10)));
    let later = claims(|o| (o.release_seen, o.situation.record.since) = (false, o.situation.record.since - s(10)));
    assert_eq!(later.transaction(), Some(Transaction::ClaimRelease));
    let unready = claims(|o| o.situation.sites.get_mut(B).unwrap().ready_since = None);
    assert_eq!((unready.transaction(), unready.because.code()), (None, "TargetNotReady"));
}

#[test]
fn a_claim_and_a_promotion_need_the_proof_of_the_fence() {
    let unproven = |journal: &mut Journal| {
        journal.evidence.iter_mut().filter(|e| e.step == Step::Fencing).for_each(|e| e.outcome = None);
    };
    let (mut w, n) = released();
    let claim = decide(&w, n, B, |_, journal| unproven(journal));
    assert_eq!((claim.transaction(), claim.because.code()), (None, "NoFenceProof"));
    for at in [Step::EpochCommitted, Step::Promoting] {
        w.until_step(n, at);
        let on = decide(&w, n, B, |_, journal| unproven(journal));
        assert_eq!(on.effects().next(), None);
        let next = on.next.unwrap();
        assert_eq!((next.step, next.side), (at, Some(Side::NeedsHuman { why: Reason::NoFenceProof })));
    }
}

#[test]
fn a_request_for_another_epoch_is_dropped() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request { expected_epoch: Some(3), ..Request::default() });
    w.rounds(3);
    assert!(w.journal(n).over);
    assert_eq!(w.journal(n).why, Some(Reason::EpochMoved { expected: 3, found: 4 }));
    let n = w.ask(ExecutionKind::Switchover, A, B, Request { expected_epoch: Some(4), ..Request::default() });
    w.until("over", |w| w.journal(n).over);
    assert_eq!(w.journal(n).step, Step::Protected);
}

#[test]
fn a_group_that_is_being_moved_is_not_moved_by_another() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.tick(s(0));
    let blocked = decide(&w, n, A, |seen, _| seen.situation.record.execution = Some("other".into()));
    assert_eq!(blocked.transaction(), Some(Transaction::PutJournal));
    assert_eq!(blocked.because, Reason::OtherExecution { execution: "other".into() });
    // A source that is lost in the middle of a switchover is taken over nevertheless.
    w.site(A).alive = false;
    w.tick(s(11));
    let n = w.ask(ExecutionKind::Failover, A, B, Request::default());
    w.tick(s(0));
    let goes = decide(&w, n, B, |seen, _| seen.situation.record.execution = Some("other".into()));
    assert_eq!(goes.next.unwrap().step, Step::Fencing);
}

#[test]
fn a_refused_token_is_not_sent_again() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until_step(n, Step::Quiescing);
    w.run(A, n, None);
    let refused = decide(&w, n, A, |seen, _| seen.answers.iter_mut().for_each(|a| a.answer = Answer::Refused));
    assert!(refused.actions.is_empty());
    assert_eq!(refused.because, Reason::TokenRefused);
    let at = w.now;
    let failed = |ago| {
        decide(&w, n, A, |seen, _| {
            seen.answers.iter_mut().for_each(|a| a.answer = Answer::Failed { why: "no".into(), at: at - ago });
        })
    };
    assert_eq!(failed(s(0)).effects().count(), 0, "left alone for a second");
    assert_eq!(failed(s(1)).effects().count(), 1);
}

#[test]
fn a_group_waits_for_its_turn() {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.tick(s(0));
    let db = || ["db".to_owned()].into();
    let waits = decide(&w, n, A, |seen, _| seen.turn = Turn::Waits { groups: db() });
    assert!(waits.actions.is_empty());
    let stuck = decide(&w, n, A, |seen, _| seen.turn = Turn::Stuck { groups: db() });
    assert_eq!(standing(&stuck.next.unwrap()), Standing::Blocked);
}
