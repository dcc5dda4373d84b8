//! Listing and watching what stands in the arbiter, and collecting tombstones.

use futures::StreamExt;
use futures::stream::BoxStream;
use tandem_core::sync::{ObjectKey, Record, Versioned};

use super::{ActError, Arbiter, ReadError, read, stands};
use crate::records::{Applied, Key, RecordError, StatusRecord, decode, decode_spec};
use crate::store::{Event, Store, StoreError, WatchBatch};
use crate::txn::{self, Kv, Mandate, Op, Txn};

/// How many tombstones go in one transaction, below etcd's limit together with what is compared.
const COLLECTED_AT_ONCE: usize = 100;

/// Which status: the site that observed, and the object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectStatus {
    /// The site.
    pub site: String,
    /// The object.
    pub object: ObjectKey,
}

/// One record as it was listed. What cannot be read is there as an error: it is to be reported and left alone, and must not
/// keep the others from being followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen<K, T> {
    /// Whose record.
    pub key: K,
    /// `mod_revision`.
    pub revision: i64,
    /// The record.
    pub value: Result<T, RecordError>,
}

/// Every record of a sort, at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing<K, T> {
    /// The revision; watch from the next one.
    pub revision: i64,
    /// The records.
    pub entries: Vec<Seen<K, T>>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved<K, T> {
    /// Whose record.
    pub key: K,
    /// The revision of the change.
    pub revision: i64,
    /// The record as it is now; `None` where the key is gone.
    pub value: Option<Result<T, RecordError>>,
}

/// Changes of one or more whole revisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<K, T> {
    /// Everything up to this revision has been delivered; watch again from the next one.
    pub revision: i64,
    /// The changes; none in a mere report of progress.
    pub changes: Vec<Moved<K, T>>,
}

/// A running watch of desired state. It ends with the first error: watch again from the revision after the last batch, or
/// list again after [`StoreError::Compacted`].
pub type SpecBatches = BoxStream<'static, Result<Batch<ObjectKey, Record>, StoreError>>;

/// A running watch of status, as [`SpecBatches`].
pub type StatusBatches = BoxStream<'static, Result<Batch<ObjectStatus, StatusRecord>, StoreError>>;

impl<S: Store> Arbiter<S> {
    /// What is published of one object.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn spec(&self, key: &ObjectKey) -> Result<Option<Versioned<Record>>, ReadError> {
        let get = Txn { then: vec![Op::get(Key::Spec(key.clone()))], ..Txn::default() };
        let answer = self.store.txn(&get).await?;
        let read = |kv: &Kv| match decode_spec(key, &kv.value) {
            Ok(record) => Ok(Versioned::new(kv.mod_revision, record)),
            Err(source) => Err(ReadError::Record { key: kv.key.clone(), source }),
        };
        answer.one(0).map(read).transpose()
    }

    /// All desired state, tombstones included, at one revision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_specs(&self) -> Result<Listing<ObjectKey, Record>, StoreError> {
        self.list(&Key::specs(), spec).await
    }

    /// Changes of desired state from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_specs(&self, from: i64) -> Result<SpecBatches, StoreError> {
        self.follow(&Key::specs(), from, spec).await
    }

    /// What a site observed, at one revision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_status(&self, site: &str) -> Result<Listing<ObjectStatus, StatusRecord>, StoreError> {
        self.list(&Key::status_of(site), status).await
    }

    /// Changes of every site's status from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_status(&self, from: i64) -> Result<StatusBatches, StoreError> {
        self.follow(&Key::statuses(), from, status).await
    }

    /// Deletes the tombstones that every one of these sites has applied; returns how many. Where one of the sites has not
    /// yet said how far it is, none.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn collect_tombstones(&self, mandate: &Mandate, sites: &[String]) -> Result<usize, ActError> {
        let Some(applied) = self.applied_everywhere(sites).await? else { return Ok(0) };
        let listing = self.list_specs().await.map_err(ReadError::from)?;
        let buried: Vec<(Key, i64)> = listing
            .entries
            .into_iter()
            .filter(|seen| seen.revision <= applied && matches!(seen.value, Ok(Record::Tombstone(_))))
            .map(|seen| (Key::Spec(seen.key), seen.revision))
            .collect();
        let mut collected = 0;
        for batch in buried.chunks(COLLECTED_AT_ONCE) {
            let answer = self.store.txn(&txn::collect(self.site(), mandate, batch)).await?;
            if !answer.succeeded {
                // Else a name was taken anew between list and transaction: the next round sees it.
                stands(mandate, answer.one(0), answer.one(1))?;
                break;
            }
            collected += batch.len();
        }
        Ok(collected)
    }

    /// The revision that all of these sites have applied.
    async fn applied_everywhere(&self, sites: &[String]) -> Result<Option<i64>, ReadError> {
        let then = sites.iter().map(|site| Op::get(Key::Applied(site.clone()))).collect();
        let answer = self.store.txn(&Txn { then, ..Txn::default() }).await?;
        let mut least = None;
        for place in 0..sites.len() {
            let Some(kv) = answer.one(place) else { return Ok(None) };
            let applied: Applied = read(kv)?;
            least = Some(least.map_or(applied.revision, |least: i64| least.min(applied.revision)));
        }
        Ok(least)
    }

    pub(super) async fn list<K, T>(&self, prefix: &str, parse: Parse<K, T>) -> Result<Listing<K, T>, StoreError> {
        let range = self.store.range(prefix).await?;
        let entries = range
            .kvs
            .iter()
            .filter_map(|kv| {
                let (key, value) = parse(&kv.key, Some(kv))?;
                Some(Seen { key, revision: kv.mod_revision, value: value? })
            })
            .collect();
        Ok(Listing { revision: range.revision, entries })
    }

    pub(super) async fn follow<K: 'static, T: 'static>(
        &self,
        prefix: &str,
        from: i64,
        parse: Parse<K, T>,
    ) -> Result<BoxStream<'static, Result<Batch<K, T>, StoreError>>, StoreError> {
        let watch = self.store.watch(prefix, from).await?;
        Ok(watch.map(move |item| item.map(|batch| typed(&batch, parse))).boxed())
    }
}

/// Reads a key, and its value where it has one; `None` for keys that are not of the sort.
pub(super) type Parse<K, T> = fn(&str, Option<&Kv>) -> Option<(K, Option<Result<T, RecordError>>)>;

fn typed<K, T>(batch: &WatchBatch, parse: Parse<K, T>) -> Batch<K, T> {
    let changes = batch
        .events
        .iter()
        .filter_map(|event| {
            let kv = match event {
                Event::Put(kv) => Some(kv),
                Event::Delete { .. } => None,
            };
            let (key, value) = parse(event.key(), kv)?;
            Some(Moved { key, revision: event.revision(), value })
        })
        .collect();
    Batch { revision: batch.revision, changes }
}

fn spec(key: &str, kv: Option<&Kv>) -> Option<(ObjectKey, Option<Result<Record, RecordError>>)> {
    if let Ok(Key::Spec(object)) = key.parse() {
        let value = kv.map(|kv| decode_spec(&object, &kv.value));
        Some((object, value))
    } else {
        // A kind of a newer release. There is no local object to leave alone, so saying so is all there is to do.
        tracing::warn!(key, "a record of an unknown kind is not followed");
        None
    }
}

fn status(key: &str, kv: Option<&Kv>) -> Option<(ObjectStatus, Option<Result<StatusRecord, RecordError>>)> {
    match key.parse() {
        Ok(Key::Status(site, object)) => Some((ObjectStatus { site, object }, kv.map(|kv| decode(&kv.value)))),
        _ => None,
    }
}
