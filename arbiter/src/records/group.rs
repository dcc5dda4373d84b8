//! Who is active for a failover group, and under which epoch.

use serde::{Deserialize, Serialize};
use tandem_core::failover::Token;

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

/// Where the last execution of a group ended, so that tokens outside any execution are not below those within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Settled {
    /// `create_revision` of its journal.
    pub execution: i64,
    /// Number of its last journal entry.
    pub entry: u32,
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
    /// Where the last execution ended; `None` before the first one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
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
            settled: None,
        }
    }

    /// The record under the next epoch: held by `site`, for whoever takes over, claims or reclaims.
    #[must_use]
    pub fn next_epoch(&self, site: &str) -> Self {
        Self { active: site.to_owned(), epoch: self.epoch + 1, phase: Phase::Held, ..self.clone() }
    }

    /// The site that this record was released to.
    #[must_use]
    pub fn released_to(&self) -> Option<&str> {
        match &self.phase {
            Phase::Released { to } => Some(to),
            Phase::Held | Phase::Unconfirmed => None,
        }
    }

    /// The token of what happens under this record outside any execution.
    ///
    /// An abort before the release ends an execution without a new epoch. What its fence left with the agents
    /// ([`crate::deadman`]) must then be passed all the same: the record keeps where the execution ended, and that is higher
    /// than every entry before it.
    #[must_use]
    pub fn token(&self, generation: u64) -> Token {
        let Settled { execution, entry } = self.settled.unwrap_or_default();
        Token { generation, epoch: self.epoch, execution, step: entry }
    }

    /// Whether this site holds the group by this record.
    #[must_use]
    pub fn held_by(&self, site: &str) -> bool {
        self.phase == Phase::Held && self.active == site
    }
}
