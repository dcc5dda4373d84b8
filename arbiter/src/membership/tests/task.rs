//! The task, in simulated time.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::super::{MembershipError, Running, View, run, run_membership};
use super::{identity, timing};
use crate::clock::Clock;
use crate::gate::{Gate, Query, SharedGate};
use crate::pins::{ClusterIdentity, read_pins, write_pins};
use crate::store::{Loss, SimStore};
use crate::txn;

/// The runtime's own clock, which stands still and jumps in these tests.
#[derive(Clone, Copy)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

struct Task {
    view: watch::Receiver<View>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), MembershipError>>,
}

fn start(store: &SimStore, clock: RuntimeClock, replica: &str, incarnation: &str) -> Task {
    let (sender, view) = watch::channel(View::default());
    let (stop, stopped) = oneshot::channel();
    let run = run_membership(store.clone(), identity(replica, incarnation), timing(), clock, sender, async {
        drop(stopped.await);
    });
    Task { view, stop, ended: tokio::spawn(run) }
}

impl Task {
    async fn until(&mut self, wanted: impl FnMut(&View) -> bool) -> View {
        let found = timeout(Duration::from_secs(60), self.view.wait_for(wanted)).await;
        found.expect("within a minute").unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn it_beats_leads_and_hands_over() {
    let store = SimStore::default();
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let clock = RuntimeClock(Instant::now());
    let mut first = start(&store, clock, "op-0", "1");
    let led = first.until(|view| view.leads(clock.now()).is_some()).await;
    assert!(led.authority().unwrap().record.held_by("dc-a"));
    let mut second = start(&store, clock, "op-1", "2");
    second.until(|view| view.alive(clock.now())).await;
    first.stop.send(()).unwrap();
    first.ended.await.unwrap().unwrap();
    assert_eq!(first.view.borrow().leader, None);
    let resigned = clock.now();
    second.until(|view| view.leads(clock.now()).is_some()).await;
    assert!(clock.now().saturating_sub(resigned) <= timing().heartbeat(), "no need to wait for T");
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_tried_again_within_the_same_beat() {
    let store = SimStore::default();
    let clock = RuntimeClock(Instant::now());
    for loss in [Loss::Before, Loss::After, Loss::After] {
        store.lose_next_answer(loss);
    }
    let mut task = start(&store, clock, "op-0", "1");
    task.until(|view| view.alive(clock.now())).await;
    assert!(clock.now() < timing().heartbeat(), "{:?}", clock.now());
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_out_of_reach_ends_the_leadership_by_the_clock_alone() {
    let store = SimStore::default();
    let clock = RuntimeClock(Instant::now());
    let mut task = start(&store, clock, "op-0", "1");
    task.until(|view| view.leads(clock.now()).is_some()).await;
    store.set_down(true);
    tokio::time::sleep(timing().fence()).await;
    let view = task.view.borrow().clone();
    assert!(view.leader.is_some(), "nobody came to say so");
    assert!(view.leads(clock.now()).is_none() && !view.alive(clock.now()));
    store.set_down(false);
    task.until(|view| view.leads(clock.now()).is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn two_processes_under_one_name_do_not_both_go_on() {
    let store = SimStore::default();
    let clock = RuntimeClock(Instant::now());
    let mut older = start(&store, clock, "op-0", "1");
    older.until(|view| view.leads(clock.now()).is_some()).await;
    let mut newer = start(&store, clock, "op-0", "2");
    newer.until(|view| view.leads(clock.now()).is_some()).await;
    let ended = timeout(timing().t(), older.ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(MembershipError::Superseded { .. })), "{ended:?}");
    assert_eq!(*older.view.borrow(), View::default());
}

/// Restored behind the operator's back: fenced, until a person has changed the pins on disk.
#[tokio::test(start_paused = true)]
async fn a_strange_arbiter_fences_until_the_pins_are_changed() {
    let store = SimStore::default();
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let snapshot = store.snapshot();
    let clock = RuntimeClock(Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pins.json");
    let gate = SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()));
    let running = Running {
        identity: identity("op-0", "1"),
        timing: timing(),
        gate: gate.clone(),
        pins: Some(path.clone()),
        wake: std::sync::Arc::default(),
    };
    let (sender, view) = watch::channel(View::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(run(store.clone(), running, clock, sender, async { drop(stopped.await) }));
    let mut task = Task { view, stop, ended };
    task.until(|view| view.leads(clock.now()).is_some()).await;
    let active = || gate.with(|gate| gate.answer(&Query::Active("platform".into()), clock.now()));
    assert_eq!(active().status, 200);
    tokio::time::sleep(timing().t() * 2).await;

    let members = [1, 2, 3].into();
    store.restore(&snapshot, ClusterIdentity { cluster: 9, members });
    task.until(|view| view.deadline.is_none()).await;
    let answer = active();
    assert!(answer.status == 503 && answer.reason.contains("cluster id"), "{}", answer.reason);
    tokio::time::sleep(timing().t() * 3).await;
    assert_eq!(active().status, 503);

    let mut pins = read_pins(&path).unwrap().unwrap();
    assert_eq!((pins.cluster, pins.groups["platform"].epoch), (1, 1));
    (pins.cluster, pins.revision) = (9, 0);
    write_pins(&path, &pins).unwrap();
    task.until(|view| view.leads(clock.now()).is_some()).await;
    assert_eq!(active().status, 200);
    task.stop.send(()).unwrap();
    task.ended.await.unwrap().unwrap();
    assert!(read_pins(&path).unwrap().unwrap().revision > 0, "kept at the end");
}

#[tokio::test(start_paused = true)]
async fn whoever_feeds_a_release_is_heard_at_once() {
    let store = SimStore::default();
    let clock = RuntimeClock(Instant::now());
    let gate = SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()));
    let wake = std::sync::Arc::new(tokio::sync::Notify::new());
    let running = Running { identity: identity("op-0", "1"), timing: timing(), gate, pins: None, wake: wake.clone() };
    let (sender, view) = watch::channel(View::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(run(store.clone(), running, clock, sender, async { drop(stopped.await) }));
    let mut task = Task { view, stop, ended };
    let first = task.until(|view| view.alive(clock.now())).await.seen;
    wake.notify_one();
    tokio::time::sleep(timing().heartbeat() / 10).await;
    assert!(task.view.borrow().seen > first);
    task.stop.send(()).unwrap();
    task.ended.await.unwrap().unwrap();
}
