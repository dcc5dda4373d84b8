//! The steps of a drill, its schedule, its room and what it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tandem_crds::{DrillSettings, DrilledClone, FailoverPhase};

use super::*;
use crate::failover::{Data, GroupView, Now, Phase, Policy, Replication, Role, SiteView, Situation};
use crate::ledger::Amounts;

const SECOND: Duration = Duration::from_secs(1);

fn situation() -> Situation {
    let site =
        |data| SiteView { heard: true, ready_since: Some(Duration::ZERO), room: Some(true), data, trouble: None };
    let standby = Data {
        role: Role::Standby,
        position: Some(7),
        lag: Some(SECOND),
        synchronous: false,
        since: Duration::from_secs(99),
        dropped: None,
    };
    Situation {
        me: "dc-b".into(),
        leads: true,
        fenced: false,
        generation: 0,
        record: GroupView {
            active: "dc-a".into(),
            epoch: 3,
            phase: Phase::Held,
            execution: None,
            failovers_lately: 0,
            since: Duration::ZERO,
            epoch_since: Duration::ZERO,
        },
        hold: None,
        silence: None,
        sites: BTreeMap::from([("dc-a".into(), site(None)), ("dc-b".into(), site(Some(standby)))]),
        drill: false,
        policy: Policy { replication: Replication::Asynchronous, rpo: 60 * SECOND, ..Policy::default() },
    }
}

fn seen(situation: &Situation) -> Seen<'_> {
    Seen {
        situation,
        moves: None,
        abort: false,
        deleted: false,
        turn: true,
        wrong: Vec::new(),
        notes: Vec::new(),
        prepared: false,
        clones: vec![clone(0)],
        refused: None,
        left: true,
        since: Duration::from_secs(100),
        own: true,
        deadline: 10 * SECOND,
    }
}

fn clone(ready: i32) -> DrilledClone {
    DrilledClone {
        environment: "tax-prod".into(),
        application: "hall".into(),
        component: "web".into(),
        deployment: "drill-x-hall-web".into(),
        wanted: 2,
        ready,
        said: String::new(),
    }
}

fn now(boot: u64) -> Now {
    Now { boot: Duration::from_secs(boot), wall: Timestamp::from_second(1_000 + i64::try_from(boot).unwrap()).unwrap() }
}

fn put(next: Next) -> GroupDrill {
    let Next::Put(put) = next else { panic!("{next:?} is put nowhere") };
    *put
}

fn codes(drill: &GroupDrill) -> Vec<&str> {
    drill.why.iter().map(|why| why.reason.as_str()).collect()
}

/// A drill at the step Cloning.
fn cloning(situation: &Situation) -> GroupDrill {
    let begun = put(next(None, &seen(situation), now(100)));
    put(next(Some(&begun), &Seen { prepared: true, ..seen(situation) }, now(100)))
}

#[test]
fn a_drill_goes_from_step_to_step_and_measures() {
    let s = situation();
    let preparing = put(next(None, &seen(&s), now(100)));
    assert_eq!((preparing.step, preparing.epoch, preparing.rpo_millis), (DrillStep::Preparing, 3, Some(2_000)));
    assert!(preparing.notes.iter().any(|note| note.message.contains("not opened")), "{:?}", preparing.notes);
    assert_eq!(next(Some(&preparing), &seen(&s), now(100)), Next::Prepare);
    let cloning = put(next(Some(&preparing), &Seen { prepared: true, ..seen(&s) }, now(101)));
    assert_eq!((cloning.step, cloning.cloned), (DrillStep::Cloning, Some(now(101).wall)));
    assert_eq!(next(Some(&cloning), &seen(&s), now(102)), Next::Clone);
    let ready = Seen { clones: vec![clone(2)], ..seen(&s) };
    let sweeping = put(next(Some(&cloning), &ready, now(104)));
    assert_eq!((sweeping.step, sweeping.result), (DrillStep::Sweeping, Some(DrillResult::Passed)));
    assert_eq!(sweeping.rto_millis, Some(4_000), "since this replica put the step");
    assert_eq!(next(Some(&sweeping), &ready, now(105)), Next::Sweep);
    let done = put(next(Some(&sweeping), &Seen { left: false, ..ready }, now(106)));
    assert_eq!((done.step, done.ended), (DrillStep::Completed, Some(now(106).wall)));
    assert_eq!(next(Some(&done), &seen(&s), now(107)), Next::Wait);
}

#[test]
fn another_replica_measures_by_the_wall_clock_and_says_so() {
    let s = situation();
    let cloning = cloning(&s);
    let later = Seen { clones: vec![clone(2)], own: false, since: Duration::from_secs(1), ..seen(&s) };
    let swept = put(next(Some(&cloning), &later, now(108)));
    assert_eq!(swept.rto_millis, Some(8_000));
    assert!(swept.notes.iter().any(|note| note.reason == "OtherReplica"));
}

#[test]
fn what_is_real_comes_first_at_every_step() {
    let s = situation();
    let begun = [put(next(None, &seen(&s), now(100))), cloning(&s)];
    type Change = fn(&mut Situation);
    let changes: [(&str, Change); 5] = [
        ("HeldHere", |s| s.record.active = "dc-b".into()),
        ("OtherExecution", |s| s.record.execution = Some("real".into())),
        ("EpochMoved", |s| s.record.epoch = 5),
        ("ReleasedTo", |s| s.record.phase = Phase::Released { to: "dc-b".into() }),
        ("Unconfirmed", |s| s.record.phase = Phase::Unconfirmed),
    ];
    for (code, change) in changes {
        let mut moved = situation();
        change(&mut moved);
        for drill in &begun {
            // Also where all would be ready.
            let swept = put(next(Some(drill), &Seen { clones: vec![clone(2)], ..seen(&moved) }, now(101)));
            assert_eq!((swept.step, swept.result), (DrillStep::Sweeping, Some(DrillResult::Swept)), "{code}");
            assert_eq!(codes(&swept), [code]);
        }
        if code != "EpochMoved" {
            let not = put(next(None, &seen(&moved), now(101)));
            assert_eq!((not.step, not.result), (DrillStep::Completed, Some(DrillResult::NotDrilled)), "{code}");
        }
    }
    let journal = Seen { moves: Some("real".into()), ..seen(&s) };
    assert_eq!(codes(&put(next(Some(&begun[1]), &journal, now(101)))), ["OtherExecution"], "before the record says so");
}

#[test]
fn people_and_time_end_it_and_it_is_always_swept() {
    let s = situation();
    let cloning = cloning(&s);
    let ended = |seen: Seen<'_>, boot| {
        let put = put(next(Some(&cloning), &seen, now(boot)));
        assert_eq!(put.step, DrillStep::Sweeping);
        (put.result.unwrap(), put.why.first().map(|why| why.reason.clone()).unwrap_or_default())
    };
    assert_eq!(ended(Seen { abort: true, ..seen(&s) }, 101), (DrillResult::Aborted, "AbortAsked".into()));
    assert_eq!(ended(Seen { deleted: true, ..seen(&s) }, 101), (DrillResult::Aborted, "Deleted".into()));
    assert_eq!(ended(seen(&s), 110), (DrillResult::Failed, "NotReady".into()));
    let refused = Some(Cause::ObjectRefused { why: "no".into() });
    assert_eq!(ended(Seen { refused, ..seen(&s) }, 101), (DrillResult::Failed, "ObjectRefused".into()));
}

#[test]
fn a_site_that_may_not_act_does_nothing() {
    for change in [|s: &mut Situation| s.leads = false, |s: &mut Situation| s.fenced = true] {
        let cloning = cloning(&situation());
        let mut s = situation();
        change(&mut s);
        for drill in [None, Some(&cloning)] {
            assert_eq!(next(drill, &Seen { abort: true, ..seen(&s) }, now(500)), Next::Wait);
        }
    }
}

#[test]
fn what_does_not_fit_is_not_half_done() {
    let s = situation();
    let short = Cause::NoQuota { environment: "tax-prod".into(), short: "pods: 2 needed, 1 left".into() };
    let not = put(next(None, &Seen { wrong: vec![short], ..seen(&s) }, now(100)));
    assert_eq!(
        (not.step, not.result, codes(&not)),
        (DrillStep::Completed, Some(DrillResult::NotDrilled), vec!["NoQuota"])
    );
    assert_eq!(next(None, &Seen { turn: false, ..seen(&s) }, now(100)), Next::Wait);
    let aborted = put(next(None, &Seen { turn: false, abort: true, ..seen(&s) }, now(100)));
    assert_eq!(aborted.result, Some(DrillResult::Aborted), "what waits can be taken back");
}

#[test]
fn a_drill_fails_where_too_much_would_have_been_lost() {
    let mut s = situation();
    s.policy.rpo = SECOND;
    let cloning = cloning(&s);
    let swept = put(next(Some(&cloning), &Seen { clones: vec![clone(2)], ..seen(&s) }, now(103)));
    assert_eq!((swept.result, codes(&swept)), (Some(DrillResult::Failed), vec!["RpoExceeded"]));
    assert!(swept.rto_millis.is_some(), "and yet it is measured");
    s.sites.get_mut("dc-b").unwrap().data = None;
    assert_eq!(codes(&put(next(None, &seen(&s), now(100)))), ["StandbyNotFollowing"]);
    s.policy.replication = Replication::NoData;
    let none = put(next(None, &seen(&s), now(100)));
    assert_eq!((none.why.len(), none.rpo_millis), (0, None));
    assert_eq!(none.notes[0].reason, "GateOnly");
}

#[test]
fn groups_take_turns_by_environment_and_number() {
    let spaces = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let all = BTreeMap::from([
        ("a".to_owned(), spaces(&["one"])),
        ("b".to_owned(), spaces(&["one", "two"])),
        ("c".to_owned(), spaces(&["three"])),
        ("d".to_owned(), spaces(&["four"])),
    ]);
    let turn_of = |running: &[(String, BTreeSet<String>)], most| {
        let waiting = all.iter().filter(|(group, _)| running.iter().all(|(other, _)| other != *group));
        turn(&waiting.map(|(group, of)| (group.clone(), of.clone())).collect(), running, most)
    };
    let running = |group: &str| (group.to_owned(), all[group].clone());
    assert_eq!(turn_of(&[], 50).as_deref(), Some("a"));
    assert_eq!(turn_of(&[running("b")], 50).as_deref(), Some("c"), "a's environment is taken");
    assert_eq!(turn_of(&[running("b"), running("c")], 50).as_deref(), Some("d"));
    assert_eq!(turn_of(&[running("b"), running("c")], 2), None, "both places are taken");
    assert_eq!(turn(&all, &[("a".to_owned(), BTreeSet::new())], 50).as_deref(), Some("b"), "a is rehearsed already");
}

#[test]
fn a_group_that_is_gone_ends_its_drill_and_leaves_nothing() {
    let none = put(without_group(None, 3, false, now(5)));
    assert_eq!(
        (none.step, none.result, codes(&none)),
        (DrillStep::Completed, Some(DrillResult::NotDrilled), vec!["GroupGone"])
    );
    let cloning = cloning(&situation());
    assert_eq!(without_group(Some(&cloning), 3, true, now(5)), Next::Sweep);
    let ended = put(without_group(Some(&cloning), 3, false, now(6)));
    assert_eq!((ended.step, ended.result), (DrillStep::Completed, Some(DrillResult::Aborted)));
    assert_eq!(without_group(Some(&ended), 3, false, now(7)), Next::Wait);
}

#[test]
fn what_has_no_clones_is_not_ready() {
    let s = situation();
    let none = Seen { clones: Vec::new(), ..seen(&s) };
    assert_eq!(next(Some(&cloning(&s)), &none, now(102)), Next::Clone, "its applications were deleted meanwhile");
}

#[test]
fn a_schedule_is_of_a_place() {
    let settings = |schedule: &str, zone: Option<&str>| DrillSettings {
        schedule: Some(schedule.to_owned()),
        time_zone: zone.map(str::to_owned),
        ..DrillSettings::default()
    };
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let due_at = |settings: &DrillSettings, now: &str| due(&parse(settings).unwrap().unwrap(), at(now));
    let monthly = settings("30 10 1 * *", Some("Asia/Shanghai"));
    assert_eq!(due_at(&monthly, "2026-12-01T02:29:59Z"), None);
    for late in ["2026-12-01T02:30:00Z", "2026-12-01T03:29:59Z"] {
        assert_eq!(due_at(&monthly, late), Some(at("2026-12-01T02:30:00Z")), "{late}");
    }
    assert_eq!(due_at(&monthly, "2026-12-01T03:30:01Z"), None, "missed for too long");
    assert_eq!(due_at(&settings("*/5 * * * *", None), "2026-12-01T00:07:00Z"), Some(at("2026-12-01T00:05:00Z")));
    // Berlin: 02:30 does not exist on the day the clocks go forward.
    let spring = settings("30 2 * * *", Some("Europe/Berlin"));
    assert_eq!(due_at(&spring, "2026-03-29T01:31:00Z"), Some(at("2026-03-29T01:30:00Z")));
    assert!(parse(&DrillSettings::default()).unwrap().is_none());
    for (schedule, zone) in [("* * * *", None), ("61 * * * *", None), ("0 0 1 * *", Some("Mars/Olympus"))] {
        let error = parse(&settings(schedule, zone)).unwrap_err().to_string();
        assert!(error.contains(schedule) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn the_newest_reports_are_kept() {
    let report = |second: i64| (Timestamp::from_second(second).unwrap(), format!("drill-{second}"));
    let all = vec![report(3), report(1), report(2)];
    assert_eq!(superfluous(all.clone(), 2), ["drill-1"]);
    assert!(superfluous(all.clone(), 3).is_empty());
    assert_eq!(superfluous(all, 0).len(), 2, "the newest always stays");
}

#[test]
fn a_quota_says_what_is_left_and_what_is_short() {
    let object = json!({"status": {
        "hard": {"limits.cpu": "4", "requests.cpu": "4", "limits.memory": "8Gi", "requests.memory": "8Gi", "pods": "10"},
        "used": {"limits.cpu": "1500m", "requests.cpu": "1", "limits.memory": "1Gi", "requests.memory": "1Gi", "pods": "8"},
    }});
    let left = quota(&object).unwrap();
    assert_eq!((left.cpu_millis, left.memory_bytes, left.pods), (2_500, 7 << 30, 2));
    let needs = Amounts { cpu_millis: 400, memory_bytes: 1 << 30, pods: 4, ..Amounts::default() };
    assert_eq!(lacking(&needs, &left).unwrap(), "pods: 4 needed, 2 left");
    assert_eq!(lacking(&Amounts { pods: 2, ..needs }, &left), None);
    assert_eq!(quota(&json!({"status": {"hard": {"pods": "10"}}})), None, "a controller that has not counted yet");
}

#[test]
fn the_whole_is_what_its_groups_came_to() {
    let s = situation();
    let groups = BTreeMap::from([("g".to_owned(), 3), ("h".to_owned(), 3)]);
    let asked = Asked { id: "d", from: "dc-a", to: "dc-b", groups: &groups, paused: false };
    let over = |result| GroupDrill {
        step: DrillStep::Completed,
        result: Some(result),
        rto_millis: Some(2_500),
        ..cloning(&s)
    };
    let mut drill = Drill::default();
    assert_eq!(phase(asked, &drill), FailoverPhase::Pending);
    drill.groups.insert("g".to_owned(), cloning(&s));
    assert_eq!(phase(asked, &drill), FailoverPhase::Running);
    drill.groups.insert("g".to_owned(), over(DrillResult::Passed));
    assert_eq!(phase(asked, &drill), FailoverPhase::Running, "the other has not begun");
    assert!(!is_over(&groups, &drill) && drill.under_way().next().is_none());
    for (result, expected) in
        [(DrillResult::Passed, FailoverPhase::Completed), (DrillResult::Failed, FailoverPhase::PartlyCompleted)]
    {
        drill.groups.insert("h".to_owned(), over(result));
        let shown = status(asked, &drill);
        assert_eq!((shown.phase, shown.rto_seconds), (expected, Some(2.5)));
        let report = shown.drill.unwrap();
        assert_eq!((report.site.as_str(), report.groups[1].result.as_str()), ("dc-b", result.as_str()));
    }
    drill.groups.insert("g".to_owned(), over(DrillResult::Swept));
    assert_eq!(phase(asked, &drill), FailoverPhase::RolledBack);
    let read: Drill = serde_json::from_value(serde_json::to_value(&drill).unwrap()).unwrap();
    assert_eq!(read, drill, "what the other site reads");
}
