//! Who is active for a failover group, and under which epoch.

use serde::{Deserialize, Serialize};

/// Name of the group whose active site is the authority.
pub const PLATFORM: &str = "platform";

/// How far a group's holder is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum Phase {
    /// The active site holds the group.
    Held,
    /// The active site has let go, for this site to claim.
    Released {
        /// The site that may claim.
        to: String,
    },
    /// After a restore of the arbiter: held by nobody until both sites have reported.
    Unconfirmed,
}

/// The record of one failover group. Made with its `FailoverGroup`, never deleted, so that an epoch never restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRecord {
    /// The site that is active, or was last.
    pub active: String,
    /// Grows by one each time the group becomes active somewhere: the fencing token.
    pub epoch: u64,
    /// How far the holder is settled.
    pub phase: Phase,
    /// The failover execution that is moving the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// Automatic failovers within the last day.
    #[serde(default)]
    pub failovers_lately: u32,
    /// The `FailoverGroup` was deleted; the epoch stays.
    #[serde(default)]
    pub retired: bool,
}

impl GroupRecord {
    /// A new group: held by its preferred site under epoch 1.
    #[must_use]
    pub fn first(preferred: &str) -> Self {
        Self {
            active: preferred.to_owned(),
            epoch: 1,
            phase: Phase::Held,
            execution: None,
            failovers_lately: 0,
            retired: false,
        }
    }

    /// Whether this site holds the group by this record.
    #[must_use]
    pub fn held_by(&self, site: &str) -> bool {
        self.phase == Phase::Held && self.active == site
    }
}
