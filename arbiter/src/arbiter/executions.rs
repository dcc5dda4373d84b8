//! Listing and watching executions.

use futures::stream::BoxStream;

use super::specs::{Batch, Listing};
use super::{Arbiter, ReadError, read};
use crate::records::{JournalSeen, Key, RecordError, decode};
use crate::store::{Store, StoreError};
use crate::txn::{Kv, Op, Txn};

/// A running watch of journals, each under its execution and group. It ends with the first error, as
/// [`SpecBatches`](super::SpecBatches) does.
pub type JournalBatches = BoxStream<'static, Result<Batch<(String, String), JournalSeen>, StoreError>>;

impl<S: Store> Arbiter<S> {
    /// The journal of a group in an execution.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn journal(&self, execution: &str, group: &str) -> Result<Option<JournalSeen>, ReadError> {
        let key = Key::Journal { execution: execution.to_owned(), group: group.to_owned() };
        let answer = self.store.txn(&Txn { then: vec![Op::get(key)], ..Txn::default() }).await?;
        answer.one(0).map(seen).transpose()
    }

    /// Every journal, at one revision; each under its execution and group. What cannot be read is there as an error.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_executions(&self) -> Result<Listing<(String, String), JournalSeen>, StoreError> {
        self.list(&Key::executions(), parse).await
    }

    /// The journals of one execution.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_execution(&self, id: &str) -> Result<Listing<(String, String), JournalSeen>, StoreError> {
        self.list(&Key::execution(id), parse).await
    }

    /// Changes of journals from a revision on (inclusive).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_executions(&self, from: i64) -> Result<JournalBatches, StoreError> {
        self.follow(&Key::executions(), from, parse).await
    }
}

pub(super) fn seen(kv: &Kv) -> Result<JournalSeen, ReadError> {
    Ok(JournalSeen { revision: kv.mod_revision, created: kv.create_revision, journal: read(kv)? })
}

type Parsed = ((String, String), Option<Result<JournalSeen, RecordError>>);

fn parse(key: &str, kv: Option<&Kv>) -> Option<Parsed> {
    let Ok(Key::Journal { execution, group }) = key.parse() else { return None };
    let value = kv.map(|kv| {
        let journal: tandem_core::failover::Journal = decode(&kv.value)?;
        if journal.execution == execution && journal.group == group {
            Ok(JournalSeen { revision: kv.mod_revision, created: kv.create_revision, journal })
        } else {
            let found = format!("{}/{}", journal.execution, journal.group);
            Err(RecordError::Misplaced { expected: format!("{execution}/{group}"), found })
        }
    });
    Some(((execution, group), value))
}
