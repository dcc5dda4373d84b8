//! How groups' data stands at the sites.

use futures::stream::BoxStream;

use super::specs::{Batch, Listing};
use super::{ActError, Arbiter};
use crate::records::{DataRecord, Key, RecordError, decode};
use crate::store::{Store, StoreError};
use crate::txn::{self, Kv};

/// How many reports go in one transaction, below etcd's limit together with what is compared.
const AT_ONCE: usize = 100;

/// Whose data: the site that says it, and the group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataOf {
    /// The site.
    pub site: String,
    /// The group.
    pub group: String,
}

/// A running watch of every site's reports, as [`SpecBatches`](super::SpecBatches).
pub type DataBatches = BoxStream<'static, Result<Batch<DataOf, DataRecord>, StoreError>>;

impl<S: Store> Arbiter<S> {
    /// Writes how groups' data stands at this site. `leader` is the `mod_revision` of this replica's leadership.
    ///
    /// # Errors
    /// [`ActError::NotLeader`], [`ActError::Store`]; what was not written is of no use any more when the next is.
    pub async fn report_data(&self, leader: i64, reports: &[(String, DataRecord)]) -> Result<(), ActError> {
        for batch in reports.chunks(AT_ONCE) {
            if !self.store().txn(&txn::data((self.site(), leader), batch)).await?.succeeded {
                return Err(ActError::NotLeader);
            }
        }
        Ok(())
    }

    /// How groups' data stands at every site, at one revision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_data(&self) -> Result<Listing<DataOf, DataRecord>, StoreError> {
        self.list(&Key::statuses(), data).await
    }

    /// Changes of that from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_data(&self, from: i64) -> Result<DataBatches, StoreError> {
        self.follow(&Key::statuses(), from, data).await
    }
}

fn data(key: &str, kv: Option<&Kv>) -> Option<(DataOf, Option<Result<DataRecord, RecordError>>)> {
    match key.parse() {
        Ok(Key::Data { site, group }) => Some((DataOf { site, group }, kv.map(|kv| decode(&kv.value)))),
        _ => None,
    }
}
