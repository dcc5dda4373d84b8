//! The operations that an operator calls: each is one transaction, or a read, with typed errors.

mod audit;
mod collect;
mod data;
mod drift;
mod executions;
mod idempotency;
mod moves;
mod pending;
mod promises;
mod publish;
mod records;
mod reports;
mod requests;
mod restore;
mod specs;
mod status;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_core::audit::Head;
use tokio::sync::Mutex;

pub use audit::{AuditError, AuditPage, Audited, Completion, Receipt};
pub use data::{DataBatches, DataOf};
pub use executions::JournalBatches;
pub use idempotency::{Claimed, IdempotencyError};
pub use moves::{MoveError, Moved as GroupMoved};
pub use pending::Drained;
pub use promises::PromiseError;
pub use publish::{Burial, Publication, PublishError, Published, Rider};
pub use records::BrakeStates;
pub use requests::{GroupBatches, HoldBatches, RequestBatches};
pub use restore::RestoreError;
pub use specs::{Batch, Listing, Moved, ObjectStatus, Seen, SpecBatches, StatusBatches};
pub use status::StatusReport;

use crate::records::{GroupRecord, Key, PLATFORM, RecordError, Versioned, decode};
use crate::store::{Store, StoreError};
use crate::txn::{self, Compare, Kv, Mandate, Op, Txn};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer.
    #[error("reading from the arbiter failed")]
    Store(#[from] StoreError),
    /// A record cannot be understood.
    #[error("the record {key} cannot be read")]
    Record {
        /// Its key.
        key: String,
        /// What is wrong with it.
        source: RecordError,
    },
}

/// Why a site could not act.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Another site is the authority, or the authority record moved: read it again and decide anew.
    #[error("this site is not the authority, or the authority moved")]
    NotAuthority,
    /// Another replica leads the site.
    #[error("this replica does not lead its site any more")]
    NotLeader,
    /// Reading what it depends on failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not carry it out, or nobody knows ([`StoreError::Unknown`]).
    #[error("writing to the arbiter failed")]
    Store(#[from] StoreError),
}

/// Who is the authority, as one read saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `mod_revision` of `groups/platform`.
    pub revision: i64,
    /// The record.
    pub record: GroupRecord,
}

impl Authority {
    /// What `site` relies on when it publishes, if this record makes it the authority; `leader` is the `mod_revision` of
    /// the site's leadership.
    #[must_use]
    pub fn mandate(&self, site: &str, leader: i64) -> Option<Mandate> {
        self.record.held_by(site).then_some(Mandate { authority: self.revision, leader })
    }

    /// The authority in a snapshot of `groups/`, as the membership publishes it.
    #[must_use]
    pub fn among(groups: &BTreeMap<String, Versioned<GroupRecord>>) -> Option<Self> {
        groups.get(PLATFORM).map(|found| Self { revision: found.revision, record: found.value.clone() })
    }
}

/// The arbiter, as one site uses it. Clones share a store, a memory of the status that was written and one of the audit
/// chain's head.
#[derive(Clone, Debug)]
pub struct Arbiter<S> {
    store: S,
    site: Arc<str>,
    written: Arc<Mutex<Option<status::Written>>>,
    audit: Arc<Mutex<Option<Versioned<Head>>>>,
}

impl<S: Store> Arbiter<S> {
    /// The arbiter in this store, for this site.
    pub fn new(store: S, site: &str) -> Self {
        Self { store, site: site.into(), written: Arc::default(), audit: Arc::default() }
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Creates `groups/platform`, held by the preferred site under epoch 1, where there is none; returns what there is.
    ///
    /// # Errors
    /// [`ReadError`]; after [`StoreError::Unknown`] it can be called again, since it never changes a record that exists.
    pub async fn ensure_platform(&self, preferred: &str) -> Result<Authority, ReadError> {
        if let Some(authority) = self.authority().await? {
            return Ok(authority);
        }
        let answer = self.store.txn(&txn::create_platform(preferred)).await?;
        match answer.one(0) {
            Some(found) if !answer.succeeded => Ok(Authority { revision: found.mod_revision, record: read(found)? }),
            _ => Ok(Authority { revision: answer.revision, record: GroupRecord::first(preferred) }),
        }
    }

    /// Who is the authority; `None` where the arbiter is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn authority(&self) -> Result<Option<Authority>, ReadError> {
        let found: Option<Versioned<GroupRecord>> = self.read_one(&Key::Group(PLATFORM.to_owned())).await?;
        Ok(found.map(|found| Authority { revision: found.revision, record: found.value }))
    }

    /// Every group record, at one revision.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_groups(&self) -> Result<(i64, BTreeMap<String, Versioned<GroupRecord>>), ReadError> {
        let range = self.store.range(&Key::groups()).await?;
        Ok((range.revision, groups(&range.kvs)?))
    }

    async fn read_one<T: serde::de::DeserializeOwned>(&self, key: &Key) -> Result<Option<Versioned<T>>, ReadError> {
        let answer = self.store.txn(&Txn { then: vec![Op::get(key)], ..Txn::default() }).await?;
        answer.one(0).map(|kv| Ok(Versioned::new(kv.mod_revision, read(kv)?))).transpose()
    }
}

/// The group records among these keys, by name.
pub(crate) fn groups(kvs: &[Kv]) -> Result<BTreeMap<String, Versioned<GroupRecord>>, ReadError> {
    let named = kvs.iter().filter_map(|kv| match kv.key.parse() {
        Ok(Key::Group(group)) => Some((group, kv)),
        _ => None,
    });
    named.map(|(group, kv)| Ok((group, Versioned::new(kv.mod_revision, read(kv)?)))).collect()
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(kv: &Kv) -> Result<T, ReadError> {
    decode(&kv.value).map_err(|source| ReadError::Record { key: kv.key.clone(), source })
}

/// `mod_revision` of what was read, 0 where it does not exist.
fn moved(kv: Option<&Kv>) -> i64 {
    kv.map_or(0, |kv| kv.mod_revision)
}

/// Whether the two records that every publication relies on stand as the mandate has them. The reads are those of
/// [`txn::publish`]'s other branch.
fn stands(mandate: &Mandate, authority: Option<&Kv>, leader: Option<&Kv>) -> Result<(), ActError> {
    if moved(authority) != mandate.authority {
        return Err(ActError::NotAuthority);
    }
    if moved(leader) != mandate.leader {
        return Err(ActError::NotLeader);
    }
    Ok(())
}

/// A transaction that changes nothing and says whether the leadership stands.
fn leads(site: &str, leader: i64) -> Txn {
    Txn { compare: vec![Compare::unchanged(Key::Leader(site.to_owned()), leader)], ..Txn::default() }
}
