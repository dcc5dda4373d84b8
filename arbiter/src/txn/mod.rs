//! Transactions as plain data: what is compared, what is done then, what else. Nothing here talks to a store.

mod audit;
mod build;
mod holds;
mod moves;
pub(crate) mod notes;
mod restore;
mod versions;

use std::fmt;

pub use audit::{AuditPut, audited, enter};
pub(crate) use build::reap_guarded;
#[cfg(feature = "mutations")]
pub use build::reap_with;
pub use build::{
    GroupChange, LedgerSwap, Mandate, SpecChange, applied, beat, brake, campaign, collect, conflict, create_platform,
    data, publish, reap, resign, status_batch,
};
pub use holds::{clear_hold, leave, set_hold};
pub use moves::{
    Acting, Move, NotAllowed, Refusal, Superseded, begin, claim, driver, finish, forget_failovers, holds, put_journal,
    reclaim, refusal, release, take_over,
};
pub use notes::{Edit, Scribe, note, note_all};
pub use restore::{
    APPROVERS, ATTESTED_STRIDE, NotConfirmed, Testimony, attest, confirm, founding, generation, report, unconfirm,
};

pub(crate) use versions::keep_version;

/// The most operations etcd takes in one transaction, by its default `--max-txn-ops`.
pub const MAX_OPS: usize = 128;

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Greater.
    Greater,
    /// Not equal.
    NotEqual,
}

/// What is compared of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Revision of the last modification; 0 where the key does not exist.
    Mod(i64),
    /// Revision of the creation; 0 where the key does not exist.
    Create(i64),
    /// The value; never true where the key does not exist.
    Value(Vec<u8>),
}

/// What a comparison or an operation covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// One key.
    Key(String),
    /// Every key with this prefix. A comparison over a range holds if it holds for each key that exists.
    Prefix(String),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// What it covers.
    pub span: Span,
    /// How it compares.
    pub ordering: Ordering,
    /// With what.
    pub target: Target,
}

impl Compare {
    /// The key was last modified at exactly this revision (0: does not exist).
    pub fn unchanged(key: impl fmt::Display, revision: i64) -> Self {
        Self { span: Span::Key(key.to_string()), ordering: Ordering::Equal, target: Target::Mod(revision) }
    }

    /// The key does not exist.
    pub fn absent(key: impl fmt::Display) -> Self {
        Self { span: Span::Key(key.to_string()), ordering: Ordering::Equal, target: Target::Create(0) }
    }

    /// No key with this prefix was modified at this revision or later.
    pub fn all_before(prefix: impl Into<String>, revision: i64) -> Self {
        Self { span: Span::Prefix(prefix.into()), ordering: Ordering::Less, target: Target::Mod(revision) }
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Reads keys.
    Get(Span),
}

impl Op {
    /// Writes a record.
    pub fn put<T: serde::Serialize>(key: impl fmt::Display, record: &T) -> Self {
        Self::Put { key: key.to_string(), value: crate::records::encode(record) }
    }

    /// Deletes a key.
    pub fn delete(key: impl fmt::Display) -> Self {
        Self::Delete { key: key.to_string() }
    }

    /// Reads one key.
    pub fn get(key: impl fmt::Display) -> Self {
        Self::Get(Span::Key(key.to_string()))
    }

    /// Reads every key with a prefix.
    pub fn range(prefix: impl Into<String>) -> Self {
        Self::Get(Span::Prefix(prefix.into()))
    }
}

/// One transaction: if all comparisons hold, `then`, else `otherwise`; at one revision, by everyone or nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The comparisons.
    pub compare: Vec<Compare>,
    /// What is done if all hold.
    pub then: Vec<Op>,
    /// What is done if one does not.
    pub otherwise: Vec<Op>,
}

/// A transaction that no store would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTxn {
    /// More than [`MAX_OPS`] comparisons or operations in one branch.
    #[error("{0} comparisons or operations in one transaction, at most {MAX_OPS} are possible")]
    TooLarge(usize),
    /// A branch writes one key twice.
    #[error("writes {0} twice")]
    WritesTwice(String),
}

impl Txn {
    /// Whether a store would take it.
    ///
    /// # Errors
    /// [`InvalidTxn`] with what is wrong.
    pub fn check(&self) -> Result<(), InvalidTxn> {
        let most = self.compare.len().max(self.then.len()).max(self.otherwise.len());
        if most > MAX_OPS {
            return Err(InvalidTxn::TooLarge(most));
        }
        for branch in [&self.then, &self.otherwise] {
            let mut written = std::collections::BTreeSet::new();
            for op in branch {
                if let Op::Put { key, .. } | Op::Delete { key } = op
                    && !written.insert(key)
                {
                    return Err(InvalidTxn::WritesTwice(key.clone()));
                }
            }
        }
        Ok(())
    }

    /// Whether it can be sent twice without harm: it writes nothing.
    #[must_use]
    pub fn reads_only(&self) -> bool {
        self.then.iter().chain(&self.otherwise).all(|op| matches!(op, Op::Get(_)))
    }
}

/// A key as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// Revision of its creation.
    pub create_revision: i64,
    /// Revision of its last modification.
    pub mod_revision: i64,
}

/// Which etcd process answered, and in which term. A process that was started again, and one that was forced to be a cluster of
/// its own, has to elect a leader before it answers: its term is a later one. So an answer of the same member in the same term
/// comes from the cluster whose members were read then, whatever connection it came over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// The member's id.
    pub member: u64,
    /// The term.
    pub term: u64,
}

/// Where an answer comes from: which cluster, and which process of it in which term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The cluster's id.
    pub cluster: u64,
    /// Who answered.
    pub server: Server,
}

/// The answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnAnswer {
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// The store's revision after the transaction; where it wrote, the revision of its writes.
    pub revision: i64,
    /// What each operation of the branch read, in order; empty for writes.
    pub reads: Vec<Vec<Kv>>,
    /// Who answered: compared with the cluster that is pinned, whatever connection it came over; and with another server than
    /// before, the arbiter's members are compared again.
    pub origin: Origin,
}

impl TxnAnswer {
    /// What the operation at this place of the branch read.
    #[must_use]
    pub fn read(&self, place: usize) -> &[Kv] {
        self.reads.get(place).map_or(&[], Vec::as_slice)
    }

    /// The one key that the operation at this place read, if it exists.
    #[must_use]
    pub fn one(&self, place: usize) -> Option<&Kv> {
        self.read(place).first()
    }
}
