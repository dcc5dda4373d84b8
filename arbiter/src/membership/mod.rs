//! Heartbeats, the site's deadline and the site's leader, as failover.md, section 1, has them.
//!
//! Every `T/5` one transaction puts the replica's member key and reads `groups/`. Only its answer moves the deadline, which
//! lies `0.7 T` after its *sending* on a clock that nobody sets. A replica takes the leadership of its site when nobody has
//! it, or when the leader's member key has not moved for `T` on its own clock.
//!
//! The names of a site's replicas are unique: whoever runs them (a StatefulSet, the lab) guarantees it. A replica that starts
//! anew under its name therefore takes over at once what it held before. Should two processes share a name all the same, the
//! older finds the other's heartbeat in its place and stops ([`MembershipError::Superseded`]).

mod machine;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use machine::{Act, Machine, OtherT, Outcome};
pub use run::{Attempt, Attempts, Running, run, run_membership};

use crate::arbiter::{Authority, ReadError};
use crate::records::{GroupRecord, Versioned};

/// The times that hang on `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    t: Duration,
}

impl Timing {
    /// The shortest `T`: 5 s.
    pub const SHORTEST: Duration = Duration::from_secs(5);

    /// The times for a heartbeat every so often (`T/5`).
    ///
    /// # Errors
    /// [`TooShort`] where `T` would be less than [`Timing::SHORTEST`].
    pub fn from_heartbeat(every: Duration) -> Result<Self, TooShort> {
        let t = every.saturating_mul(5);
        if t < Self::SHORTEST { Err(TooShort { every }) } else { Ok(Self { t }) }
    }

    /// `T`: how long a key must not have moved before another may act.
    #[must_use]
    pub fn t(self) -> Duration {
        self.t
    }

    /// `T/5`: from one heartbeat to the next.
    #[must_use]
    pub fn heartbeat(self) -> Duration {
        self.t / 5
    }

    /// `T/10`: how long one attempt may take before the next goes to another endpoint.
    #[must_use]
    pub fn attempt(self) -> Duration {
        self.t / 10
    }

    /// `T_f = 0.7 T`: from the sending of the last counted heartbeat to the deadline.
    #[must_use]
    pub fn fence(self) -> Duration {
        self.t * 7 / 10
    }
}

/// A heartbeat too quick for etcd's elections.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a heartbeat every {every:?} is too short; at least 1 s is needed")]
pub struct TooShort {
    /// What was asked for.
    pub every: Duration,
}

/// Who a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its site.
    pub site: String,
    /// Its name, unique within the site.
    pub replica: String,
    /// Which start of it this is: any text that no other start has.
    pub incarnation: String,
    /// Generation of the arbiter's data: one more after each restore; 1 without any.
    pub generation: u64,
}

/// That a replica leads its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderToken {
    /// `mod_revision` of `sites/<site>/leader`: what every transaction of the leader compares.
    pub mod_revision: i64,
    /// Until when effects outside the arbiter may leave, on the replica's own clock. Look again just before each.
    pub valid_until: Duration,
}

/// What the membership knows, as it is published with every heartbeat that is answered. Always ask it with the present time
/// of the same clock: what it says ends by itself when no answers come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The leadership, where this replica had it.
    pub leader: Option<LeaderToken>,
    /// Every group record, the newest seen of each.
    pub groups: Arc<BTreeMap<String, Versioned<GroupRecord>>>,
    /// The revision of `groups/` that is applied.
    pub seen: i64,
    /// When the site must count as fenced by this replica's heartbeats; `None` before the first answer.
    pub deadline: Option<Duration>,
}

impl View {
    /// The leadership, if it is valid at `now`.
    #[must_use]
    pub fn leads(&self, now: Duration) -> Option<LeaderToken> {
        self.leader.filter(|token| now < token.valid_until)
    }

    /// Whether the deadline has not passed at `now`.
    #[must_use]
    pub fn alive(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| now < deadline)
    }

    /// The authority record, where there is one.
    #[must_use]
    pub fn authority(&self) -> Option<Authority> {
        Authority::among(&self.groups)
    }
}

/// Why a membership ended.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Another process beats under this replica's name.
    #[error("another process runs as replica {replica} of site {site}; give each replica a name of its own")]
    Superseded {
        /// The site.
        site: String,
        /// The replica.
        replica: String,
    },
    /// The pins cannot be read. What cannot be read is never taken for a first start.
    #[error("cannot read the pins in {}; if they are lost, run tandem arbiter restore", path.display())]
    Pins {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A restored arbiter was accepted, and nothing that was read of the one before counts any more: begin anew.
    #[error("the arbiter was restored to generation {generation} and accepted here; beginning anew")]
    Anew {
        /// The generation of its data.
        generation: u64,
    },
    /// A record that the membership depends on cannot be read.
    #[error(transparent)]
    Record(#[from] ReadError),
}
