//! What a site's operator replicas say of themselves.

use serde::{Deserialize, Serialize};

/// A replica's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// Revision of `groups/` that this replica has applied; never falls within an incarnation.
    pub seen: i64,
    /// Generation of the arbiter's data: one more after each restore.
    pub generation: u64,
    /// Which start of the replica this is; another start writes another.
    pub incarnation: String,
}

/// Which replica acts for a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderRecord {
    /// The replica.
    pub replica: String,
    /// Which start of the replica.
    pub incarnation: String,
}

/// How far a site has applied the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Every record up to this revision is applied.
    pub revision: i64,
}
