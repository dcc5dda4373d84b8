//! Keys, revisions and history: what etcd's members agree on, without how they agree. Deterministic, and without a clock, so
//! that a simulator can put its own network and its own quorum in front of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::super::{Event, WatchBatch};
use crate::txn::{Compare, Kv, Op, Ordering, Origin, Span, Target, Txn, TxnAnswer};

/// A multi-version store of keys, as etcd's is. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Mvcc {
    revision: i64,
    compacted: i64,
    keys: BTreeMap<Arc<str>, Arc<Kv>>,
    history: Vec<Written>,
}

/// What one transaction wrote.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its revision.
    pub revision: i64,
    /// What it wrote, in order.
    pub changes: Vec<Change>,
}

/// What was written to one key.
#[derive(Clone, Debug)]
pub enum Change {
    /// A value.
    Put(Arc<Kv>),
    /// It was deleted.
    Delete(Arc<str>),
}

impl Change {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete(key) => key,
        }
    }

    fn event(&self, revision: i64) -> Event {
        match self {
            Self::Put(kv) => Event::Put(Kv::clone(kv)),
            Self::Delete(key) => Event::Delete { key: key.to_string(), revision },
        }
    }
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
        self.within(prefix).map(|kv| Kv::clone(kv)).collect()
    }

    fn within<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Kv>> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.keys.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix)).map(|(_, kv)| kv)
    }

    /// As etcd: what happened before `revision` can no longer be watched.
    pub fn compact(&mut self, revision: i64) {
        self.compacted = revision.min(self.revision).max(self.compacted);
        let compacted = self.compacted;
        self.history.retain(|written| written.revision >= compacted);
    }

    /// Up to `most` batches from `from` on, one a revision: what happened to the keys with this prefix.
    #[must_use]
    pub fn since(&self, prefix: &str, from: i64, most: usize) -> Vec<WatchBatch> {
        self.written(from)
            .iter()
            .filter_map(|written| {
                let revision = written.revision;
                let of_it = written.changes.iter().filter(|change| change.key().starts_with(prefix));
                let events: Vec<Event> = of_it.map(|change| change.event(revision)).collect();
                (!events.is_empty()).then_some(WatchBatch { revision, events, origin: Origin::default() })
            })
            .take(most)
            .collect()
    }

    /// What was written from a revision on, as far as it is kept.
    #[must_use]
    pub fn written(&self, from: i64) -> &[Written] {
        let first = self.history.partition_point(|written| written.revision < from);
        &self.history[first..]
    }

    /// Carries out one transaction. It must have passed [`Txn::check`].
    pub fn txn(&mut self, txn: &Txn) -> TxnAnswer {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let branch = if succeeded { &txn.then } else { &txn.otherwise };
        let revision = self.revision + 1;
        let mut changes = Vec::new();
        let mut reads = Vec::with_capacity(branch.len());
        for op in branch {
            reads.push(match op {
                Op::Get(Span::Key(key)) => self.keys.get(key.as_str()).map(|kv| Kv::clone(kv)).into_iter().collect(),
                Op::Get(Span::Prefix(prefix)) => self.prefix(prefix),
                Op::Put { key, value } => {
                    changes.push(self.put(key, value, revision));
                    Vec::new()
                }
                Op::Delete { key } => {
                    if let Some((key, _)) = self.keys.remove_entry(key.as_str()) {
                        changes.push(Change::Delete(key));
                    }
                    Vec::new()
                }
            });
        }
        if !changes.is_empty() {
            self.revision = revision;
            self.history.push(Written { revision, changes });
        }
        TxnAnswer { succeeded, revision: self.revision, reads, origin: Origin::default() }
    }

    fn put(&mut self, key: &str, value: &[u8], revision: i64) -> Change {
        let kv = |create_revision| {
            Arc::new(Kv { key: key.to_owned(), value: value.to_vec(), create_revision, mod_revision: revision })
        };
        if let Some(found) = self.keys.get_mut(key) {
            *found = kv(found.create_revision);
            return Change::Put(Arc::clone(found));
        }
        let new = kv(revision);
        self.keys.insert(key.into(), Arc::clone(&new));
        Change::Put(new)
    }

    fn holds(&self, compare: &Compare) -> bool {
        let fits = |kv: &Kv| match &compare.target {
            Target::Mod(n) => order(compare.ordering, &kv.mod_revision, n),
            Target::Create(n) => order(compare.ordering, &kv.create_revision, n),
            Target::Value(value) => order(compare.ordering, &kv.value, value),
        };
        let mut found = match &compare.span {
            Span::Key(key) => {
                return self.keys.get(key.as_str()).map_or_else(|| nothing(compare), |kv| fits(kv.as_ref()));
            }
            Span::Prefix(prefix) => self.within(prefix).peekable(),
        };
        if found.peek().is_none() { nothing(compare) } else { found.all(|kv| fits(kv.as_ref())) }
    }
}

/// As etcd: a key that does not exist has revisions 0 and no value that could compare.
fn nothing(compare: &Compare) -> bool {
    match compare.target {
        Target::Mod(n) | Target::Create(n) => order(compare.ordering, &0, &n),
        Target::Value(_) => false,
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
