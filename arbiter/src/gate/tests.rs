use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tandem_core::failover::{ExecutionKind, Journal, Step};

use super::{Gate, GateAnswer, Provider, Query};
use crate::membership::Timing;
use crate::records::{GroupRecord, JournalSeen, Phase, Settled, Versioned};
use crate::testing::{at, journal};

type Groups = BTreeMap<String, Versioned<GroupRecord>>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn gate(site: &str) -> Gate {
    Gate::new(site, "op-0", 1, Timing::from_heartbeat(seconds(2)).unwrap())
}

fn groups(record: &GroupRecord, revision: i64) -> Groups {
    BTreeMap::from([("g".to_owned(), Versioned::new(revision, record.clone()))])
}

fn held(site: &str, epoch: u64) -> GroupRecord {
    GroupRecord { epoch, ..GroupRecord::first(site) }
}

fn active(gate: &Gate, now: u64) -> GateAnswer {
    gate.answer(&Query::Active("g".into()), seconds(now))
}

fn status(gate: &Gate, path: &str, now: u64) -> u16 {
    gate.answer(&path.parse().unwrap(), seconds(now)).status
}

/// A gate of `dc-a` whose last heartbeat was sent at 100 s.
fn open(record: &GroupRecord) -> Gate {
    let mut gate = gate("dc-a");
    gate.counted(seconds(100), seconds(100), 10, &groups(record, 5));
    gate
}

fn seen(journal: Journal, revision: i64) -> JournalSeen {
    JournalSeen { revision, created: 20, journal }
}

#[test]
fn everything_is_passive_until_groups_was_read() {
    let mut gate = gate("dc-a");
    assert_eq!(active(&gate, 0).status, 503);
    assert_eq!(status(&gate, "/site", 0), 503);
    // A record alone, from a watch, opens nothing.
    gate.apply(seconds(1), "g", &Versioned::new(5, held("dc-a", 1)));
    assert_eq!((active(&gate, 1).status, status(&gate, "/promotable/g", 1)), (503, 503));
    assert_eq!(status(&gate, "/holder/g", 1), 200, "the record only");
    gate.counted(seconds(2), seconds(2), 10, &groups(&held("dc-a", 1), 5));
    assert_eq!(active(&gate, 2).status, 200);
}

#[test]
fn the_deadline_counts_from_the_sending() {
    let mut gate = gate("dc-a");
    gate.counted(seconds(100), seconds(103), 10, &groups(&held("dc-a", 4), 5));
    let answer = active(&gate, 104);
    assert_eq!((answer.status, answer.epoch, answer.valid_for), (200, Some(4), Some(seconds(3))));
    let headers = answer.headers();
    assert_eq!(headers[0], ("Tandem-Epoch", "4".to_owned()));
    assert_eq!(headers[1], ("Tandem-Valid-For-Ms", "3000".to_owned()));
    assert_eq!(headers[2], ("Tandem-Token", "1.4.0.0".to_owned()));
    assert_eq!(gate.answer(&Query::Active("g".into()), Duration::from_millis(106_999)).status, 200);
    let fenced = active(&gate, 107);
    assert_eq!((fenced.status, fenced.valid_for), (503, None));
    assert!(fenced.reason.contains("fenced"), "{}", fenced.reason);
    assert_eq!((status(&gate, "/promotable/g", 107), status(&gate, "/site", 107)), (503, 503));
    // An answer that comes after its own deadline opens nothing.
    gate.counted(seconds(108), seconds(116), 12, &groups(&held("dc-a", 4), 5));
    assert_eq!(active(&gate, 116).status, 503);
    // One that overtook a later one takes nothing back.
    gate.counted(seconds(120), seconds(120), 14, &groups(&held("dc-a", 4), 5));
    gate.counted(seconds(118), seconds(121), 13, &groups(&held("dc-a", 4), 5));
    assert_eq!(gate.deadline(), Some(seconds(127)));
}

#[test]
fn a_heartbeat_brings_what_moved_meanwhile() {
    let mut gate = open(&held("dc-a", 1));
    gate.counted(seconds(110), seconds(110), 30, &groups(&held("dc-b", 2), 25));
    let answer = active(&gate, 110);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.reason, "held by dc-b");
    assert_eq!(gate.seen(), 30);
}

#[test]
fn records_are_never_applied_backwards() {
    let mut gate = open(&held("dc-a", 1));
    assert!(gate.apply(seconds(101), "g", &Versioned::new(25, held("dc-b", 2))));
    assert!(!gate.apply(seconds(101), "g", &Versioned::new(24, held("dc-a", 1))));
    // Nor by the late answer to an early heartbeat.
    gate.counted(seconds(100), seconds(102), 20, &groups(&held("dc-a", 1), 5));
    assert_eq!(active(&gate, 102).status, 503);
    assert!(gate.apply(seconds(102), "g", &Versioned::new(25, held("dc-b", 2))), "again is no harm");
}

#[test]
fn only_the_holder_is_active() {
    let b = GroupRecord { phase: Phase::Released { to: "dc-b".into() }, ..held("dc-a", 1) };
    let nobody = GroupRecord { phase: Phase::Unconfirmed, ..held("dc-a", 1) };
    let retired = GroupRecord { retired: true, ..held("dc-a", 1) };
    for record in [held("dc-b", 1), b, nobody, retired] {
        let gate = open(&record);
        for path in ["/active/g", "/promotable/g", "/holder/g"] {
            assert_eq!(status(&gate, path, 101), 503, "{path} {record:?}");
        }
    }
    let gate = open(&held("dc-a", 1));
    assert_eq!(status(&gate, "/active/none", 101), 404);
    let holder = gate.answer(&"/holder/g".parse().unwrap(), seconds(101));
    assert_eq!((holder.valid_for, &holder.body["active"]), (None, &"dc-a".into()));
}

#[test]
fn a_record_that_disappears_refuses() {
    let mut gate = open(&held("dc-a", 1));
    gate.counted(seconds(101), seconds(101), 11, &Groups::new());
    assert_eq!(active(&gate, 101).status, 503);
    // An older list without it says nothing.
    gate.counted(seconds(102), seconds(102), 12, &groups(&held("dc-a", 1), 5));
    gate.counted(seconds(102), seconds(103), 4, &Groups::new());
    assert_eq!(active(&gate, 103).status, 200);
}

#[test]
fn a_planned_move_closes_the_source_from_quiescing_on() {
    let mut gate = open(&held("dc-a", 1));
    let moving = GroupRecord { execution: Some("x1".into()), ..held("dc-a", 1) };
    gate.apply(seconds(101), "g", &Versioned::new(20, moving.clone()));
    assert_eq!(active(&gate, 101).status, 200, "it has only begun, and this gate served under this epoch");
    let steps = [
        (Step::Validating, 200),
        (Step::AwaitingApproval, 200),
        (Step::Quiescing, 503),
        (Step::FinalSync, 503),
        (Step::Demoting, 503),
        (Step::Fencing, 503),
        (Step::RolledBack, 200),
    ];
    for (n, (step, status)) in steps.into_iter().enumerate() {
        gate.journal(seconds(101), &seen(at(&journal("x1", "g"), step), 30 + n as i64));
        assert_eq!(active(&gate, 101).status, status, "{step:?}");
    }
    // Repeated and reordered events change nothing; nor does another execution's journal.
    gate.journal(seconds(101), &seen(at(&journal("x1", "g"), Step::Quiescing), 31));
    gate.journal(seconds(101), &seen(at(&journal("x9", "g"), Step::Quiescing), 99));
    assert_eq!(active(&gate, 101).status, 200);
    assert_eq!(status(&gate, "/promotable/g", 101), 200);
    // A gate that started in the middle does not know how far it is.
    let mut other = open(&moving);
    assert_eq!(active(&other, 101).status, 503);
    other.journal(seconds(101), &seen(journal("x1", "g"), 30));
    assert_eq!(active(&other, 101).status, 200);
}

#[test]
fn drills_and_what_a_taker_writes_do_not_close_the_holder() {
    for kind in [ExecutionKind::Drill, ExecutionKind::Failover] {
        let mut gate = open(&GroupRecord { execution: Some("x1".into()), ..held("dc-a", 1) });
        let journal = Journal { kind, ..at(&journal("x1", "g"), Step::Fencing) };
        gate.journal(seconds(101), &seen(journal, 30));
        assert_eq!(active(&gate, 101).status, 200, "{kind:?}");
    }
}

#[test]
fn the_target_opens_only_after_promoting() {
    let moved = GroupRecord { execution: Some("x1".into()), ..held("dc-b", 2) };
    let mut gate = gate("dc-b");
    gate.counted(seconds(100), seconds(100), 40, &groups(&moved, 40));
    assert_eq!(active(&gate, 101).status, 503, "the journal is not known");
    assert_eq!(status(&gate, "/promotable/g", 101), 200, "or its database could never promote itself");
    let steps = [
        // The journal lags behind the claim.
        (Step::Validating, 503),
        (Step::Fencing, 503),
        (Step::EpochCommitted, 503),
        (Step::Promoting, 503),
        (Step::Redirecting, 200),
        (Step::Verifying, 200),
        (Step::Completed, 200),
    ];
    for (n, (step, status)) in steps.into_iter().enumerate() {
        gate.journal(seconds(101), &seen(at(&journal("x1", "g"), step), 30 + n as i64));
        assert_eq!(active(&gate, 101).status, status, "{step:?}");
    }
    gate.provider(seconds(101), "g", Some(Provider::Changing));
    assert_eq!(active(&gate, 101).status, 503);
    gate.provider(seconds(101), "g", Some(Provider::Primary));
    assert_eq!(active(&gate, 101).status, 200);
    assert_eq!(active(&gate, 101).headers()[2].1, "1.2.20.1");
}

/// What a fence left with an agent must be passed by what is said after the execution, or nothing is ever written again.
#[test]
fn the_token_after_an_execution_is_not_below_those_within_it() {
    let within = open(&GroupRecord { execution: Some("x1".into()), ..held("dc-a", 1) });
    let mut within = within;
    within.journal(seconds(101), &seen(Journal { entry: 6, ..journal("x1", "g") }, 30));
    let settled = Some(Settled { execution: 20, entry: 8 });
    let after = open(&GroupRecord { settled, ..held("dc-a", 1) });
    assert!(after.token("g") > within.token("g"));
}

#[test]
fn a_strange_arbiter_bars_the_gate_until_heartbeats_count_again() {
    let mut gate = open(&held("dc-a", 1));
    gate.bar(seconds(101), "the arbiter is another");
    let answer = active(&gate, 101);
    assert!(answer.status == 503 && answer.reason.contains("the arbiter is another"), "{}", answer.reason);
    assert_eq!(status(&gate, "/site", 101), 503);
    gate.unbar(seconds(102));
    assert_eq!(active(&gate, 102).status, 503, "what counted before the bar counts no more");
    gate.counted(seconds(103), seconds(103), 12, &groups(&held("dc-a", 1), 5));
    assert_eq!(active(&gate, 103).status, 200);
    gate.forget(seconds(104), 2);
    assert_eq!((active(&gate, 104).status, gate.seen()), (503, 0));
    let closed = gate.close(seconds(105));
    gate.counted(seconds(106), seconds(106), 3, &groups(&held("dc-a", 9), 2));
    assert_eq!(active(&gate, 106).status, 503, "closed for good");
    assert_eq!((closed.site(), closed.replica()), ("dc-a", "op-0"));
}

#[test]
fn transitions_bear_the_time_at_which_they_took_effect() {
    let mut gate = open(&held("dc-a", 1));
    // Nobody looked when the deadline passed.
    gate.counted(seconds(130), seconds(131), 12, &groups(&held("dc-a", 1), 5));
    gate.apply(seconds(132), "g", &Versioned::new(40, held("dc-b", 2)));
    let kept: Vec<_> = gate.transitions(seconds(140)).map(|t| (t.number, t.at, t.active, t.epoch)).collect();
    let expected = [
        (1, seconds(100), true, 1),
        (2, seconds(107), false, 1),
        (3, seconds(131), true, 1),
        (4, seconds(132), false, 2),
        // From "elsewhere" to "fenced": passive before and after, for another reason.
        (5, seconds(137), false, 2),
    ];
    assert_eq!(kept, expected);
}

#[test]
fn a_release_that_was_not_told_yet_is_owed() {
    let mut gate = open(&held("dc-a", 1));
    assert!(!gate.owes_news(10));
    let released = GroupRecord { phase: Phase::Released { to: "dc-b".into() }, ..held("dc-a", 1) };
    gate.apply(seconds(101), "g", &Versioned::new(20, released));
    assert!(gate.owes_news(10) && gate.owes_news(19) && !gate.owes_news(20));
}

#[test]
fn paths_are_those_of_the_gate() {
    for path in ["/active/g", "/active", "/holder/g", "/promotable/g", "/site"] {
        assert!(path.parse::<Query>().is_ok(), "{path}");
    }
    for path in ["/", "", "active/g", "/active/", "/active/g/h", "/other/g", "/holder"] {
        assert!(path.parse::<Query>().is_err(), "{path}");
    }
    let all = open(&held("dc-a", 1)).answer(&Query::AllActive, seconds(101));
    assert_eq!((all.status, &all.body[0]["group"], &all.body[0]["active"]), (200, &"g".into(), &true.into()));
}

proptest! {
    /// Whatever is fed in whatever order: a yes is given only under the newest record seen, names its epoch, and never
    /// outlasts 0.7 T after the sending of a heartbeat.
    #[test]
    fn a_yes_is_always_covered(feeds in prop::collection::vec((0u64..3_000, 0u64..2_000, 0u8..3, 1i64..30), 1..60)) {
        let mut gate = gate("dc-a");
        let (mut now, mut newest, mut sent_last) = (0u64, 0i64, None::<u64>);
        for (passes, travels, feed, revision) in feeds {
            now += passes;
            // Odd revisions are dc-a's.
            let record = |revision: i64| {
                let site = if revision % 2 == 1 { "dc-a" } else { "dc-b" };
                held(site, revision as u64)
            };
            let at = Duration::from_millis(now);
            match feed {
                0 => { gate.apply(at, "g", &Versioned::new(revision, record(revision))); newest = newest.max(revision); }
                1 => {
                    let sent = now.saturating_sub(travels);
                    let fresh = groups(&record(revision), revision);
                    gate.counted(Duration::from_millis(sent), at, revision, &fresh);
                    newest = newest.max(revision);
                    sent_last = Some(sent_last.map_or(sent, |before| before.max(sent)));
                }
                _ => {}
            }
            let answer = gate.answer(&Query::Active("g".into()), at);
            prop_assert_eq!(gate.serves("g", at), answer.valid_for);
            let covered = newest % 2 == 1 && sent_last.is_some_and(|sent| now < sent + 7_000);
            prop_assert_eq!(answer.status == 200, covered);
            if let Some(left) = answer.valid_for {
                prop_assert!(now as u128 + left.as_millis() <= u128::from(sent_last.unwrap()) + 7_000);
                prop_assert_eq!(answer.epoch, Some(newest as u64));
            }
        }
    }
}
