//! Gates, settings, figures.

use proptest::prelude::*;

use super::toy::s;
use crate::failover::*;

fn report(lag: u64, since: u64) -> Data {
    Data {
        role: Role::Standby,
        position: Some(1),
        lag: Some(s(lag)),
        synchronous: false,
        since: s(since),
        dropped: None,
    }
}

fn exposed(report: Option<&Data>, silent: Option<u64>, now: u64) -> Exposure {
    let silence = silent.map(|since| Silence { newest: 1, since: s(since) });
    exposure(Replication::Asynchronous, report, silence.as_ref(), s(7), s(now))
}

#[test]
fn exposure_is_lag_and_the_time_the_holder_could_go_on() {
    // The holder lives or is not watched: until now.
    assert_eq!(exposed(Some(&report(2, 100)), None, 105), Exposure::Within(s(7)));
    // Silent since 101: it fences itself by 108, however late it is now.
    assert_eq!(exposed(Some(&report(2, 100)), Some(101), 500), Exposure::Within(s(10)));
    assert_eq!(exposed(Some(&report(2, 100)), Some(101), 104), Exposure::Within(s(6)));
    // A report from after the fence says it all.
    assert_eq!(exposed(Some(&report(2, 120)), Some(101), 500), Exposure::Within(s(2)));
    assert_eq!(exposed(None, Some(101), 500), Exposure::Unknown);
    assert_eq!(exposed(Some(&Data { lag: None, ..report(0, 100) }), Some(101), 500), Exposure::Unknown);
    let synchronous = Data { synchronous: true, ..report(0, 100) };
    let of = |replication, data: &Data| exposure(replication, Some(data), None, s(7), s(900));
    assert_eq!(of(Replication::Synchronous, &synchronous), Exposure::Within(s(0)));
    // Configured so, but it has fallen back; or said so by one that is not configured so.
    assert_eq!(of(Replication::Synchronous, &report(0, 100)), Exposure::Within(s(800)));
    assert_eq!(of(Replication::Asynchronous, &synchronous), Exposure::Within(s(800)));
    assert_eq!(exposure(Replication::NoData, None, None, s(7), s(900)), Exposure::Nothing);
}

#[test]
fn unknown_counts_as_exceeded_and_consent_has_a_limit() {
    let gate = |exposure, max: Option<Option<u64>>| {
        let accepted = max.map(|max_seconds| AcceptDataLoss { max_seconds });
        rpo_gate(exposure, s(5), accepted.as_ref()).map_err(|reason| reason.code())
    };
    assert_eq!(gate(Exposure::Within(s(5)), None), Ok(()));
    assert_eq!(gate(Exposure::Within(s(6)), None), Err("RpoExceeded"));
    assert_eq!(gate(Exposure::Unknown, None), Err("RpoUnknown"));
    assert_eq!(gate(Exposure::Within(s(6)), Some(Some(6))), Ok(()));
    assert_eq!(gate(Exposure::Within(s(7)), Some(Some(6))), Err("MoreThanAccepted"));
    assert_eq!(gate(Exposure::Unknown, Some(Some(3600))), Err("RpoUnknown"));
    assert_eq!(gate(Exposure::Unknown, Some(None)), Ok(()));
    assert_eq!(gate(Exposure::Nothing, None), Ok(()));
}

#[test]
fn the_exceptional_takes_two_different_people() {
    let by = |names: &[&str]| -> Vec<Approval> {
        names.iter().map(|n| Approval { by: (*n).into(), at: jiff::Timestamp::UNIX_EPOCH }).collect()
    };
    let lacking = |names: &[&str], loss: bool, despite: bool, wanted| {
        let request = Request {
            approvals: by(names),
            accept_data_loss: loss.then_some(AcceptDataLoss { max_seconds: Some(9) }),
            despite_not_ready: despite,
            approvals_wanted: wanted,
            ..Request::default()
        };
        approvals_lacking(&request).is_some()
    };
    assert!(!lacking(&[], false, false, 0));
    assert!(lacking(&["ann"], true, false, 0));
    assert!(lacking(&["ann", "Ann ", " "], true, false, 0));
    assert!(!lacking(&["ann", "bob"], true, false, 1));
    assert!(lacking(&["ann"], false, true, 0));
    assert!(lacking(&["ann", "bob"], true, false, 3));
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let wrong = |change: &dyn Fn(&mut Policy)| {
        let mut policy = Policy { replication: Replication::Asynchronous, ..Policy::default() };
        change(&mut policy);
        admit(&policy, &Floors::default()).iter().map(Reason::code).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&|_| {}), Vec::<&str>::new());
    // T_f 7 s and reports every 2 s: nothing below 9 s.
    assert_eq!(wrong(&|p| (p.automatic, p.rpo) = (true, s(8))), ["RpoTooStrictForAutomatic"]);
    assert_eq!(wrong(&|p| (p.automatic, p.rpo) = (true, s(9))), Vec::<&str>::new());
    assert_eq!(wrong(&|p| (p.automatic, p.rpo) = (false, s(0))), Vec::<&str>::new());
    let sync = |p: &mut Policy| (p.automatic, p.rpo, p.replication) = (true, s(0), Replication::Synchronous);
    assert_eq!(wrong(&sync), Vec::<&str>::new());
    assert_eq!(wrong(&|p| p.min_ready = s(59)), ["BelowFloor"]);
    assert_eq!(wrong(&|p| p.dwell = s(1)), ["BelowFloor"]);
    assert_eq!(wrong(&|p| p.scale_after = s(1)), ["BelowFloor"]);
    assert_eq!(wrong(&|p| p.timing.take_over = s(4)), ["BelowFloor"]);
    assert_eq!(wrong(&|p| p.deadlines.demote = s(0)), ["BelowFloor"]);
    assert_eq!(wrong(&|p| p.deadlines.claim = s(10)), ["BelowFloor"]);
    assert_eq!(wrong(&|p| p.failovers_a_day = 4), ["AboveCeiling"]);
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let policy = Policy::default();
    assert_eq!((policy.min_ready, policy.dwell, policy.scale_after), (s(600), s(1800), s(600)));
    assert_eq!((policy.failovers_a_day, policy.automatic), (1, false));
    assert_eq!(policy.timing.fence_after(), s(7));
}

#[test]
fn a_plan_says_what_a_move_costs() {
    let policy = Policy { replication: Replication::Asynchronous, ..Policy::default() };
    let planned = expectation(ExecutionKind::Switchover, &policy);
    assert!(planned.refused < s(2) && planned.loss.is_zero(), "{planned:?}");
    let lost = expectation(ExecutionKind::Failover, &policy);
    assert!(lost.refused > s(10) && lost.refused < s(15) && lost.loss == s(9), "{lost:?}");
    assert!(lost.steps.iter().all(|step| step.step != Step::Demoting));
    let stateless = expectation(ExecutionKind::Failback, &Policy::default());
    assert!(stateless.refused < planned.refused);
    for e in [&planned, &lost, &stateless] {
        assert!(e.refused_most >= e.refused && e.steps.iter().all(|step| step.most >= step.typical));
    }
    assert!(expectation(ExecutionKind::Drill, &policy).refused.is_zero());
}

proptest! {
    #[test]
    fn exposure_never_falls_as_time_passes_and_a_fence_bounds_it(
        lag in 0u64..100, since in 0u64..100, silent in 0u64..100, now in 0u64..300, later in 0u64..300,
    ) {
        let within = |now| match exposed(Some(&report(lag, since)), Some(silent), now) {
            Exposure::Within(exposure) => exposure,
            other => panic!("{other:?}"),
        };
        prop_assert!(within(now) <= within(now + later));
        prop_assert!(within(now) >= s(lag));
        prop_assert!(within(now) <= s(lag + (silent + 7).saturating_sub(since)));
    }
}
