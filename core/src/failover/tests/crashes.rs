//! Any schedule of faults and deaths: nothing that must never happen happens, and when the faults stop it ends.

use std::time::Duration;

use proptest::prelude::*;

use super::toy::{A, B, Crash, World, s};
use crate::failover::*;

#[derive(Clone, Debug)]
enum Event {
    Run(bool, Option<(bool, usize)>),
    Tick(u64),
    Kill(bool),
    Revive(bool),
    Link(bool, bool),
    Hold(bool),
    Abort,
    Pause(bool),
    Fail(bool, EffectKind),
    Hang(bool, EffectKind),
    Mend(bool),
    Ready(bool, bool),
    Room(Option<bool>),
    Stall(bool),
    Ask,
}

fn kind() -> impl Strategy<Value = EffectKind> {
    use EffectKind::{Demote, Fence, FinalSync, Promote, Quiesce, Redirect, Resume, ScaleActive, ScaleStandby, Verify};
    prop::sample::select(vec![
        Quiesce,
        FinalSync,
        Demote,
        Fence,
        Promote,
        Resume,
        ScaleActive,
        ScaleStandby,
        Redirect,
        Verify,
    ])
}

fn event() -> impl Strategy<Value = Event> {
    let crash = prop::option::weighted(0.2, (any::<bool>(), 0usize..2));
    prop_oneof![
        30 => (any::<bool>(), crash).prop_map(|(a, c)| Event::Run(a, c)),
        10 => (0u64..3000).prop_map(Event::Tick),
        2 => (3000u64..15_000).prop_map(Event::Tick),
        1 => any::<bool>().prop_map(Event::Kill),
        2 => any::<bool>().prop_map(Event::Revive),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(a, on)| Event::Link(a, on)),
        1 => any::<bool>().prop_map(Event::Hold),
        1 => Just(Event::Abort),
        1 => any::<bool>().prop_map(Event::Pause),
        1 => (any::<bool>(), kind()).prop_map(|(a, k)| Event::Fail(a, k)),
        1 => (any::<bool>(), kind()).prop_map(|(a, k)| Event::Hang(a, k)),
        2 => any::<bool>().prop_map(Event::Mend),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(a, on)| Event::Ready(a, on)),
        1 => any::<Option<bool>>().prop_map(Event::Room),
        1 => any::<bool>().prop_map(Event::Stall),
        1 => Just(Event::Ask),
    ]
}

fn name(a: bool) -> &'static str {
    if a { A } else { B }
}

fn happen(w: &mut World, event: &Event) {
    match event {
        Event::Run(a, crash) => {
            for n in 0..w.arbiter.journals.len() {
                let crash = crash.map(|(after, i)| if after { Crash::After(i) } else { Crash::Before(i) });
                w.run(name(*a), n, crash);
            }
        }
        // In small steps: heartbeats go on while time passes.
        Event::Tick(ms) => (0..=ms / 500).for_each(|_| w.tick(Duration::from_millis(500))),
        Event::Kill(a) => w.site(name(*a)).alive = false,
        Event::Revive(a) if !w.sites[name(*a)].alive => w.revive(name(*a)),
        Event::Revive(_) => {}
        Event::Link(a, on) => w.site(name(*a)).linked = *on,
        Event::Hold(on) => w.arbiter.hold = *on,
        Event::Abort => w.requests[0].abort = true,
        Event::Pause(on) => w.requests[0].paused = *on,
        Event::Fail(a, kind) => _ = w.site(name(*a)).failing.insert(*kind),
        Event::Hang(a, kind) => _ = w.site(name(*a)).hanging.insert(*kind),
        Event::Mend(a) => mend(w, name(*a)),
        Event::Ready(a, on) => w.site(name(*a)).ready = *on,
        Event::Stall(on) => w.site(B).stalled = *on,
        Event::Room(room) => w.site(B).room = *room,
        Event::Ask if w.arbiter.journals.len() < 3 => _ = w.ask(ExecutionKind::Failover, A, B, Request::default()),
        Event::Ask => {}
    }
}

fn mend(w: &mut World, site: &str) {
    let place = w.site(site);
    place.failing.clear();
    place.hanging.clear();
}

fn heal(w: &mut World) {
    for site in [A, B] {
        w.site(site).linked = true;
        w.site(site).ready = true;
        w.site(site).stalled = false;
        w.site(site).room = Some(true);
        mend(w, site);
        // Calls that hung have come to an end: whoever sent them starts anew.
        w.revive(site);
    }
    w.arbiter.hold = false;
    w.requests.iter_mut().for_each(|r| r.paused = false);
}

fn ends(w: &mut World) {
    heal(w);
    w.rounds(250);
    let record = &w.arbiter.record;
    assert_eq!(record.phase, Phase::Held, "{:#?}", w.log);
    for (journal, ..) in &w.arbiter.journals {
        let explicit = matches!(journal.side, Some(Side::Blocked { .. } | Side::NeedsHuman { .. }));
        assert!(journal.over || explicit, "{journal:#?} {record:#?} {:#?}", w.log);
        assert!(serde_json::to_string(journal).unwrap().len() < 64 << 10);
    }
    let holder = if record.active == A { A } else { B };
    assert!(w.writable(holder) && w.serves(holder), "{:#?} {:#?}", w.arbiter, w.log);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_switchover_survives_any_schedule(events in prop::collection::vec(event(), 0..90)) {
        let mut w = World::new(World::data());
        w.ask(ExecutionKind::Switchover, A, B, Request::default());
        for event in &events {
            happen(&mut w, event);
        }
        ends(&mut w);
    }

    #[test]
    fn a_failover_survives_any_schedule(events in prop::collection::vec(event(), 0..90), dead in any::<bool>()) {
        let mut w = World::new(World::data());
        w.site(A).alive = !dead;
        w.ask(ExecutionKind::Failover, A, B, Request::default());
        for event in &events {
            happen(&mut w, event);
        }
        ends(&mut w);
    }

    #[test]
    fn a_journal_survives_json_and_a_decision_is_a_function(events in prop::collection::vec(event(), 0..60)) {
        let mut w = World::new(World::data());
        let n = w.ask(ExecutionKind::Switchover, A, B, Request::default());
        w.tick(s(0));
        for event in &events {
            happen(&mut w, event);
            let text = serde_json::to_string(w.journal(n)).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Journal>(&text).unwrap(), w.journal(n));
            for site in [A, B] {
                prop_assert_eq!(w.decide(site, n), w.decide(site, n));
            }
        }
    }
}

/// A driver dies before or after its n-th run, for every n, at either site and at both.
#[test]
fn fault_15_a_death_before_and_after_every_action_changes_nothing_in_the_end() {
    for planned in [true, false] {
        for nth in 0..60 {
            for crash in [Crash::Before(0), Crash::After(0)] {
                let mut w = World::new(World::data());
                let kind = if planned { ExecutionKind::Switchover } else { ExecutionKind::Failover };
                w.site(A).alive = planned;
                let n = w.ask(kind, A, B, Request::default());
                for run in 0..60 {
                    for site in [A, B] {
                        w.run(site, n, (run == nth).then_some(crash));
                    }
                    w.tick(Duration::from_millis(500));
                }
                w.revive(A);
                w.rounds(60);
                assert_eq!((w.journal(n).step, w.arbiter.record.epoch), (Step::Protected, 5), "{nth} {crash:?}");
                let promotions = w.log.iter().filter(|l| *l == "dc-b TakeOver" || l.contains("ClaimRelease")).count();
                assert_eq!(promotions, usize::from(planned));
            }
        }
    }
}
