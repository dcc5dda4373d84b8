//! The task, in simulated time.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::super::{MembershipError, View, run_membership};
use super::{identity, timing};
use crate::clock::Clock;
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
