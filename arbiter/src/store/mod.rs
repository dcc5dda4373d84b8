//! Where the records are kept: etcd, or a simulated store that behaves like it. Both pass the same contract tests.

mod compared;
mod etcd;
mod sim;

use std::future::Future;
use std::sync::Arc;

use futures::stream::BoxStream;

pub use compared::{Compared, Comparison, Counts};
pub use etcd::{EtcdAdmin, EtcdConfig, EtcdStore, Member, MemberStatus, SnapshotStream};
pub use sim::{Loss, SimStore, Snapshot, WatchFaults, mvcc};

use crate::pins::ClusterIdentity;
use crate::txn::{InvalidTxn, Kv, Origin, Server, Txn, TxnAnswer};

/// What went wrong with a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not take part: certainly nothing was changed.
    #[error("the arbiter cannot be reached")]
    Unavailable(#[source] Cause),
    /// The answer was lost: the transaction may have been carried out, may still be, or may never be. Read before going on.
    #[error("the arbiter's answer was lost; whether the change was made is not known")]
    Unknown(#[source] Cause),
    /// The store refused: certainly nothing was changed.
    #[error("the arbiter refused the request")]
    Refused(#[source] Cause),
    /// The revisions asked for are no longer kept: list again.
    #[error("the arbiter no longer has the revisions asked for; it has those from {from} on")]
    Compacted {
        /// The oldest revision still kept.
        from: i64,
    },
    /// A transaction that no store would take.
    #[error("the transaction is not possible")]
    Invalid(#[from] InvalidTxn),
    /// The store cannot be set up from its configuration.
    #[error("the arbiter's configuration cannot be used: {0}")]
    Configuration(String),
}

/// What a store's library said.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub Arc<str>);

impl Cause {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }
}

/// An arbiter as one of its servers described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// Who it is.
    pub identity: ClusterIdentity,
    /// Which server says so.
    pub server: Server,
}

impl Met {
    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin { cluster: self.identity.cluster, server: self.server }
    }
}

/// The keys with a prefix, as they stood at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The revision.
    pub revision: i64,
    /// The keys, in order.
    pub kvs: Vec<Kv>,
    /// Who answered.
    pub origin: Origin,
}

/// What happened to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was written.
    Put(Kv),
    /// It was deleted.
    Delete {
        /// The key.
        key: String,
        /// The revision of the deletion.
        revision: i64,
    },
}

impl Event {
    /// The revision at which it happened.
    #[must_use]
    pub fn revision(&self) -> i64 {
        match self {
            Self::Put(kv) => kv.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The key to which it happened.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete { key, .. } => key,
        }
    }
}

/// Events of one or more whole revisions, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// Everything up to this revision has been delivered.
    pub revision: i64,
    /// The events; none in a mere report of progress.
    pub events: Vec<Event>,
    /// Who says so.
    pub origin: Origin,
}

/// A running watch. It ends with the first error; watch again from the revision after the last batch.
pub type Watch = BoxStream<'static, Result<WatchBatch, StoreError>>;

/// A store of keys with revisions, as etcd is one.
pub trait Store: Clone + Send + Sync + 'static {
    /// Carries out one transaction. It is sent to another endpoint only where it certainly did not arrive at the first, or
    /// where it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] where it was sent and no answer came; every other error means that nothing was changed.
    fn txn(&self, txn: &Txn) -> impl Future<Output = Result<TxnAnswer, StoreError>> + Send;

    /// Reads every key with a prefix, in pages, all at one revision not older than the call (linearizable).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Refused`]; [`StoreError::Compacted`] where the pages took so long that
    /// their revision was compacted.
    fn range(&self, prefix: &str) -> impl Future<Output = Result<Range, StoreError>> + Send;

    /// Watches every key with a prefix, from a revision on (inclusive).
    ///
    /// # Errors
    /// Where the watch cannot be set up; [`StoreError::Compacted`] may come here or in the stream.
    fn watch(&self, prefix: &str, from: i64) -> impl Future<Output = Result<Watch, StoreError>> + Send;

    /// Who the arbiter is: its cluster id and its members, and which server says so.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Refused`].
    fn identity(&self) -> impl Future<Output = Result<Met, StoreError>> + Send;

    /// Sends the next request to another endpoint, if there are several: the last one was too slow for the caller.
    fn next_endpoint(&self) {}
}
