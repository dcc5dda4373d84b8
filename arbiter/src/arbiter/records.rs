//! Conflicts, ledgers, holds and the brake.

use super::{ActError, Arbiter, ReadError, moved, read};
use crate::records::{BrakeRecord, Confirmation, ConflictRecord, Hold, HoldRecord, Key, LedgerRecord, Versioned};
use crate::store::{Store, StoreError};
use crate::txn;

impl<S: Store> Arbiter<S> {
    /// Keeps a conflict; returns whether it is new. The same edit found twice is kept once, as it was found first.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any of them.
    pub async fn record_conflict(&self, conflict: &ConflictRecord) -> Result<bool, StoreError> {
        Ok(self.store.txn(&txn::conflict(conflict)).await?.succeeded)
    }

    /// Every conflict that is kept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn conflicts(&self) -> Result<Vec<Versioned<ConflictRecord>>, ReadError> {
        let range = self.store.range(&Key::conflicts()).await?;
        range.kvs.iter().map(|kv| Ok(Versioned::new(kv.mod_revision, read(kv)?))).collect()
    }

    /// A unit's ledger.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn ledger(&self, unit: &str) -> Result<Option<Versioned<LedgerRecord>>, ReadError> {
        self.read_one(&Key::Ledger(unit.to_owned())).await
    }

    /// Every hold. A hold that cannot be read holds all the same, so that this fails rather than leave it out.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn holds(&self) -> Result<Vec<(Hold, Versioned<HoldRecord>)>, ReadError> {
        let range = self.store.range(&Key::holds()).await?;
        let mut holds = Vec::new();
        for kv in &range.kvs {
            let Ok(Key::Hold(hold)) = kv.key.parse() else {
                let source = crate::records::RecordError::Malformed { why: "the scope is unknown".to_owned() };
                return Err(ReadError::Record { key: kv.key.clone(), source });
            };
            holds.push((hold, Versioned::new(kv.mod_revision, read(kv)?)));
        }
        Ok(holds)
    }

    /// A site's brake, where it tripped.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn brake(&self, site: &str) -> Result<Option<Versioned<BrakeRecord>>, ReadError> {
        self.read_one(&Key::Brake(site.to_owned())).await
    }

    /// Records that this site's brake tripped. One that is recorded already stays as it is; returns what there is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn trip_brake(&self, record: &BrakeRecord) -> Result<Versioned<BrakeRecord>, ReadError> {
        let answer = self.store.txn(&txn::brake(self.site(), 0, Some(record))).await?;
        match answer.one(0) {
            Some(found) if !answer.succeeded => Ok(Versioned::new(found.mod_revision, read(found)?)),
            _ => Ok(Versioned::new(answer.revision, record.clone())),
        }
    }

    /// Writes a person's confirmation into a site's brake; returns whether there was one to confirm. `seen` is the revision
    /// of the record that the person read: another trip needs another confirmation.
    ///
    /// # Errors
    /// [`ActError::Read`] and [`ActError::Store`].
    pub async fn confirm_brake(&self, site: &str, seen: i64, confirmation: Confirmation) -> Result<bool, ActError> {
        let Some(found) = self.brake(site).await?.filter(|found| found.revision == seen) else { return Ok(false) };
        let record = BrakeRecord { confirmed: Some(confirmation), ..found.value };
        Ok(self.store.txn(&txn::brake(site, seen, Some(&record))).await?.succeeded)
    }

    /// Removes the record of this site's brake after its confirmation was acted on; returns whether it was still the one
    /// that was `seen`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_brake(&self, seen: i64) -> Result<bool, StoreError> {
        let answer = self.store.txn(&txn::brake(self.site(), seen, None)).await?;
        Ok(answer.succeeded || moved(answer.one(0)) == 0)
    }
}
