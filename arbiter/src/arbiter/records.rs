//! Conflicts, ledgers, holds and the brake.

use futures::StreamExt;
use futures::stream::BoxStream;

use super::{ActError, Arbiter, ReadError, read};
use crate::records::{BrakeRecord, Confirmation, ConflictRecord, Hold, HoldRecord, Key, LedgerRecord, Versioned};
use crate::store::{Event, Store, StoreError};
use crate::txn::{self, Scribe, notes};

impl<S: Store> Arbiter<S> {
    /// Keeps a conflict; returns whether it is new. The same edit found twice is kept once, as it was found first.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any of them.
    pub async fn record_conflict(
        &self,
        conflict: &ConflictRecord,
        scribe: Option<Scribe<'_>>,
    ) -> Result<bool, StoreError> {
        let mut txn = txn::conflict(conflict);
        txn::note_all(&mut txn, self.site(), scribe.map(|scribe| notes::conflict(scribe, conflict)));
        Ok(self.store.txn(&txn).await?.succeeded)
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

    /// Every unit's ledger.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn ledgers(&self) -> Result<Vec<LedgerRecord>, ReadError> {
        self.store.range(&Key::ledgers()).await?.kvs.iter().map(read).collect()
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

    /// Records that this site's brake tripped, in place of an earlier trip that was confirmed. One that nobody has confirmed
    /// stays as it is; returns what there is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn trip_brake(&self, record: &BrakeRecord) -> Result<Versioned<BrakeRecord>, ReadError> {
        let before = self.brake(self.site()).await?;
        let known = match before {
            Some(standing) if standing.value.confirmed.is_none() => return Ok(standing),
            Some(confirmed) => confirmed.revision,
            None => 0,
        };
        let answer = self.store.txn(&txn::brake(self.site(), known, record)).await?;
        match answer.one(0) {
            Some(found) if !answer.succeeded => Ok(Versioned::new(found.mod_revision, read(found)?)),
            _ => Ok(Versioned::new(answer.revision, record.clone())),
        }
    }

    /// Writes a person's confirmation into a site's brake; returns whether it is confirmed now, by this call or another.
    /// `seen` is the revision of the record that the person read: another trip needs another confirmation.
    ///
    /// # Errors
    /// [`ActError::Read`] and [`ActError::Store`].
    pub async fn confirm_brake(
        &self,
        site: &str,
        seen: i64,
        confirmation: Confirmation,
        scribe: Option<Scribe<'_>>,
    ) -> Result<bool, ActError> {
        let Some(found) = self.brake(site).await? else { return Ok(false) };
        if found.revision != seen {
            return Ok(found.value.confirmed.is_some_and(|_| found.revision > seen));
        }
        let record = BrakeRecord { confirmed: Some(confirmation), ..found.value };
        let mut txn = txn::brake(site, seen, &record);
        txn::note_all(&mut txn, self.site(), scribe.map(|scribe| notes::brake_confirmed(scribe, site, seen)));
        Ok(self.store.txn(&txn).await?.succeeded)
    }

    /// Watches a site's brake, from a revision on (inclusive): each state of the record that is written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn watch_brake(&self, site: &str, from: i64) -> Result<BrakeStates, StoreError> {
        let watch = self.store.watch(&Key::Brake(site.to_owned()).to_string(), from).await?;
        let states = watch.flat_map(|batch| {
            let states = match batch {
                Err(error) => vec![Err(ReadError::from(error))],
                Ok(batch) => batch.events.iter().filter_map(state).collect(),
            };
            futures::stream::iter(states)
        });
        Ok(states.boxed())
    }
}

/// A running watch of a brake. It ends with the first error.
pub type BrakeStates = BoxStream<'static, Result<Versioned<BrakeRecord>, ReadError>>;

fn state(event: &Event) -> Option<Result<Versioned<BrakeRecord>, ReadError>> {
    match event {
        Event::Put(kv) => Some(read(kv).map(|record| Versioned::new(kv.mod_revision, record))),
        Event::Delete { .. } => None,
    }
}
