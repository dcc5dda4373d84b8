//! A queue of keys to work on: each key at most once at a time, failures later and later.

use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What a worker says of a key when it is through with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until the key is added again.
    Done,
    /// To be looked at again after this time, whatever happens; this is no failure.
    After(Duration),
    /// Failed for now; tried again, each time later, up to a minute.
    Retry,
}

/// A queue of keys. Cloning it gives another handle to the same queue.
#[derive(Debug)]
pub struct Queue<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// In `ready`, so that a key is there once.
    waiting: BTreeSet<K>,
    running: BTreeSet<K>,
    /// Added while a worker had it, and when: it goes back when the worker is through.
    again: BTreeMap<K, Instant>,
    delayed: BTreeMap<(Instant, K), ()>,
    due: BTreeMap<K, Instant>,
    failures: HashMap<K, u32>,
    /// Since when each key is here, until a worker is through with it.
    since: HashMap<K, Instant>,
}

impl<K: Clone + Ord + Hash + Debug + Send + Sync + 'static> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Ord + Hash + Debug + Send + Sync + 'static> Queue<K> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            again: BTreeMap::new(),
            delayed: BTreeMap::new(),
            due: BTreeMap::new(),
            failures: HashMap::new(),
            since: HashMap::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key, unless it waits already.
    pub fn add(&self, key: K) {
        self.state().add(key);
        self.shared.changed.notify_one();
    }

    /// Adds a key that should be looked at after `delay`, unless that is to happen sooner anyway.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.state().add_at(key, Instant::now() + delay);
        self.shared.changed.notify_one();
    }

    /// Keys that wait to be worked on or are being worked on now. Delayed ones do not count.
    #[must_use]
    pub fn depth(&self) -> usize {
        let state = self.state();
        state.ready.len() + state.running.len()
    }

    /// Every key that no worker is through with, and since when it has been so: delayed ones too.
    #[must_use]
    pub fn waiting(&self) -> Vec<(K, Instant)> {
        self.state().since.iter().map(|(key, since)| (key.clone(), *since)).collect()
    }

    /// Works on keys with `workers` at once, for ever.
    pub async fn run<F>(self, workers: usize, work: F)
    where
        F: Fn(K) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..workers.max(1) {
            let queue = self.clone();
            let work = Arc::clone(&work);
            running.spawn(async move {
                loop {
                    let key = queue.next().await;
                    let outcome = work(key.clone()).await;
                    queue.finish(key, outcome);
                }
            });
        }
        // Workers do not end by themselves; one that panicked takes the whole task down, to be noticed.
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    async fn next(&self) -> K {
        loop {
            let changed = self.shared.changed.notified();
            let wait_until = {
                let mut state = self.state();
                state.promote_due(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.shared.changed.notify_one();
                    }
                    return key;
                }
                state.delayed.keys().next().map(|(at, _)| *at)
            };
            match wait_until {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    fn finish(&self, key: K, outcome: Outcome) {
        let mut state = self.state();
        state.running.remove(&key);
        match outcome {
            Outcome::Done => {
                state.failures.remove(&key);
                state.since.remove(&key);
            }
            Outcome::After(delay) => {
                state.failures.remove(&key);
                state.add_at(key.clone(), Instant::now() + delay);
            }
            Outcome::Retry => {
                let failures = state.failures.entry(key.clone()).or_insert(0);
                *failures += 1;
                let delay = FIRST_RETRY.saturating_mul(1 << (*failures - 1).min(8)).min(LAST_RETRY);
                state.add_at(key.clone(), Instant::now() + delay);
            }
        }
        if let Some(at) = state.again.remove(&key) {
            state.since.entry(key.clone()).or_insert(at);
            state.add(key);
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl<K: Clone + Ord + Hash> State<K> {
    fn add(&mut self, key: K) {
        if self.running.contains(&key) {
            self.again.entry(key).or_insert_with(Instant::now);
            return;
        }
        self.since.entry(key.clone()).or_insert_with(Instant::now);
        if let Some(at) = self.due.remove(&key) {
            self.delayed.remove(&(at, key.clone()));
        }
        if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if self.waiting.contains(&key) {
            return;
        }
        self.since.entry(key.clone()).or_insert_with(Instant::now);
        if let Some(due) = self.due.get(&key).copied() {
            if due <= at {
                return;
            }
            self.delayed.remove(&(due, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.delayed.insert((at, key), ());
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some(((at, _), ())) = self.delayed.first_key_value()
            && *at <= now
            && let Some(((_, key), ())) = self.delayed.pop_first()
        {
            self.due.remove(&key);
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_it_is_worked_on_comes_again_and_never_twice_at_once() {
        let queue = Queue::new();
        let (seen, mut seen_keys) = mpsc::unbounded_channel();
        let at_once = Arc::new(AtomicUsize::new(0));
        let (counter, handle) = (Arc::clone(&at_once), queue.clone());
        let task = tokio::spawn(queue.clone().run(4, move |key: u32| {
            let (seen, counter, handle) = (seen.clone(), Arc::clone(&counter), handle.clone());
            Box::pin(async move {
                assert_eq!(counter.fetch_add(1, Ordering::SeqCst), 0);
                if seen.send(key).is_ok() && key == 1 && counter.load(Ordering::SeqCst) == 1 {
                    handle.add(2);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                counter.fetch_sub(1, Ordering::SeqCst);
                Outcome::Done
            })
        }));
        queue.add(7);
        queue.add(7);
        assert_eq!(seen_keys.recv().await, Some(7));
        queue.add(7);
        queue.add(7);
        assert_eq!(seen_keys.recv().await, Some(7));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(seen_keys.try_recv().is_err());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_later_and_later() {
        let queue = Queue::new();
        let (seen, mut seen_at) = mpsc::unbounded_channel();
        let task = tokio::spawn(queue.clone().run(1, move |_: u32| {
            let seen = seen.clone();
            Box::pin(async move {
                let _ = seen.send(Instant::now());
                Outcome::Retry
            })
        }));
        queue.add(1);
        let mut times = Vec::new();
        for _ in 0..12 {
            times.push(seen_at.recv().await.unwrap());
        }
        let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[0] >= FIRST_RETRY && gaps[0] < FIRST_RETRY * 2, "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "{gaps:?}");
        assert!(gaps[10] >= Duration::from_secs(59) && gaps[10] < Duration::from_secs(62), "{gaps:?}");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_from_its_first_addition_until_a_worker_is_through_with_it() {
        let queue = Queue::new();
        let (fail, failing) = tokio::sync::watch::channel(true);
        let started = Instant::now();
        queue.add(1);
        queue.add_after(2, Duration::from_secs(3_600));
        let task = tokio::spawn(queue.clone().run(1, move |_: u32| {
            let fails = *failing.borrow();
            Box::pin(async move { if fails { Outcome::Retry } else { Outcome::Done } })
        }));
        tokio::time::sleep(Duration::from_secs(30)).await;
        queue.add(1);
        let mut waiting = queue.waiting();
        waiting.sort();
        assert_eq!(waiting, [(1, started), (2, started)], "a failure is not the end, and a delay none");
        fail.send(false).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(queue.waiting(), [(2, started)]);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_of_two_times_counts() {
        let queue = Queue::new();
        let (seen, mut seen_at) = mpsc::unbounded_channel();
        let started = Instant::now();
        let task = tokio::spawn(queue.clone().run(2, move |_: u32| {
            let seen = seen.clone();
            Box::pin(async move {
                let _ = seen.send(Instant::now());
                Outcome::Done
            })
        }));
        queue.add_after(1, Duration::from_secs(60));
        queue.add_after(1, Duration::from_secs(5));
        queue.add_after(1, Duration::from_secs(30));
        let at = seen_at.recv().await.unwrap() - started;
        assert!(at >= Duration::from_secs(5) && at < Duration::from_secs(6), "{at:?}");
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(seen_at.try_recv().is_err());
        task.abort();
    }
}
