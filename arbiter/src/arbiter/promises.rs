//! What approved requests are promised of a unit's budget, before the environment takes it.
//!
//! Every promise is one compare-and-swap on the unit's ledger, so that of many approvals at once exactly those are promised
//! something that fit together.

use tandem_core::ledger::{Change, Refusal};

use super::{Arbiter, ReadError, moved, read};
use crate::records::{Key, LedgerRecord, PLATFORM};
use crate::store::{Store, StoreError};
use crate::txn::{Compare, Op, Txn};

/// How often a promise is tried where another changed the ledger in between, or whose answer was lost.
const TRIES: usize = 64;

/// Why nothing was promised, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    /// Another site is the authority, or the authority record moved.
    #[error("this site is not the authority, or the authority moved")]
    NotAuthority,
    /// The unit's budget does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger kept changing.
    #[error("the unit's ledger kept changing; try again")]
    Contended,
    /// A record could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not carry it out. What was promised can be promised or given back again.
    #[error("writing to the unit's ledger failed")]
    Store(#[source] StoreError),
}

impl<S: Store> Arbiter<S> {
    /// Promises a request so much of its unit's budget, or takes the promise back: [`Change::Reserve`] and
    /// [`Change::Unreserve`]. `authority` is the `mod_revision` of `groups/platform` under which this site is the authority.
    ///
    /// # Errors
    /// [`PromiseError`]; it can be called again with the same change after any.
    pub async fn promise(&self, authority: i64, unit: &str, change: &Change) -> Result<(), PromiseError> {
        let platform = Key::Group(PLATFORM.to_owned());
        let key = Key::Ledger(unit.to_owned());
        let look = || vec![Op::get(&platform), Op::get(&key)];
        let mut answer = self.store.txn(&Txn { then: look(), ..Txn::default() }).await.map_err(ReadError::from)?;
        for _ in 0..TRIES {
            if moved(answer.one(0)) != authority {
                return Err(PromiseError::NotAuthority);
            }
            let found = answer.one(1);
            let current: Option<LedgerRecord> = found.map(read).transpose()?;
            let current = current.map(|record| record.ledger);
            let next = change.apply(current.as_ref())?;
            if next == current {
                return Ok(());
            }
            let Some(ledger) = next else { return Ok(()) };
            let txn = Txn {
                compare: vec![Compare::unchanged(&platform, authority), Compare::unchanged(&key, moved(found))],
                then: vec![Op::put(&key, &LedgerRecord { unit: unit.to_owned(), ledger })],
                otherwise: look(),
            };
            match self.store.txn(&txn).await {
                Ok(done) if done.succeeded => return Ok(()),
                Ok(moved) => answer = moved,
                // The same change twice is one: it is seen whether it stands, and made again where it does not.
                Err(StoreError::Unknown(_)) => {
                    answer = self.store.txn(&Txn { then: look(), ..Txn::default() }).await.map_err(ReadError::from)?;
                }
                Err(error) => return Err(PromiseError::Store(error)),
            }
        }
        Err(PromiseError::Contended)
    }
}
