//! Objects that somebody else changed, and that were put back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of one object of a site: the latest, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The object's kind, such as `NetworkPolicy`.
    pub kind: String,
    /// Its namespace, which is its environment's name; `None` for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Who changed it, as far as Kubernetes says: a field manager's name, not a person's.
    pub by: String,
    /// Which fields, or that it was deleted.
    pub fields: Vec<String>,
    /// When it was put back first, by the operator's wall clock.
    pub first: Timestamp,
    /// When it was put back last.
    pub last: Timestamp,
    /// How often.
    pub times: u64,
}
