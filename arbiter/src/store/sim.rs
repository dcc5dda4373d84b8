//! A store in memory that behaves like etcd: revisions, comparisons, history, compaction; and faults on request. It is
//! deterministic: what happens depends on the calls and the seed only.

pub mod mvcc;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::sync::watch;

use self::mvcc::Mvcc;
use super::{Cause, Met, Range, Store, StoreError, Watch, WatchBatch};
use crate::pins::ClusterIdentity;
use crate::txn::{Origin, Server, Txn, TxnAnswer};

/// Where an answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The request never arrived, and the caller cannot know.
    Before,
    /// The request was carried out, and its answer never came.
    After,
}

/// What happens to watch events, each as a probability in per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchFaults {
    /// A batch is delivered twice.
    pub duplicate: u8,
    /// A batch is delivered after the one that follows it, where one is waiting.
    pub reorder: u8,
    /// The watch ends with an error instead of delivering.
    pub end: u8,
}

/// A backup: everything that stood in a store at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Mvcc);

#[derive(Debug)]
struct State {
    mvcc: Mvcc,
    identity: ClusterIdentity,
    server: Server,
    losses: VecDeque<Option<Loss>>,
    down: bool,
    hold_watches: bool,
    faults: WatchFaults,
    random: u64,
}

/// The simulated store. Clones share the same data.
#[derive(Clone, Debug)]
pub struct SimStore {
    state: Arc<Mutex<State>>,
    moved: watch::Sender<u64>,
}

impl Default for SimStore {
    fn default() -> Self {
        Self::new(0)
    }
}

impl SimStore {
    /// An empty store whose faults follow this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            mvcc: Mvcc::new(),
            identity: ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 3]) },
            server: Server::default(),
            losses: VecDeque::new(),
            down: false,
            hold_watches: false,
            faults: WatchFaults::default(),
            random: seed,
        };
        Self { state: Arc::new(Mutex::new(state)), moved: watch::Sender::new(0) }
    }

    /// The store's revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.lock().mvcc.revision()
    }

    /// Takes a backup.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().mvcc.clone())
    }

    /// Replaces everything by a backup, under a new identity (or, as a forced new cluster would, under the old one).
    pub fn restore(&self, snapshot: &Snapshot, identity: ClusterIdentity) {
        let mut state = self.lock();
        state.mvcc = snapshot.0.clone();
        state.identity = identity;
        drop(state);
        self.wake();
    }

    /// Has the members elect a leader: answers come in the next term from now on, as after every start of a process.
    pub fn elect(&self) {
        self.lock().server.term += 1;
    }

    /// Changes who the members are and nothing else, as a replacement does, or a forced new cluster.
    pub fn set_members(&self, members: BTreeSet<u64>) {
        self.lock().identity.members = members;
    }

    /// Loses the answer to the next transaction that has no loss planned yet.
    pub fn lose_next_answer(&self, loss: Loss) {
        self.lock().losses.push_back(Some(loss));
    }

    /// Plans that the next transaction without a plan is answered.
    pub fn answer_next(&self) {
        self.lock().losses.push_back(None);
    }

    /// Makes the store unreachable, or reachable again.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
        self.wake();
    }

    /// Keeps watch events back, or lets them go.
    pub fn hold_watches(&self, hold: bool) {
        self.lock().hold_watches = hold;
        self.wake();
    }

    /// Sets what happens to watch events.
    pub fn set_watch_faults(&self, faults: WatchFaults) {
        self.lock().faults = faults;
    }

    /// Forgets what happened before this revision.
    pub fn compact(&self, revision: i64) {
        self.lock().mvcc.compact(revision);
        self.wake();
    }

    /// Carries out a transaction at once, past every fault: for tests that play another writer.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a transaction that no store would take.
    pub fn apply(&self, txn: &Txn) -> Result<TxnAnswer, StoreError> {
        txn.check()?;
        let answer = self.lock().txn(txn);
        self.wake();
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a failed test already; the state itself is changed in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.moved.send_modify(|turn| *turn += 1);
    }

    fn deliver(&self, cursor: &mut Cursor) -> Step {
        let mut state = self.lock();
        if state.down {
            return Step::Yield(Err(StoreError::Unavailable(Cause::new("the simulated store is down"))));
        }
        if state.hold_watches {
            return Step::Wait;
        }
        let origin = state.origin();
        let from_here = |batch: WatchBatch| Step::Yield(Ok(WatchBatch { origin, ..batch }));
        if let Some(batch) = cursor.again.pop_front() {
            return from_here(batch);
        }
        if cursor.next < state.mvcc.compacted() {
            return Step::Yield(Err(StoreError::Compacted { from: state.mvcc.compacted() }));
        }
        let mut batches = state.mvcc.since(&cursor.prefix, cursor.next, 2).into_iter();
        let Some(first) = batches.next() else { return Step::Wait };
        let faults = state.faults;
        if state.chance(faults.end) {
            return Step::Yield(Err(StoreError::Unavailable(Cause::new("the simulated watch ended"))));
        }
        cursor.next = first.revision + 1;
        if state.chance(faults.duplicate) {
            cursor.again.push_back(first.clone());
        }
        if state.chance(faults.reorder)
            && let Some(second) = batches.next()
        {
            cursor.next = second.revision + 1;
            cursor.again.push_back(first);
            return from_here(second);
        }
        from_here(first)
    }
}

impl State {
    fn txn(&mut self, txn: &Txn) -> TxnAnswer {
        TxnAnswer { origin: self.origin(), ..self.mvcc.txn(txn) }
    }

    fn origin(&self) -> Origin {
        Origin { cluster: self.identity.cluster, server: self.server }
    }

    /// splitmix64 (Steele, Lea, Flood 2014): enough for faults, and the same everywhere.
    fn chance(&mut self, per_cent: u8) -> bool {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % 100 < u64::from(per_cent)
    }
}

struct Cursor {
    prefix: String,
    next: i64,
    again: VecDeque<WatchBatch>,
    ended: bool,
}

enum Step {
    Yield(Result<WatchBatch, StoreError>),
    Wait,
}

impl Store for SimStore {
    async fn txn(&self, txn: &Txn) -> Result<TxnAnswer, StoreError> {
        txn.check()?;
        // A point at which other tasks run, as every request over a network is one.
        tokio::task::yield_now().await;
        let answer = {
            let mut state = self.lock();
            if state.down {
                return Err(StoreError::Unavailable(Cause::new("the simulated store is down")));
            }
            let loss = if txn.reads_only() { None } else { state.losses.pop_front().flatten() };
            match loss {
                Some(Loss::Before) => Err(StoreError::Unknown(Cause::new("lost before it arrived"))),
                Some(Loss::After) => {
                    state.txn(txn);
                    Err(StoreError::Unknown(Cause::new("lost on the way back")))
                }
                None => Ok(state.txn(txn)),
            }
        };
        self.wake();
        answer
    }

    async fn range(&self, prefix: &str) -> Result<Range, StoreError> {
        tokio::task::yield_now().await;
        let state = self.lock();
        if state.down {
            return Err(StoreError::Unavailable(Cause::new("the simulated store is down")));
        }
        Ok(Range { revision: state.mvcc.revision(), kvs: state.mvcc.prefix(prefix), origin: state.origin() })
    }

    async fn identity(&self) -> Result<Met, StoreError> {
        tokio::task::yield_now().await;
        let state = self.lock();
        if state.down {
            return Err(StoreError::Unavailable(Cause::new("the simulated store is down")));
        }
        Ok(Met { identity: state.identity.clone(), server: state.server })
    }

    async fn watch(&self, prefix: &str, from: i64) -> Result<Watch, StoreError> {
        let cursor = Cursor { prefix: prefix.to_owned(), next: from, again: VecDeque::new(), ended: false };
        let state = (self.clone(), self.moved.subscribe(), cursor);
        let stream = futures::stream::unfold(state, |(store, mut moved, mut cursor)| async move {
            if cursor.ended {
                return None;
            }
            loop {
                moved.borrow_and_update();
                match store.deliver(&mut cursor) {
                    Step::Yield(item) => {
                        cursor.ended = item.is_err();
                        return Some((item, (store, moved, cursor)));
                    }
                    // The sender lives in `store`, so that waiting never ends in an error.
                    Step::Wait => moved.changed().await.ok()?,
                }
            }
        });
        Ok(stream.boxed())
    }
}
