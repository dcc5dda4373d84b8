//! Waves, turns, and who begins by itself.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::toy::{A, B, World, s};
use crate::failover::*;

fn member(name: &str, tier: u8, needs: &[&str]) -> Member {
    Member { name: name.into(), tier, depends_on: needs.iter().map(|n| (*n).to_owned()).collect() }
}

fn names(plan: &Waves) -> Vec<Vec<&str>> {
    plan.waves.iter().map(|w| w.groups.iter().map(String::as_str).collect()).collect()
}

#[test]
fn platform_is_alone_and_first_and_tiers_follow() {
    let groups = [
        member("c", 1, &[]),
        member("a", 0, &["z"]),
        member(PLATFORM, 3, &["a"]),
        member("b", 0, &[]),
        member("z", 2, &["elsewhere"]),
    ];
    // z moves with tier 0, because a of tier 0 needs it.
    assert_eq!(names(&plan_waves(&groups, 10)), [vec![PLATFORM], vec!["b", "z"], vec!["a"], vec!["c"]]);
    assert_eq!(names(&plan_waves(&groups, 1)), [vec![PLATFORM], vec!["b"], vec!["z"], vec!["a"], vec!["c"]]);
    assert!(plan_waves(&[], 0).waves.is_empty());
}

#[test]
fn circles_are_reported_and_the_rest_moves() {
    let groups = [
        member("a", 0, &["b"]),
        member("b", 0, &["c"]),
        member("c", 0, &["a"]),
        member("d", 0, &["a"]),
        member("self", 0, &["self"]),
        member("free", 0, &[]),
    ];
    let plan = plan_waves(&groups, 4);
    assert_eq!(plan.cycles, [vec!["a", "b", "c"], vec!["self"]]);
    assert_eq!(plan.behind, ["d"]);
    assert_eq!(names(&plan), [vec!["free"]]);
    let turns = start_now(&plan, &groups, &BTreeMap::new(), 4);
    assert_eq!(turns["free"], Turn::Now);
    assert_eq!(turns["d"], Turn::Stuck { groups: ["a".to_owned()].into() });
}

#[test]
fn nothing_begins_beside_platform_but_a_blocked_platform_blocks_nobody() {
    let groups = [member(PLATFORM, 0, &[]), member("a", 0, &[])];
    let plan = plan_waves(&groups, 5);
    let turn = |standing| start_now(&plan, &groups, &BTreeMap::from([(PLATFORM.to_owned(), standing)]), 5)["a"].clone();
    let waits = Turn::Waits { groups: [PLATFORM.to_owned()].into() };
    assert_eq!(turn(Standing::Waiting), waits);
    assert_eq!(turn(Standing::Moving), waits);
    for settled in [Standing::Blocked, Standing::Serving, Standing::NeedsHuman, Standing::Back] {
        assert_eq!(turn(settled), Turn::Now, "{settled:?}");
    }
}

proptest! {
    #[test]
    fn any_groups_move_in_order_and_never_too_many(
        edges in prop::collection::vec((0usize..12, 0usize..12), 0..20),
        tiers in prop::collection::vec(0u8..4, 12),
        most in 1usize..5,
        stuck in prop::collection::btree_set(0usize..12, 0..3),
    ) {
        let mut groups: Vec<Member> = (0..12).map(|i| member(&format!("g{i:02}"), tiers[i], &[])).collect();
        for (from, to) in &edges {
            groups[*from].depends_on.insert(format!("g{to:02}"));
        }
        let plan = plan_waves(&groups, most);
        let planned: Vec<&String> = plan.waves.iter().flat_map(|w| &w.groups).collect();
        let refused: BTreeSet<&String> = plan.cycles.iter().flatten().chain(&plan.behind).collect();
        prop_assert_eq!(planned.len() + refused.len(), 12, "each group once");
        prop_assert!(plan.waves.iter().all(|w| w.groups.len() <= most));
        for (i, wave) in plan.waves.iter().enumerate() {
            for name in &wave.groups {
                let needs = &groups.iter().find(|g| g.name == *name).unwrap().depends_on;
                for need in needs {
                    prop_assert!(plan.waves[..i].iter().any(|w| w.groups.contains(need)), "{name} before {need}");
                }
            }
        }
        // Let them move: one round begins what may begin, the next one ends it.
        let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
        for _ in 0..40 {
            for (name, turn) in start_now(&plan, &groups, &standings, most) {
                let standing = standings.entry(name.clone()).or_insert(Standing::Waiting);
                if turn == Turn::Now && *standing == Standing::Waiting {
                    let fails = stuck.iter().any(|i| groups[*i].name == name);
                    *standing = if fails { Standing::NeedsHuman } else { Standing::Moving };
                }
            }
            let moving = standings.values().filter(|s| **s == Standing::Moving).count();
            prop_assert!(moving <= most);
            standings.values_mut().filter(|s| **s == Standing::Moving).for_each(|s| *s = Standing::Serving);
        }
        for group in &groups {
            let reach = |name: &str| { // everything it waits for, itself included
                let mut all: BTreeSet<String> = [name.to_owned()].into();
                loop {
                    let more: BTreeSet<String> = groups.iter().filter(|g| all.contains(&g.name)).flat_map(|g| g.depends_on.clone()).collect();
                    let before = all.len();
                    all.extend(more);
                    if all.len() == before { return all; }
                }
            };
            let all = reach(&group.name);
            let free = !all.iter().any(|n| refused.contains(n) || stuck.iter().any(|i| groups[*i].name == *n));
            prop_assert_eq!(standings.get(&group.name) == Some(&Standing::Serving), free, "{}", group.name);
        }
    }
}

fn lost() -> (World, Situation) {
    let mut w = World::new(World::data());
    w.site(A).alive = false;
    w.tick(s(11));
    let situation = w.observe_situation(B);
    (w, situation)
}

#[test]
fn a_failover_begins_by_itself_when_every_condition_is_met_and_says_which_is_not() {
    let (w, good) = lost();
    let Trigger::Start { execution, from, to, epoch, .. } = automatic(&good, w.now) else {
        panic!("{:?}", automatic(&good, w.now))
    };
    assert_eq!((execution.as_str(), from.as_str(), to.as_str(), epoch), (format!("auto-{A}-11").as_str(), A, B, 4));
    let now = w.now;
    let why = |change: &dyn Fn(&mut Situation)| {
        let mut situation = good.clone();
        change(&mut situation);
        match automatic(&situation, now) {
            Trigger::Not(why) => why.iter().map(Reason::code).collect::<Vec<_>>(),
            Trigger::Soon { execution, .. } => {
                vec![if execution == format!("auto-{A}-11") { "Soon" } else { "another" }]
            }
            Trigger::Start { .. } => Vec::new(),
        }
    };
    assert_eq!(why(&|x| x.policy.automatic = false), ["NotAutomatic"]);
    assert_eq!(why(&|x| x.hold = Some("all".into())), ["Held"]);
    assert_eq!(why(&|x| x.leads = false), ["NotLeader"]);
    assert_eq!(why(&|x| x.fenced = true), ["Fenced"]);
    assert_eq!(why(&|x| x.me = A.into()), ["HeldHere"]);
    assert_eq!(why(&|x| x.silence = None), ["HolderUnwatched"]);
    assert_eq!(why(&|x| x.silence.as_mut().unwrap().since = now - s(9)), ["HolderAlive"]);
    assert_eq!(why(&|x| x.sites.get_mut(B).unwrap().ready_since = Some(now - s(599))), ["Soon"]);
    let late = |x: &mut Situation| {
        x.sites.get_mut(B).unwrap().ready_since = Some(now - s(599));
        x.hold = Some("all".into());
    };
    assert_eq!(why(&late), ["Held", "NotReadyLongEnough"], "time alone does not bring it");
    assert_eq!(why(&|x| x.sites.get_mut(B).unwrap().ready_since = None), ["TargetNotReady"]);
    assert_eq!(why(&|x| x.sites.get_mut(B).unwrap().room = Some(false)), ["NoRoom"]);
    assert_eq!(why(&|x| x.sites.get_mut(B).unwrap().data = None), ["RpoUnknown"]);
    assert_eq!(why(&|x| x.record.epoch_since = now - s(1799)), ["Dwelling"]);
    assert_eq!(why(&|x| x.record.failovers_lately = 1), ["TooManyFailovers"]);
    assert_eq!(why(&|x| x.record.phase = Phase::Unconfirmed), ["Unconfirmed"]);
    assert_eq!(why(&|x| x.record.phase = Phase::Released { to: B.into() }), ["ReleasedTo"]);
    assert_eq!(why(&|x| x.sites.clear()), ["TargetNotReady", "RoomUnknown", "RpoUnknown"]);
    // A drill does not stand in the way: it is swept first.
    assert_eq!(why(&|x| x.drill = true), Vec::<&str>::new());
}

#[test]
fn readiness_says_what_would_be_lost() {
    let mut w = World::new(World::data());
    w.tick(s(1));
    let good = w.observe_situation(A);
    assert_eq!(readiness(&good, true, w.now), Readiness::Protected { notes: vec![] });
    let now = w.now;
    let why = |tolerance, change: &dyn Fn(&mut Situation)| {
        let mut situation = good.clone();
        change(&mut situation);
        match readiness(&situation, tolerance, now) {
            Readiness::Unprotected { reasons } => reasons.iter().map(Reason::code).collect::<Vec<_>>(),
            Readiness::Protected { notes } => notes.iter().map(Reason::code).collect(),
        }
    };
    let b = |x: &mut Situation, f: fn(&mut SiteView)| f(x.sites.get_mut(B).unwrap());
    assert_eq!(why(false, &|_| {}), ["NoTolerance"]);
    assert_eq!(why(true, &|x| b(x, |v| v.heard = false)), ["TargetSilent"]);
    assert_eq!(why(true, &|x| b(x, |v| v.ready_since = None)), ["TargetNotReady"]);
    assert_eq!(why(true, &|x| b(x, |v| v.room = Some(false))), ["NoRoom"]);
    assert_eq!(why(true, &|x| b(x, |v| v.data = None)), ["StandbyNotFollowing"]);
    assert_eq!(why(true, &|x| b(x, |v| v.data.as_mut().unwrap().lag = None)), ["RpoUnknown"]);
    assert_eq!(why(true, &|x| b(x, |v| v.data.as_mut().unwrap().lag = Some(s(31)))), ["RpoExceeded"]);
    assert_eq!(why(true, &|x| x.hold = Some("all".into())), ["Held"]);
    assert_eq!(why(true, &|x| _ = x.sites.remove(B)), ["NoOtherSite"]);
    assert_eq!(why(true, &|x| x.policy.replication = Replication::NoData), ["GateOnly"]);
    // What only keeps it from moving by itself does not make it unprotected.
    assert_eq!(why(true, &|x| x.policy.automatic = false), Vec::<&str>::new());
}
