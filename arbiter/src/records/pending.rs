//! What was done and has no place in a site's audit chain yet.

use serde::{Deserialize, Serialize};
use tandem_core::audit::{Draft, VERSION};

use super::RecordError;

/// What becomes an entry of the chain. It is put in the transaction of the action itself, so that there is never one without
/// the other, and without comparing the chain's head: see `docs/adr/0008-audit-outbox.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// The version of the entry's form that the writer knew, see [`VERSION`].
    pub version: u32,
    /// The entry, but for its place.
    pub draft: Draft,
}

impl PendingRecord {
    /// What is to be entered, cut to what always fits.
    #[must_use]
    pub fn new(draft: Draft) -> Self {
        Self { version: VERSION, draft: draft.fitting() }
    }

    /// The draft, as it stands under the key of this id.
    ///
    /// # Errors
    /// [`RecordError`] where it is of another version or another id: a newer release enters it, or a person looks.
    pub fn of(self, id: &str) -> Result<Draft, RecordError> {
        if self.version != VERSION {
            let why = format!("version {} of an audit entry is unknown (this release knows {VERSION})", self.version);
            return Err(RecordError::Malformed { why });
        }
        if self.draft.id != id {
            return Err(RecordError::Misplaced { expected: id.to_owned(), found: self.draft.id });
        }
        Ok(self.draft)
    }
}
