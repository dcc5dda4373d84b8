//! From journals to what is said.

use super::*;
use crate::report::{FenceState, GroupResult, Verdict};

fn one(journal: &Journal) -> FailoverReport {
    report(&asked(journal.kind), FailoverPhase::Completed, &[("tax", Some(journal))])
}

#[test]
fn each_journal_has_its_verdict() {
    let (planned, unplanned) = (switchover(), failover());
    let back = planned_back(false);
    let strip = |journal: &Journal, step: Step| journal.clone().knowing(step, |facts| *facts = Facts::default());
    let no_risk = strip(&unplanned, Step::Fencing);
    let unheard = unplanned.clone().knowing(Step::Fencing, |facts| facts.risk.as_mut().unwrap().exposure_millis = None);
    let no_data = unplanned
        .clone()
        .knowing(Step::Fencing, |facts| facts.risk.as_mut().unwrap().replication = Replication::NoData);
    let behind = planned.clone().knowing(Step::FinalSync, |facts| facts.target = Some(Stood::answered(40)));
    let reported =
        planned.clone().knowing(Step::FinalSync, |facts| facts.source.as_mut().unwrap().age_millis = Some(1));
    let none_dropped = Dropped { from: 9, to: 9, transactions: Some(0), ..dropped() };
    for (name, journal, verdict) in [
        ("a switchover with its positions", &planned, Verdict::None),
        ("one whose positions an older release did not write", &strip(&planned, Step::FinalSync), Verdict::Unknown),
        ("one whose target was behind", &behind, Verdict::Unknown),
        ("one whose source was only reported", &reported, Verdict::Unknown),
        ("one that was taken back", &back, Verdict::NotMoved),
        ("a failover within a bound", &unplanned, Verdict::Bounded),
        ("one of which nobody could tell", &unheard, Verdict::Unknown),
        ("one of an older release", &no_risk, Verdict::Unknown),
        ("one without data", &no_data, Verdict::NoData),
        ("one whose source follows and says nothing", &followed(&unplanned, None), Verdict::Bounded),
        ("one whose source said what it dropped", &followed(&unplanned, Some(dropped())), Verdict::Found),
        ("one whose source dropped nothing", &followed(&unplanned, Some(none_dropped)), Verdict::Found),
    ] {
        let found = one(journal).loss;
        assert_eq!(found.verdict, verdict, "{name}: {}", found.because.en);
        assert!(!found.because.en.is_empty() && !found.because.zh.is_empty(), "{name}");
    }
}

fn planned_back(released: bool) -> Journal {
    let journal = Journal::new(("home", "tax"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 4, at(0));
    let mut journal = journal.advanced(Step::Fencing, Outcome::Done, "", at(10));
    if released {
        journal = journal.ended(Outcome::Done, "no data; gate closed", at(20));
    }
    let back = journal.rolled_back(&Reason::ClaimTooLate { site: "dc-b".into() }, at(30));
    back.closed(Outcome::Done, at(40))
}

#[test]
fn what_an_unplanned_move_may_have_lost_is_told_with_its_bounds() {
    let loss = one(&failover()).loss;
    assert_eq!((loss.at_most_millis, loss.wanted_millis, loss.kept), (Some(11_500), Some(5_000), None));
    assert_eq!(loss.missing_at_least, Some(900), "last heard at 5000, promoted at 4100");
    assert!(loss.because.en.contains("unknown until dc-a comes back"), "{}", loss.because.en);
    let found = one(&followed(&failover(), Some(dropped()))).loss;
    assert_eq!(found.dropped.and_then(|dropped| dropped.transactions), Some(3));
    assert_eq!(found.at_most_millis, Some(11_500), "what was promised stays");
}

#[test]
fn how_the_source_was_fenced_is_told() {
    let fence = one(&switchover()).groups.remove(0).fence;
    assert_eq!((fence.state, fence.way.as_str(), fence.token), (FenceState::Proven, "release", Some(token(5))));
    assert_eq!(fence.revision, Some(1_006), "the release: the entry that ended Fencing");
    assert!(fence.because.en.contains("1.4.900.5"), "{}", fence.because.en);
    let fence = one(&failover()).groups.remove(0).fence;
    assert_eq!(
        (fence.way.as_str(), fence.watched_revision, fence.unmoved_millis),
        ("silence", Some(777), Some(41_250))
    );
    let mut older = failover();
    older.evidence.iter_mut().for_each(|evidence| evidence.facts = Facts::default());
    let fence = one(&older).groups.remove(0).fence;
    assert_eq!((fence.state, fence.revision), (FenceState::Proven, None), "of a release that did not write it down");
    assert!(one(&older).groups[0].steps.iter().all(|step| step.ended_revision.is_none()));
    let open = Journal::new(("x", "tax"), ExecutionKind::Failover, ("dc-a", "dc-b"), 4, at(0));
    assert_eq!(one(&open).groups[0].fence.state, FenceState::NotNeeded);
    let mut unproven = failover();
    unproven.evidence.retain(|evidence| evidence.step != Step::Fencing);
    assert_eq!(one(&unproven).groups[0].fence.state, FenceState::NotProven);
}

#[test]
fn epochs_are_told_as_far_as_they_are_known() {
    let of = |journal: &Journal| {
        let group = one(journal).groups.remove(0);
        (group.result, group.epoch_before, group.epoch_after)
    };
    assert_eq!(of(&switchover()), (GroupResult::Served, 4, Some(5)));
    assert_eq!(of(&failover()), (GroupResult::Served, 4, Some(5)));
    assert_eq!(of(&planned_back(false)), (GroupResult::TakenBack, 4, Some(4)));
    assert_eq!(of(&planned_back(true)), (GroupResult::TakenBack, 4, Some(5)), "a reclaim is an epoch too");
    let lost = Journal { over: true, ..planned_back(true).rolled_back(&Reason::Reclaimed, at(50)) };
    assert_eq!(of(&lost).0, GroupResult::TakenBack);
    let none = report(&asked(ExecutionKind::Switchover), FailoverPhase::RolledBack, &[("tax", None)]);
    assert_eq!((none.groups[0].result, none.groups[0].epoch_after), (GroupResult::NotBegun, None));
}

#[test]
fn the_time_without_service_begins_with_the_last_sign_of_life() {
    let rto = one(&failover()).rto;
    // 41.25 s of silence up to the take-over at 30.05 s, and 350 ms until the gate opened.
    assert_eq!((rto.measured_millis, rto.kept), (Some(41_250 + 350), Some(true)));
    let planned = one(&switchover()).rto;
    assert_eq!(planned.measured_millis, Some(800 - 40));
    let (mut waited, wall) = (switchover(), at(30));
    waited
        .evidence
        .insert(1, Evidence { step: Step::AwaitingApproval, ended: Some(wall), ..waited.evidence[0].clone() });
    waited.evidence[0].ended = Some(at(-90_000));
    assert_eq!(one(&waited).rto.measured_millis, Some(800 - 30), "people took their time while the source served");
}

#[test]
fn who_agreed_is_told_and_whose_word_counted() {
    let mut asked = asked(ExecutionKind::Failover);
    asked.accept_data_loss = Some(AcceptDataLoss { max_seconds: Some(60) });
    asked.approvals = ["ann", "bob", "late"].map(|by| Approval { by: by.into(), at: at(10_000) }).into();
    let journal = failover();
    let consent = report(&asked, FailoverPhase::Completed, &[("tax", Some(&journal))]).consent;
    assert_eq!(consent.wanted, 2);
    assert_eq!(consent.given.len(), 3);
    assert_eq!(consent.counted, ["ann", "bob"], "by the journal");
}

#[test]
fn the_whole_is_as_bad_as_its_worst_group() {
    let (planned, unplanned) = (switchover(), failover());
    let both = [("hall", Some(&planned)), ("tax", Some(&unplanned)), ("none", None)];
    let whole = report(&asked(ExecutionKind::Failover), FailoverPhase::PartlyCompleted, &both);
    assert_eq!(whole.loss.verdict, Verdict::Bounded);
    assert!(!whole.settled);
    let next: Vec<&str> = whole.next.iter().map(|text| text.en.as_str()).collect();
    assert!(next.iter().any(|text| text.contains("did not move") && text.contains("none")), "{next:?}");
    assert!(next.iter().any(|text| text.contains("not known: tax")), "{next:?}");
}

#[test]
fn an_agency_is_told_of_its_own_groups_and_of_nobody_else() {
    let (planned, unplanned) = (switchover(), failover());
    let both = [("hall", Some(&planned)), ("tax", Some(&unplanned))];
    let mut asked = asked(ExecutionKind::Failover);
    asked.approvals = vec![Approval { by: "ann".into(), at: at(0) }];
    let whole = report(&asked, FailoverPhase::Completed, &both);
    let part = whole.part(&|group| group == "hall").unwrap();
    assert_eq!(part.loss.verdict, Verdict::None, "its own");
    let text = serde_json::to_string(&part).unwrap();
    for secret in ["tax", "ann", "wang", "power"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(whole.part(&|_| false).is_none());
}

#[test]
fn what_is_written_reads_back_and_has_one_digest() {
    let report = one(&followed(&failover(), Some(dropped())));
    let text = serde_json::to_string(&report).unwrap();
    let read: FailoverReport = serde_json::from_str(&text).unwrap();
    assert_eq!((read.digest(), &read), (report.digest(), &report));
    assert!(report.settled && report.next.iter().any(|text| text.en.contains("enter it again")));
    let other = FailoverReport { settled: false, ..report.clone() };
    assert_ne!(other.digest(), report.digest());
}
