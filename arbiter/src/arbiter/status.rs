//! What this site reports: the status of its objects, and how far it has applied the records.

use std::collections::HashMap;

use tandem_core::sync::ObjectKey;

use super::{ActError, Arbiter, ReadError, leads, moved, read};
use crate::records::{Applied, Key, StatusRecord, encode};
use crate::store::Store;
use crate::txn::{self, Op, Txn};

/// How many status records go in one transaction.
const AT_ONCE: usize = 100;

/// How many bytes of status go in one transaction: etcd takes requests of up to 1.5 MiB.
const BYTES_AT_ONCE: usize = 1 << 20;

/// The status of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    /// The object.
    pub object: ObjectKey,
    /// Its status; `None` once the object is gone.
    pub status: Option<StatusRecord>,
}

/// What this site's status is known to be, as long as this replica leads.
#[derive(Debug)]
pub(super) struct Written {
    leader: i64,
    values: HashMap<Key, Vec<u8>>,
}

impl<S: Store> Arbiter<S> {
    /// Writes this site's status where it differs from what is written already; returns how many records were. `leader` is
    /// the `mod_revision` of this replica's leadership.
    ///
    /// # Errors
    /// [`ActError`]; what was not written is written by the next report.
    pub async fn report_status(&self, leader: i64, reports: Vec<StatusReport>) -> Result<usize, ActError> {
        // Held throughout: two reports at once would each overwrite what the other knows.
        let mut written = self.written.lock().await;
        // Taken out: after an error what is written is not known, and is read again.
        let mut known = match written.take().filter(|known| known.leader == leader) {
            Some(known) => known,
            None => self.read_status(leader).await?,
        };
        let mut wanted: HashMap<Key, Option<(StatusRecord, Vec<u8>)>> = HashMap::new();
        for StatusReport { object, status } in reports {
            let key = Key::Status(self.site().to_owned(), object);
            // The last report of an object counts.
            wanted.insert(
                key,
                status.map(|status| {
                    let bytes = encode(&status);
                    (status, bytes)
                }),
            );
        }
        let mut changed: Vec<_> = wanted
            .into_iter()
            .filter(|(key, status)| known.values.get(key) != status.as_ref().map(|(_, bytes)| bytes))
            .collect();
        changed.sort_by(|(left, _), (right, _)| left.cmp(right));
        let count = changed.len();
        let mut rest = changed.into_iter().peekable();
        while rest.peek().is_some() {
            let mut weight = 0;
            let mut batch = Vec::new();
            while let Some((_, status)) = rest.peek() {
                weight += status.as_ref().map_or(0, |(_, bytes)| bytes.len());
                if batch.len() == AT_ONCE || (weight > BYTES_AT_ONCE && !batch.is_empty()) {
                    break;
                }
                if let Some((key, status)) = rest.next() {
                    let (status, bytes) = status.unzip();
                    batch.push((key.clone(), status));
                    match bytes {
                        Some(bytes) => known.values.insert(key, bytes),
                        None => known.values.remove(&key),
                    };
                }
            }
            if !self.store.txn(&txn::status_batch((self.site(), leader), &batch)).await?.succeeded {
                return Err(ActError::NotLeader);
            }
        }
        *written = Some(known);
        Ok(count)
    }

    async fn read_status(&self, leader: i64) -> Result<Written, ActError> {
        let range = self.store.range(&Key::status_of(self.site())).await.map_err(ReadError::from)?;
        // Read under this leadership: whoever led before cannot write after this.
        if !self.store.txn(&leads(self.site(), leader)).await?.succeeded {
            return Err(ActError::NotLeader);
        }
        let values = range.kvs.into_iter().filter_map(|kv| match kv.key.parse() {
            Ok(key @ Key::Status(..)) => Some((key, kv.value)),
            _ => None,
        });
        Ok(Written { leader, values: values.collect() })
    }

    /// Says that this site has applied every record up to a revision; returns whether that had to be written. It never goes
    /// back.
    ///
    /// # Errors
    /// [`ActError`].
    pub async fn set_applied(&self, leader: i64, revision: i64) -> Result<bool, ActError> {
        let key = Key::Applied(self.site().to_owned());
        let look = Txn { then: vec![Op::get(&key)], ..Txn::default() };
        let answer = self.store.txn(&look).await.map_err(ReadError::from)?;
        let found = answer.one(0);
        let before: Option<Applied> = found.map(read).transpose()?;
        if before.is_some_and(|before| before.revision >= revision) {
            return Ok(false);
        }
        let answer = self.store.txn(&txn::applied((self.site(), leader), moved(found), revision)).await?;
        if answer.succeeded { Ok(true) } else { Err(ActError::NotLeader) }
    }

    /// How far a site has applied the records.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn applied(&self, site: &str) -> Result<Option<i64>, ReadError> {
        let found = self.read_one::<Applied>(&Key::Applied(site.to_owned())).await?;
        Ok(found.map(|found| found.value.revision))
    }
}
