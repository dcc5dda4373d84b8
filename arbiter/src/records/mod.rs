//! The arbiter's records: typed keys and values. Every value is JSON and carries a schema version; an unknown version is
//! refused, never guessed at.

mod data;
mod entry;
mod group;
mod idempotency;
mod key;
mod other;
mod pending;
mod replacement;
mod report;
mod request;
mod restore;
mod site;
mod status;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use data::DataRecord;
pub use entry::{Entry, EntryError, JOURNAL_BYTES, JournalSeen};
pub use group::{GroupRecord, PLATFORM, Phase, Settled};
pub use idempotency::{ANSWER_BYTES, AnswerRecord, IdempotencyRecord, idempotency_id};
pub use key::{Hold, Key, KeyError, PREFIX};
pub use other::{BrakeRecord, Confirmation, ConflictRecord, HoldRecord, LedgerRecord, TrippedRecord};
pub use pending::PendingRecord;
pub use replacement::{Replacement, ReplacementsRecord};
pub use report::{ReportError, ReportRecord, joined, parts};
pub use request::RequestRecord;
pub use restore::{AttestationRecord, GenerationRecord, HighestRecord, Mark, RestorePhase};
pub use site::{Applied, LeaderRecord, MemberRecord};
pub use status::{Condition, StatusRecord};
pub use tandem_core::findings::Drift;
pub use tandem_core::policy::Version;
pub use tandem_core::sync::{Kind, ObjectKey, Origin, Record, SpecRecord, Tombstone, Versioned};

/// The schema version that this release writes and reads.
pub const SCHEMA: u64 = 1;

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON, or not an object.
    #[error("not a JSON object")]
    NotJson,
    /// It has no schema version, or one that this release does not know.
    #[error("schema version {found} is unknown (this release knows {SCHEMA}); upgrade this site first")]
    UnknownSchema {
        /// The version found, as it stands there.
        found: String,
    },
    /// It does not have the fields that its schema version asks for.
    #[error("does not fit schema version {SCHEMA}: {why}")]
    Malformed {
        /// What does not fit.
        why: String,
    },
    /// It stands under a key that belongs to another object.
    #[error("stands under the key of {expected}, but is about {found}")]
    Misplaced {
        /// The object of the key.
        expected: String,
        /// The object of the value.
        found: String,
    },
}

/// The bytes of a record: its fields and `"schema": 1`.
#[must_use]
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    #[derive(Serialize)]
    struct Stamped<'a, T> {
        schema: u64,
        #[serde(flatten)]
        record: &'a T,
    }
    // Cannot fail for the types of this module: each is a map with string keys.
    serde_json::to_vec(&Stamped { schema: SCHEMA, record }).unwrap_or_default()
}

/// How the bytes of a record begin.
const FIRST: &[u8] = br#"{"schema":1,"#;

/// The record in these bytes.
///
/// # Errors
/// [`RecordError`] where they are not a record of a schema version that this release knows.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    // The version is looked at first, and by itself: nothing is concluded from the fields of one that is not known.
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct Stamp {
        #[serde(default)]
        schema: Value,
    }
    // As `encode` writes it: nothing else has to be looked for.
    if bytes.starts_with(FIRST) {
        return serde_json::from_slice(bytes).map_err(|error| RecordError::Malformed { why: error.to_string() });
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(RecordError::NotJson);
    }
    match serde_json::from_slice::<Stamp>(bytes).map_err(|_| RecordError::NotJson)?.schema {
        version if version == SCHEMA => {}
        Value::Null => return Err(RecordError::UnknownSchema { found: "none".to_owned() }),
        version => return Err(RecordError::UnknownSchema { found: version.to_string() }),
    }
    serde_json::from_slice(bytes).map_err(|error| RecordError::Malformed { why: error.to_string() })
}

/// The specification record in these bytes, which stand under this object's key.
///
/// # Errors
/// As [`decode`], and [`RecordError::Misplaced`] where the value is about another object.
pub fn decode_spec(key: &ObjectKey, bytes: &[u8]) -> Result<Record, RecordError> {
    let record: Record = decode(bytes)?;
    if record.key() == key {
        Ok(record)
    } else {
        Err(RecordError::Misplaced { expected: key.to_string(), found: record.key().to_string() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_schema_is_refused() {
        let newer = json!({"schema": 2, "revision": 4}).to_string();
        let error = decode::<Applied>(newer.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("schema version 2 is unknown"), "{error}");
        let none = json!({"revision": 4}).to_string();
        assert!(matches!(decode::<Applied>(none.as_bytes()), Err(RecordError::UnknownSchema { .. })));
    }

    #[test]
    fn records_bear_their_schema_and_survive() {
        let group = GroupRecord::first("dc-a");
        assert!(encode(&group).starts_with(FIRST));
        let bytes = encode(&group);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["phase"], json!({"name": "Held"}));
        assert_eq!(decode::<GroupRecord>(&bytes).unwrap(), group);
    }

    #[test]
    fn a_site_one_minor_release_apart_reads_the_same_record() {
        let key = ObjectKey::cluster(Kind::Unit, "audit");
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut value = json!({
            "schema": 1, "state": "Live", "id": "1", "kind": "units", "name": "audit", "spec": {"id": "1"},
            "origin": {"site": "dc-a", "uid": "u", "generation": 1}, "publishedAt": "2026-01-01T00:00:00Z",
        });
        // Of a release that knew no traces: it is read, and both sites give it the same one.
        let older = decode_spec(&key, value.to_string().as_bytes()).unwrap();
        assert!(matches!(&older, Record::Live(live) if live.trace.is_none()));
        // Of a release that knows more than this one: what is not known is passed over.
        value["trace"] = json!(trace);
        value["ofTomorrow"] = json!({"and": "more"});
        let newer = decode_spec(&key, value.to_string().as_bytes()).unwrap();
        assert_eq!(newer.trace().to_string(), trace);
        assert_ne!(newer.trace(), older.trace());
    }

    #[test]
    fn a_record_under_a_foreign_key_is_refused() {
        let tombstone = Record::Tombstone(Tombstone {
            id: "1".into(),
            key: ObjectKey::cluster(Kind::Unit, "audit"),
            origin: Origin { site: "dc-a".into(), uid: "u".into(), generation: 1 },
            deleted_at: jiff::Timestamp::UNIX_EPOCH,
        });
        let bytes = encode(&tombstone);
        assert_eq!(decode_spec(tombstone.key(), &bytes).unwrap(), tombstone);
        let other = ObjectKey::cluster(Kind::Unit, "finance");
        assert!(matches!(decode_spec(&other, &bytes), Err(RecordError::Misplaced { .. })));
    }
}
