//! Ledgers, holds, conflicts and the brake.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::ledger::Ledger;
use tandem_core::sync::{ConflictSeed, ObjectKey, Tripped};

/// A unit's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// The unit's name.
    pub unit: String,
    /// Budget and what is taken.
    #[serde(flatten)]
    pub ledger: Ledger,
}

/// A hold: its presence blocks promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRecord {
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, by the setter's wall clock.
    pub since: Timestamp,
}

/// An edit that a site had not published and that was overwritten, with what overwrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictRecord {
    /// The record's own id, see [`conflict_id`](tandem_core::sync::conflict_id).
    pub conflict: String,
    /// Durable id of the object.
    pub id: String,
    /// Which object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// The site whose edit it is.
    pub site: String,
    /// `metadata.generation` of the edited object.
    pub generation: i64,
    /// Revision of the record that the edit was based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<i64>,
    /// The specification that lost.
    pub local: Value,
    /// The specification that won; absent where the object was deleted or never published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Value>,
    /// Revision of the record that won, 0 where there was none.
    pub published_revision: i64,
    /// When it was found, by the finder's wall clock.
    pub found_at: Timestamp,
}

impl ConflictRecord {
    /// The record of a conflict that was found at this time.
    #[must_use]
    pub fn new(seed: ConflictSeed, found_at: Timestamp) -> Self {
        let ConflictSeed { id, durable_id, key, site, generation, base, local, published, published_revision } = seed;
        Self {
            conflict: id,
            id: durable_id,
            key,
            site,
            generation,
            base,
            local,
            published,
            published_revision,
            found_at,
        }
    }
}

/// A person's word that a mass change is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Who confirmed.
    pub by: String,
    /// When, by the confirmer's wall clock.
    pub at: Timestamp,
}

/// That a site's brake tripped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrakeRecord {
    /// What tripped it; the follower restores its brake from this after a restart.
    pub tripped: TrippedRecord,
    /// For people: what would have happened and what to do.
    pub message: String,
    /// Revision of the first record that is held back.
    pub from: i64,
    /// When, by the site's wall clock.
    pub at: Timestamp,
    /// A person's confirmation. It covers every record up to this one's own revision, for every replica and after any
    /// restart, so that the record stays until the next trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmation>,
}

/// [`Tripped`] as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrippedRecord {
    /// The kind whose limit was passed.
    pub kind: tandem_core::sync::Kind,
    /// How many objects were to be deleted or scaled down.
    pub count: usize,
    /// How many objects of the kind there were.
    pub total: usize,
    /// The limit, in per cent.
    pub per_cent: usize,
    /// Within how many seconds.
    pub window_seconds: u64,
}

impl From<&Tripped> for TrippedRecord {
    fn from(tripped: &Tripped) -> Self {
        Self {
            kind: tripped.kind,
            count: tripped.count,
            total: tripped.total,
            per_cent: tripped.per_cent,
            window_seconds: tripped.window.as_secs(),
        }
    }
}

impl From<TrippedRecord> for Tripped {
    fn from(record: TrippedRecord) -> Self {
        Self {
            kind: record.kind,
            count: record.count,
            total: record.total,
            per_cent: record.per_cent,
            window: std::time::Duration::from_secs(record.window_seconds),
        }
    }
}

impl BrakeRecord {
    /// The record of a brake that tripped at this time and holds back what was written from this revision on.
    #[must_use]
    pub fn new(tripped: &Tripped, from: i64, at: Timestamp) -> Self {
        Self { tripped: tripped.into(), message: tripped.to_string(), from, at, confirmed: None }
    }
}
