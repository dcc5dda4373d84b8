//! Keys, revisions and history: what etcd's members agree on, without how they agree. Deterministic, and without a clock, so
//! that a simulator can put its own network and its own quorum in front of it.

use std::collections::BTreeMap;

use super::super::{Event, WatchBatch};
use crate::txn::{Compare, Kv, Op, Ordering, Server, Span, Target, Txn, TxnAnswer};

/// A multi-version store of keys, as etcd's is. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Mvcc {
    revision: i64,
    compacted: i64,
    keys: BTreeMap<String, Kv>,
    history: Vec<WatchBatch>,
}

impl Default for Mvcc {
    fn default() -> Self {
        Self::new()
    }
}

impl Mvcc {
    /// An empty store. As an empty etcd, it stands at revision 1.
    #[must_use]
    pub fn new() -> Self {
        Self { revision: 1, compacted: 0, keys: BTreeMap::new(), history: Vec::new() }
    }

    /// The revision of the last write.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The oldest revision that can still be watched; 0 where all can.
    #[must_use]
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Every key with this prefix, in order.
    #[must_use]
    pub fn prefix(&self, prefix: &str) -> Vec<Kv> {
        self.keys
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, kv)| kv.clone())
            .collect()
    }

    /// As etcd: what happened before `revision` can no longer be watched.
    pub fn compact(&mut self, revision: i64) {
        self.compacted = revision.min(self.revision).max(self.compacted);
        let compacted = self.compacted;
        self.history.retain(|batch| batch.revision >= compacted);
    }

    /// Up to `most` batches from `from` on, one a revision: what happened to the keys with this prefix.
    #[must_use]
    pub fn since(&self, prefix: &str, from: i64, most: usize) -> Vec<WatchBatch> {
        let first = self.history.partition_point(|batch| batch.revision < from);
        self.history[first..]
            .iter()
            .filter_map(|batch| {
                let events: Vec<Event> =
                    batch.events.iter().filter(|event| event.key().starts_with(prefix)).cloned().collect();
                (!events.is_empty()).then_some(WatchBatch { revision: batch.revision, events })
            })
            .take(most)
            .collect()
    }

    /// Carries out one transaction. It must have passed [`Txn::check`].
    pub fn txn(&mut self, txn: &Txn) -> TxnAnswer {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let branch = if succeeded { &txn.then } else { &txn.otherwise };
        let revision = self.revision + 1;
        let mut events = Vec::new();
        let mut reads = Vec::new();
        for op in branch {
            reads.push(match op {
                Op::Get(span) => self.read(span),
                Op::Put { key, value } => {
                    events.push(self.put(key, value, revision));
                    Vec::new()
                }
                Op::Delete { key } => {
                    if self.keys.remove(key).is_some() {
                        events.push(Event::Delete { key: key.clone(), revision });
                    }
                    Vec::new()
                }
            });
        }
        if !events.is_empty() {
            self.revision = revision;
            self.history.push(WatchBatch { revision, events });
        }
        TxnAnswer { succeeded, revision: self.revision, reads, cluster: 0, server: Server::default() }
    }

    fn put(&mut self, key: &str, value: &[u8], revision: i64) -> Event {
        let create_revision = self.keys.get(key).map_or(revision, |kv| kv.create_revision);
        let kv = Kv { key: key.to_owned(), value: value.to_vec(), create_revision, mod_revision: revision };
        self.keys.insert(key.to_owned(), kv.clone());
        Event::Put(kv)
    }

    fn read(&self, span: &Span) -> Vec<Kv> {
        match span {
            Span::Key(key) => self.keys.get(key).cloned().into_iter().collect(),
            Span::Prefix(prefix) => self.prefix(prefix),
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let found = self.read(&compare.span);
        if found.is_empty() {
            // As etcd: a key that does not exist has revisions 0 and no value that could compare.
            return match compare.target {
                Target::Mod(n) | Target::Create(n) => order(compare.ordering, &0, &n),
                Target::Value(_) => false,
            };
        }
        found.iter().all(|kv| match &compare.target {
            Target::Mod(n) => order(compare.ordering, &kv.mod_revision, n),
            Target::Create(n) => order(compare.ordering, &kv.create_revision, n),
            Target::Value(value) => order(compare.ordering, &kv.value, value),
        })
    }
}

fn order<T: Ord>(ordering: Ordering, left: &T, right: &T) -> bool {
    match ordering {
        Ordering::Equal => left == right,
        Ordering::Less => left < right,
        Ordering::Greater => left > right,
        Ordering::NotEqual => left != right,
    }
}
