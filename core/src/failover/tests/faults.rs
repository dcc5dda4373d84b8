//! Faults of failover.md, section 7, by number.

use std::collections::BTreeMap;

use super::toy::{A, B, World, s};
use crate::failover::*;

fn switchover() -> (World, usize) {
    let mut w = World::new(World::data());
    let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    (w, n)
}

fn failover(request: Request) -> (World, usize) {
    let mut w = World::new(World::data());
    w.site(A).alive = false;
    let n = w.ask(ExecutionKind::Failover, A, B, request);
    (w, n)
}

fn blocked(w: &World, n: usize) -> &'static str {
    match &w.journal(n).side {
        Some(Side::Blocked { why }) => why.code(),
        other => panic!("{other:?}"),
    }
}

fn restored(w: &World, n: usize) {
    assert!(w.journal(n).over && w.journal(n).step == Step::RolledBack, "{:?}", w.journal(n));
    assert!(w.serves(A) && w.writable(A), "{:#?}", w.log);
    assert_eq!(w.arbiter.record.execution, None);
    assert!(!w.happened("dc-b Promote"));
}

#[test]
fn fault_18_opposite_requests_at_once_one_wins() {
    let mut w = World::new(World::data());
    let there = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    let again = w.ask(ExecutionKind::Switchover, A, B, Request::default());
    w.until("over", |w| w.journal(there).over && w.journal(again).over);
    let steps = [w.journal(there).step, w.journal(again).step];
    assert_eq!(steps, [Step::Protected, Step::RolledBack]);
    assert_eq!(w.arbiter.record.epoch, 5);
}

#[test]
fn fault_20_exposure_over_the_rpo_or_unknown_blocks() {
    let (mut w, n) = failover(Request::default());
    w.policy.rpo = s(3);
    w.rounds(60);
    assert_eq!(blocked(&w, n), "RpoExceeded");
    assert!(w.alarms.contains("RpoExceeded"));
    // Two people consent; one of them twice is one.
    let ann = || Approval { by: "ann".into(), at: jiff::Timestamp::UNIX_EPOCH };
    let bob = || Approval { by: "bob".into(), at: jiff::Timestamp::UNIX_EPOCH };
    w.requests[n].accept_data_loss = Some(AcceptDataLoss { max_seconds: Some(60) });
    w.requests[n].approvals = vec![ann(), Approval { by: " Ann".into(), ..ann() }];
    w.rounds(20);
    assert_eq!(w.journal(n).step, Step::AwaitingApproval);
    w.requests[n].approvals = vec![ann(), bob()];
    w.until_step(n, Step::Resyncing);
}

#[test]
fn fault_21_no_room_blocks_a_planned_move_and_high_tiers_go_first() {
    let (mut w, n) = switchover();
    w.site(B).room = Some(false);
    w.rounds(10);
    assert_eq!(blocked(&w, n), "NoRoom");
    w.site(B).room = None;
    w.rounds(2);
    assert_eq!(blocked(&w, n), "RoomUnknown");
    w.site(B).room = Some(true);
    w.until("over", |w| w.journal(n).over);

    let claim = |name: &str, tier, pods| Claim {
        member: Member { name: name.into(), tier, depends_on: [].into() },
        amounts: crate::ledger::Amounts { pods, ..Default::default() },
    };
    let room = crate::ledger::Amounts { pods: 10, ..Default::default() };
    let shared = share_room(&room, &[claim("c", 2, 8), claim("a", 0, 6), claim("b", 1, 5), claim("d", 2, 4)]);
    assert_eq!(
        shared,
        BTreeMap::from([("a", true), ("b", false), ("c", false), ("d", true)].map(|(k, v)| (k.to_owned(), v)))
    );
    let mut needs_b = claim("d", 2, 1);
    needs_b.member.depends_on = ["b".to_owned()].into();
    assert!(!share_room(&room, &[claim("a", 0, 6), claim("b", 1, 5), needs_b])["d"]);
}

#[test]
fn fault_22_demote_hangs_and_the_source_serves_again() {
    for hang in [EffectKind::Quiesce, EffectKind::FinalSync, EffectKind::Demote] {
        let (mut w, n) = switchover();
        w.site(A).hanging.insert(hang);
        w.until("over", |w| w.journal(n).over);
        restored(&w, n);
        let why = w.journal(n).why.as_ref().unwrap();
        assert_eq!(why.code(), "TooLong", "{hang:?}");
        // What still hangs is refused when it wakes: the way back has a higher token.
        assert!(w.sites[A].highest.step > 2);
        assert_eq!(w.arbiter.record.epoch, 4, "nothing was released, so nothing is reclaimed");
    }
}

#[test]
fn fault_23_fence_call_fails_and_nothing_is_promoted() {
    let (mut w, n) = switchover();
    w.site(A).failing.insert(EffectKind::Fence);
    w.until("over", |w| w.journal(n).over);
    restored(&w, n);
    assert!(!w.log.iter().any(|l| l.contains("Release")), "{:#?}", w.log);
    assert!(w.journal(n).fence_proof().is_none());
}

#[test]
fn fault_24_redirect_fails_and_is_tried_again_while_the_old_site_refuses() {
    let (mut w, n) = switchover();
    w.site(B).failing.insert(EffectKind::Redirect);
    w.rounds(300);
    assert_eq!(w.journal(n).step, Step::Redirecting);
    assert!(matches!(w.journal(n).side, Some(Side::NeedsHuman { .. })));
    assert!(!w.serves(A) && !w.writable(A) && w.arbiter.record.held_by(B));
    w.site(B).failing.clear();
    w.until("over", |w| w.journal(n).over);
    assert_eq!(w.journal(n).step, Step::Protected);
}

#[test]
fn fault_25_verification_fails_after_promotion_and_is_never_bounced_back() {
    let (mut w, n) = switchover();
    w.site(B).failing.insert(EffectKind::Verify);
    w.until("a person is called", |w| matches!(w.journal(n).side, Some(Side::NeedsHuman { .. })));
    w.requests[n].abort = true;
    w.rounds(50);
    assert_eq!(w.journal(n).step, Step::Verifying);
    assert!(w.arbiter.record.held_by(B) && w.alarms.contains("TooLong"));
    assert!(!w.happened("dc-a Resume"));
}

#[test]
fn fault_26_the_holder_returns_half_way_fenced_and_follows() {
    let (mut w, n) = failover(Request::default());
    w.until_step(n, Step::Promoting);
    w.revive(A);
    w.until("over", |w| w.journal(n).over);
    assert!(w.happened("dc-a Fence") && w.happened("dc-a Demote"));
    assert_eq!((w.sites[A].role, w.journal(n).step), (Role::Standby, Step::Protected));
}

#[test]
fn fault_27_a_hold_half_way_stops_before_the_promotion() {
    for step in [Step::Quiescing, Step::FinalSync, Step::Demoting, Step::Fencing] {
        let (mut w, n) = switchover();
        w.until_step(n, step);
        w.arbiter.hold = true;
        w.tick(s(0));
        w.until("over", |w| w.journal(n).over);
        restored(&w, n);
        assert_eq!(w.journal(n).why.as_ref().unwrap().code(), "Held");
    }
    // Between release and claim: the source takes it back.
    let (mut w, n) = switchover();
    w.until_step(n, Step::Fencing);
    while w.arbiter.record.phase == Phase::Held {
        w.run(A, n, None);
    }
    w.arbiter.hold = true;
    w.tick(s(0));
    assert_eq!(w.decide(B, n).because.code(), "Held");
    w.until("over", |w| w.journal(n).over);
    restored(&w, n);
    assert_eq!(w.arbiter.record.epoch, 5);
    // Unplanned: it waits.
    let (mut w, n) = failover(Request::default());
    w.until_step(n, Step::Fencing);
    w.arbiter.hold = true;
    w.rounds(20);
    assert_eq!(blocked(&w, n), "Held");
    w.arbiter.hold = false;
    w.until_step(n, Step::Resyncing);
}

#[test]
fn fault_29_a_dependency_fails_and_only_its_dependents_wait() {
    let member = |name: &str, needs: &[&str]| Member {
        name: name.into(),
        tier: 1,
        depends_on: needs.iter().map(|n| (*n).to_owned()).collect(),
    };
    let groups = [member("db", &[]), member("tax", &["db"]), member("portal", &["tax"]), member("audit", &[])];
    let plan = plan_waves(&groups, 2);
    let standings = BTreeMap::from([("db".to_owned(), Standing::NeedsHuman)]);
    let turns = start_now(&plan, &groups, &standings, 2);
    assert_eq!(turns["audit"], Turn::Now);
    assert_eq!(turns["tax"], Turn::Stuck { groups: ["db".to_owned()].into() });
    assert_eq!(turns["portal"], Turn::Stuck { groups: ["tax".to_owned()].into() });
    let serving = BTreeMap::from([("db".to_owned(), Standing::Serving), ("tax".to_owned(), Standing::Blocked)]);
    assert_eq!(start_now(&plan, &groups, &serving, 2)["tax"], Turn::Now);
}

#[test]
fn fault_30_a_drill_is_swept_before_anything_real() {
    let (mut w, n) = failover(Request::default());
    w.site(B).drill = true;
    w.until_step(n, Step::Resyncing);
    let at = |what: &str| w.log.iter().position(|l| l.contains(what)).unwrap();
    assert!(at("SweepDrill") < at("TakeOver"));
}

#[test]
fn fault_33_the_target_dies_after_the_release_and_the_source_reclaims() {
    let (mut w, n) = switchover();
    w.until_step(n, Step::Fencing);
    while w.arbiter.record.phase == Phase::Held {
        w.run(A, n, None);
    }
    w.site(B).alive = false;
    assert!(!w.writable(A), "released: nobody writes");
    w.until("over", |w| w.journal(n).over);
    restored(&w, n);
    assert_eq!(w.arbiter.record.epoch, 5, "nothing is restored after a release without a new epoch");
    assert_eq!(w.journal(n).why.as_ref().unwrap().code(), "TargetSilent");
    let at = |what: &str| w.log.iter().position(|l| l.contains(what)).unwrap();
    assert!(at("Reclaim") < at("Resume"));
}

#[test]
fn fault_34_abort_races_claim_and_one_wins() {
    for first in [A, B] {
        let (mut w, n) = switchover();
        w.until_step(n, Step::Fencing);
        while w.arbiter.record.phase == Phase::Held {
            w.run(A, n, None);
        }
        w.tick(s(0));
        // Both decide before either is carried out: the target has not seen the abort.
        let claim = w.decide(B, n);
        assert_eq!(claim.transaction(), Some(Transaction::ClaimRelease));
        if first == A {
            w.requests[n].abort = true;
            w.run(A, n, None);
            assert!(w.arbiter.record.held_by(A));
            w.requests[n].abort = false; // the target still does not know, and sends its claim
            w.run(B, n, None);
            assert!(w.arbiter.record.held_by(A));
        } else {
            w.run(B, n, None);
            w.requests[n].abort = true;
            w.run(A, n, None);
            assert!(w.arbiter.record.held_by(B));
        }
        w.until("over", |w| w.journal(n).over);
        assert_eq!(w.arbiter.record.epoch, 5);
        let end = if first == A { Step::RolledBack } else { Step::Protected };
        assert_eq!(w.journal(n).step, end);
    }
}

#[test]
fn an_automatic_failover_is_dropped_when_the_holder_beats_again_and_only_then() {
    let mut w = World::new(World::data());
    w.site(A).alive = false;
    w.rounds(4);
    let watched = w.observe_situation(B).silence.unwrap().newest;
    let n = w.ask(ExecutionKind::Failover, A, B, Request { automatic: Some(watched), ..Request::default() });
    w.rounds(2);
    w.crash(B); // forgets since when it is silent, not that it is
    w.rounds(3);
    assert_ne!(w.journal(n).step, Step::RolledBack);
    w.revive(A);
    w.rounds(3);
    assert!(w.journal(n).over);
    assert_eq!(w.journal(n).why.as_ref().unwrap().code(), "HolderReturned");
    assert_eq!(w.arbiter.record.epoch, 4);
}
