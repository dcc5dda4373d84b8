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
    /// The replica's `T`, in milliseconds; 0 where a release from before this field does not say. All replicas of all sites
    /// must have the same: whoever waits a shorter `T` than a holder counts on takes over from one that is not fenced yet.
    #[serde(default)]
    pub t_millis: u64,
}

impl MemberRecord {
    /// Whether it says this `T`. What is not known is another.
    #[must_use]
    pub fn has_t(&self, t: std::time::Duration) -> bool {
        self.t_millis > 0 && u128::from(self.t_millis) == t.as_millis()
    }
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
