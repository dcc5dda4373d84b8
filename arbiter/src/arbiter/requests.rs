//! What people asked for, and listing and watching what decisions are made from: group records, holds, requests.

use futures::stream::BoxStream;

use super::specs::{Batch, Listing};
use super::{Arbiter, MoveError, ReadError, read};
use crate::records::{GroupRecord, Hold, HoldRecord, Key, RecordError, RequestRecord, Versioned, decode};
use crate::store::{Store, StoreError};
use crate::txn::{self, Acting, Compare, Kv, Op, Scribe, Txn, notes};

/// A running watch of group records, by name. It ends with the first error, as [`SpecBatches`](super::SpecBatches) does.
pub type GroupBatches = BoxStream<'static, Result<Batch<String, GroupRecord>, StoreError>>;

/// A running watch of holds, as [`GroupBatches`].
pub type HoldBatches = BoxStream<'static, Result<Batch<Hold, HoldRecord>, StoreError>>;

/// A running watch of requests, by id, as [`GroupBatches`].
pub type RequestBatches = BoxStream<'static, Result<Batch<String, RequestRecord>, StoreError>>;

impl<S: Store> Arbiter<S> {
    /// Changes of group records from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_groups(&self, from: i64) -> Result<GroupBatches, StoreError> {
        self.follow(&Key::groups(), from, group).await
    }

    /// Every hold, at one revision. One that cannot be read is there as an error, and holds all the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_holds(&self) -> Result<Listing<Hold, HoldRecord>, StoreError> {
        self.list(&Key::holds(), hold).await
    }

    /// Changes of holds from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_holds(&self, from: i64) -> Result<HoldBatches, StoreError> {
        self.follow(&Key::holds(), from, hold).await
    }

    /// Every request, at one revision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_requests(&self) -> Result<Listing<String, RequestRecord>, StoreError> {
        self.list(&Key::requests(), request).await
    }

    /// Changes of requests from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_requests(&self, from: i64) -> Result<RequestBatches, StoreError> {
        self.follow(&Key::requests(), from, request).await
    }

    /// A request.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn request(&self, id: &str) -> Result<Option<Versioned<RequestRecord>>, ReadError> {
        self.read_one(&Key::Request(id.to_owned())).await
    }

    /// Puts a request in place of the one that was read, if any; returns what there is. The caller looks whether it is what
    /// it sent: another may have been faster, and the same key is never used for two requests.
    ///
    /// # Errors
    /// [`ReadError`]; it can be called again after any of them.
    pub async fn put_request(
        &self,
        id: &str,
        before: Option<&Versioned<RequestRecord>>,
        record: &RequestRecord,
        scribe: Option<Scribe<'_>>,
    ) -> Result<Versioned<RequestRecord>, ReadError> {
        let key = Key::Request(id.to_owned());
        let mut txn = Txn {
            compare: vec![Compare::unchanged(&key, before.map_or(0, |before| before.revision))],
            then: vec![Op::put(&key, record)],
            otherwise: vec![Op::get(&key)],
        };
        if let Some(scribe) = scribe {
            txn::note_all(&mut txn, self.site(), notes::request(scribe, id, before, record));
        }
        let answer = self.store.txn(&txn).await?;
        match answer.one(0) {
            Some(found) if !answer.succeeded => Ok(Versioned::new(found.mod_revision, read(found)?)),
            _ => Ok(Versioned::new(answer.revision, record.clone())),
        }
    }

    /// Starts the day's count of automatic failovers anew; see [`txn::forget_failovers`]. Returns the record where it was
    /// written.
    ///
    /// # Errors
    /// [`MoveError::NotAllowed`], [`MoveError::Store`].
    pub async fn forget_failovers(
        &self,
        acting: Acting<'_>,
        group: &str,
        record: &Versioned<GroupRecord>,
    ) -> Result<Option<Versioned<GroupRecord>>, MoveError> {
        let txn = txn::forget_failovers(acting, group, record)?;
        let answer = self.store.txn(&txn).await.map_err(MoveError::Store)?;
        let next = GroupRecord { failovers_lately: 0, ..record.value.clone() };
        Ok(answer.succeeded.then(|| Versioned::new(answer.revision, next)))
    }
}

type Parsed<K, T> = Option<(K, Option<Result<T, RecordError>>)>;

fn group(key: &str, kv: Option<&Kv>) -> Parsed<String, GroupRecord> {
    match key.parse() {
        Ok(Key::Group(name)) => Some((name, kv.map(|kv| decode(&kv.value)))),
        _ => None,
    }
}

fn hold(key: &str, kv: Option<&Kv>) -> Parsed<Hold, HoldRecord> {
    if let Ok(Key::Hold(hold)) = key.parse() {
        return Some((hold, kv.map(|kv| decode(&kv.value))));
    }
    // Of a newer release. What it covers is not known; everything is the safe reading.
    tracing::warn!(key, "a hold of an unknown scope holds everything");
    Some((Hold::All, kv.map(|kv| decode(&kv.value))))
}

fn request(key: &str, kv: Option<&Kv>) -> Parsed<String, RequestRecord> {
    match key.parse() {
        Ok(Key::Request(id)) => Some((id, kv.map(|kv| decode(&kv.value)))),
        _ => None,
    }
}
