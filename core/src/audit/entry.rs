//! An entry of a site's chain, and how entries hang together.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::sync::canonical;

/// The version of the form of entries that this release writes and reads.
pub const VERSION: u32 = 1;

/// The most bytes that an entry may take, in its canonical form: 32 KiB.
pub const ENTRY_BYTES: usize = 32 << 10;

/// What stands before everything that is hashed for a chain, so that no other hash can be taken for one of it.
const DOMAIN: &[u8] = b"tandem.dev/audit/v1\n";

/// Who acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditActor")]
pub struct Actor {
    /// The name that they signed in with; a program's begins with `tandem:`.
    pub name: String,
    /// The roles that they had then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// How they came: `api`, `kubectl`, `operator`, and from where.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub via: String,
}

/// How far an action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditOutcome")]
pub enum Outcome {
    /// It is about to be done. Written before it is.
    Begun,
    /// It was done.
    Done,
    /// It was not done: refused, or it failed.
    Failed,
}

/// What is to be written down of an action. As text it is kept by whoever cannot enter it into the chain at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The entry's own id, of its writer's making and never used twice: by it a writer whose answer was lost knows its entry.
    pub id: String,
    /// When, by the writer's wall clock.
    pub at: Timestamp,
    /// Who acted.
    pub actor: Actor,
    /// What was done, such as `requests.approve`.
    pub action: String,
    /// To what, such as `environmentrequests/health-1`.
    pub object: String,
    /// SHA-256 of the object before, in hexadecimal digits; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// SHA-256 of the object after, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How far it has come.
    pub outcome: Outcome,
    /// The number of the entry that this one completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u64>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The most characters that a draft which waits keeps of the names of objects, see [`Draft::fitting`]: a namespace and two names
/// of Kubernetes fit.
const NAMES_MOST: usize = 640;

/// The most characters that it keeps of every other text. Each character takes six bytes at most, as JSON writes it.
const TEXT_MOST: usize = 160;

/// The most roles that it keeps.
const ROLES_MOST: usize = 8;

impl Draft {
    /// The draft with every text cut to what always fits an entry. One that waits for its place in the chain must fit once
    /// its turn comes: there is nobody any more to tell that it does not.
    #[must_use]
    pub fn fitting(mut self) -> Self {
        let cut = |text: &mut String, most: usize| {
            if text.chars().count() > most {
                *text = text.chars().take(most - 1).chain(['…']).collect();
            }
        };
        self.actor.roles.truncate(ROLES_MOST);
        let texts = [&mut self.id, &mut self.actor.name, &mut self.actor.via, &mut self.action];
        let hashes = [&mut self.before, &mut self.after].into_iter().flatten();
        texts.into_iter().chain(hashes).chain(&mut self.actor.roles).for_each(|text| cut(text, TEXT_MOST));
        cut(&mut self.object, NAMES_MOST);
        self.trace.iter_mut().for_each(|trace| cut(trace, NAMES_MOST));
        self
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub struct Entry {
    /// The version of the form, see [`VERSION`].
    pub version: u32,
    /// Its number in the site's chain, from 1 on, without a gap.
    pub seq: u64,
    /// The site whose chain it is.
    pub site: String,
    /// The entry's own id.
    pub id: String,
    /// When, by the writer's wall clock. Only `seq` says what came first.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who acted.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// SHA-256 of the object before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// SHA-256 of the object after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How far it has come.
    pub outcome: Outcome,
    /// The number of the entry that this one completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u64>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The hash of the chain up to the entry before.
    pub previous: String,
}

/// How far a chain goes: the number of its last entry, and the hash of everything up to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditHead")]
pub struct Head {
    /// The number of the last entry; 0 where there is none.
    pub seq: u64,
    /// The hash, in 64 hexadecimal digits.
    pub hash: String,
}

/// An entry that would take more than [`ENTRY_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit entry would take {bytes} bytes, at most {ENTRY_BYTES} are possible; shorten what it says")]
pub struct TooLarge {
    /// How many bytes.
    pub bytes: usize,
}

impl Head {
    /// The head of a site's chain that has no entry yet. It names the site: the chain of one is never that of another.
    #[must_use]
    pub fn genesis(site: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(b"genesis\n");
        hash.update(site.as_bytes());
        Self { seq: 0, hash: hex::encode(hash.finalize()) }
    }

    /// The entry that follows.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn entry(&self, site: &str, draft: Draft) -> Result<Entry, TooLarge> {
        let Draft { id, at, actor, action, object, before, after, outcome, begun, trace } = draft;
        let entry = Entry {
            version: VERSION,
            seq: self.seq + 1,
            site: site.to_owned(),
            id,
            at,
            actor,
            action,
            object,
            before,
            after,
            outcome,
            begun,
            trace,
            previous: self.hash.clone(),
        };
        let bytes = entry.canonical().len();
        if bytes > ENTRY_BYTES { Err(TooLarge { bytes }) } else { Ok(entry) }
    }

    /// The head after an entry of which only the digest is known.
    #[must_use]
    pub(super) fn after(&self, digest: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        // As text, in which both have one length: what is no digest then makes another hash, and no error.
        hash.update(self.hash.as_bytes());
        hash.update(b"\n");
        hash.update(digest.as_bytes());
        Self { seq: self.seq + 1, hash: hex::encode(hash.finalize()) }
    }
}

impl Entry {
    /// The canonical text: JSON with sorted keys and no white space.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(&self.value())
    }

    /// SHA-256 of the canonical text without `previous`, in hexadecimal digits: what the entry says, wherever it stands in
    /// a chain. It gives nothing of that away.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut value = self.value();
        if let Value::Object(fields) = &mut value {
            fields.remove("previous");
        }
        hex::encode(Sha256::digest(canonical(&value).as_bytes()))
    }

    /// The head of the chain up to this entry: SHA-256 of the hash before and [`digest`](Self::digest).
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq.saturating_sub(1), hash: self.previous.clone() }.after(&self.digest())
    }

    fn value(&self) -> Value {
        // Cannot fail: a map with string keys.
        serde_json::to_value(self).unwrap_or_default()
    }
}
