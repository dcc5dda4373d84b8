//! The task, in simulated time.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::super::{Attempt, Attempts, MembershipError, Running, View, run, run_membership};
use super::{identity, timing};
use crate::arbiter::Arbiter;
use crate::clock::Clock;
use crate::gate::{Gate, Query, SharedGate};
use crate::pins::{Acceptance, ClusterIdentity, read_pins, write_acceptance};
use crate::records::{GroupRecord, Key, Replacement};
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

/// A replica with pins, as an operator runs one.
fn start_pinned(
    store: &SimStore,
    clock: RuntimeClock,
    incarnation: &str,
    path: &std::path::Path,
) -> (Task, SharedGate) {
    let gate = SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()));
    let running = Running::without_pins(identity("op-0", incarnation), timing(), gate.clone());
    let running = Running { pins: Some(path.to_owned()), ..running };
    let (sender, view) = watch::channel(View::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(run(store.clone(), running, clock, sender, async { drop(stopped.await) }));
    (Task { view, stop, ended }, gate)
}

fn platform(gate: &SharedGate, clock: RuntimeClock) -> crate::gate::GateAnswer {
    gate.with(|gate| gate.answer(&Query::Active("platform".into()), clock.now()))
}

/// Restored behind the operator's back: fenced, until the restore was carried out and a person has accepted it at this site.
/// Then it reports what it had seen, and serves again once the group is confirmed, under a higher epoch.
#[tokio::test(start_paused = true)]
async fn a_restored_arbiter_fences_until_it_is_accepted() {
    let store = SimStore::default();
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let snapshot = store.snapshot();
    let clock = RuntimeClock(Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pins.json");
    let (mut task, gate) = start_pinned(&store, clock, "1", &path);
    task.until(|view| view.leads(clock.now()).is_some()).await;
    assert_eq!(platform(&gate, clock).status, 200);
    // It moves there and back, which the backup does not know.
    let moved = GroupRecord { epoch: 3, ..GroupRecord::first("dc-a") };
    let put = txn::Op::put(Key::Group("platform".into()), &moved);
    store.apply(&txn::Txn { then: vec![put], ..txn::Txn::default() }).unwrap();
    tokio::time::sleep(timing().t() * 2).await;

    let members: BTreeSet<u64> = [4, 5, 6].into();
    store.restore(&snapshot, ClusterIdentity { cluster: 9, members: members.clone() });
    task.until(|view| view.deadline.is_none()).await;
    let answer = platform(&gate, clock);
    assert!(answer.status == 503 && answer.reason.contains("cluster id"), "{}", answer.reason);
    // Accepted too early, and with a member that is not there: nothing comes of it.
    let word = Acceptance { generation: 2, cluster: 9, members };
    write_acceptance(&path, &word).unwrap();
    tokio::time::sleep(timing().t() * 3).await;
    assert_eq!(platform(&gate, clock).status, 503);
    assert_eq!((task.view.borrow().deadline, read_pins(&path).unwrap().unwrap().cluster), (None, 1));

    let arbiter = Arbiter::new(store.clone(), "dc-a");
    assert_eq!(arbiter.restore(&["dc-a".to_owned()], "wang", jiff::Timestamp::UNIX_EPOCH).await.unwrap(), 2);
    let ended = timeout(timing().t(), task.ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(MembershipError::Anew { generation: 2 })), "{ended:?}");
    let pins = read_pins(&path).unwrap().unwrap();
    assert_eq!((pins.cluster, pins.generation, pins.groups["platform"].epoch), (9, 2, 3));

    let (mut task, gate) = start_pinned(&store, clock, "2", &path);
    task.until(|view| view.leads(clock.now()).is_some()).await;
    let answer = platform(&gate, clock);
    assert!(answer.status == 503 && answer.reason.contains("not confirmed"), "{}", answer.reason);
    // With the heartbeat that counted, or the one after.
    tokio::time::sleep(timing().heartbeat()).await;
    let reported = arbiter.highest(&["dc-a".to_owned()]).await.unwrap();
    assert_eq!(reported["dc-a"].value.groups["platform"].epoch, 3);
    assert!(reported["dc-a"].value.replicas.contains("op-0"));
    let confirmed = arbiter.confirm("platform", jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(confirmed.value.epoch, 4);
    task.until(|view| view.authority().is_some_and(|authority| authority.record.epoch == 4)).await;
    assert_eq!(platform(&gate, clock).status, 200);
    task.stop.send(()).unwrap();
    task.ended.await.unwrap().unwrap();
    assert!(read_pins(&path).unwrap().unwrap().revision > 0, "kept at the end");
}

/// A replica whose disk was lost meets the arbiter after the restore: it says nothing of what was before.
#[tokio::test(start_paused = true)]
async fn a_lost_disk_does_not_speak_for_the_site() {
    let store = SimStore::default();
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    arbiter.restore(&["dc-a".to_owned()], "wang", jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let clock = RuntimeClock(Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let (mut task, _gate) = start_pinned(&store, clock, "1", &directory.path().join("pins.json"));
    task.until(|view| view.leads(clock.now()).is_some()).await;
    tokio::time::sleep(timing().t()).await;
    assert!(arbiter.highest(&["dc-a".to_owned()]).await.unwrap().is_empty());
    assert!(arbiter.confirm("platform", jiff::Timestamp::UNIX_EPOCH).await.is_err());
}

/// A member is replaced step by step and nothing is fenced; a forced new cluster is, whatever was replaced before.
#[tokio::test(start_paused = true)]
async fn a_replaced_member_is_followed_and_a_forced_cluster_is_not() {
    let store = SimStore::default();
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let clock = RuntimeClock(Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pins.json");
    let (mut task, gate) = start_pinned(&store, clock, "1", &path);
    task.until(|view| view.leads(clock.now()).is_some()).await;
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let replacement = Replacement {
        cluster: 1,
        generation: 1,
        before: [1, 2, 3].into(),
        removed: 3,
        name: "witness".into(),
        peer_urls: Vec::new(),
        added: None,
        done: false,
        at: jiff::Timestamp::UNIX_EPOCH,
        by: "wang".into(),
    };
    arbiter.keep_replacement(&arbiter.replacements().await.unwrap(), replacement).await.unwrap();
    for members in [BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 4])] {
        store.set_members(members.clone());
        store.elect();
        let until = clock.now() + timing().t();
        while clock.now() < until {
            assert_eq!(platform(&gate, clock).status, 200);
            tokio::time::sleep(timing().attempt()).await;
        }
        assert_eq!(read_pins(&path).unwrap().unwrap().members, members);
    }
    store.set_members(BTreeSet::from([1]));
    store.elect();
    task.until(|view| view.deadline.is_none()).await;
    let answer = platform(&gate, clock);
    assert!(answer.status == 503 && answer.reason.contains("members"), "{}", answer.reason);
}

#[tokio::test(start_paused = true)]
async fn whoever_feeds_a_release_is_heard_at_once() {
    let store = SimStore::default();
    let clock = RuntimeClock(Instant::now());
    let gate = SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()));
    let running = Running::without_pins(identity("op-0", "1"), timing(), gate);
    let wake = std::sync::Arc::clone(&running.wake);
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

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_as_it_ended() {
    let store = SimStore::default();
    let clock = RuntimeClock(Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let running =
        Running::without_pins(identity("op-0", "1"), timing(), SharedGate::new(Gate::new("dc-a", "op-0", 1, timing())));
    let attempts = Attempts::new({
        let told = std::sync::Arc::clone(&told);
        move |attempt| told.lock().unwrap().push(attempt)
    });
    let running = Running { pins: Some(directory.path().join("pins.json")), attempts, ..running };
    let (sender, view) = watch::channel(View::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(run(store.clone(), running, clock, sender, async { drop(stopped.await) }));
    let mut task = Task { view, stop, ended };
    task.until(|view| view.alive(clock.now())).await;
    assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [Attempt::Answered(Duration::ZERO)]);
    store.set_down(true);
    tokio::time::sleep(timing().t()).await;
    let failed = std::mem::take(&mut *told.lock().unwrap());
    assert!(failed.len() > 4 && failed.iter().all(|attempt| *attempt == Attempt::Failed), "{failed:?}");
    store.set_down(false);
    store.set_members(BTreeSet::from([1]));
    store.elect();
    task.until(|view| view.deadline.is_none()).await;
    tokio::time::sleep(timing().t()).await;
    assert_eq!(told.lock().unwrap().last(), Some(&Attempt::Refused));
}
