//! Drills: whether a group would come up at the site that is not active, tried on clones. Nothing moves.
//!
//! A drill stands in the record of its request, group by group ([`Drill`]), where both sites read it. The site that rehearses
//! drives it alone, by [`next`]; it holds nothing of the group, so that a real move never waits for more than its sweeping. The
//! clones are rendered by [`render::clones`](crate::render::clones).

mod cause;
mod report;
mod room;
mod schedule;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_crds::{DrilledClone, Why};

pub use cause::Cause;
pub use report::{Asked, is_over, phase, status};
pub use room::{lacking, quota};
pub use schedule::{LATE_MOST, Schedule, ScheduleError, due, parse, superfluous};
pub use steps::{Next, Seen, next, refusals, turn, without_group};

/// How far a drill of one group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DrillStep {
    /// What clones need is made: their isolation first, their configuration and Services.
    Preparing,
    /// The clones start, and it is measured how long until they are ready.
    Cloning,
    /// What was made is taken away.
    Sweeping,
    /// Nothing is left of it.
    Completed,
}

impl DrillStep {
    /// The name as it stands in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "Preparing",
            Self::Cloning => "Cloning",
            Self::Sweeping => "Sweeping",
            Self::Completed => "Completed",
        }
    }
}

/// What a drill of one group came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DrillResult {
    /// Every clone was ready in time, and no more would have been lost than may be.
    Passed,
    /// It would not have gone well.
    Failed,
    /// Nothing was tried, and nothing was made.
    NotDrilled,
    /// A person took it back.
    Aborted,
    /// A real move of the group came first.
    Swept,
}

impl DrillResult {
    /// Every result.
    pub const ALL: [Self; 5] = [Self::Passed, Self::Failed, Self::NotDrilled, Self::Aborted, Self::Swept];

    /// The name as it stands in status and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::NotDrilled => "NotDrilled",
            Self::Aborted => "Aborted",
            Self::Swept => "Swept",
        }
    }
}

/// How a drill stands. A group that is not here has not begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// How each group stands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupDrill>,
}

impl Drill {
    /// Whether nothing has begun.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups of which something may be left in the cluster.
    pub fn under_way(&self) -> impl Iterator<Item = &String> {
        self.groups.iter().filter(|(_, group)| group.step != DrillStep::Completed).map(|(name, _)| name)
    }
}

/// How a drill of one group stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDrill {
    /// How far it has come.
    pub step: DrillStep,
    /// What it came to, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<DrillResult>,
    /// The group's epoch when it began.
    pub epoch: u64,
    /// When it began, by the driver's wall clock.
    pub began: Timestamp,
    /// When the clones were started, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned: Option<Timestamp>,
    /// When nothing was left of it, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How long after they were started all clones were ready, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_millis: Option<u64>,
    /// How much would have been lost when it began, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_millis: Option<u64>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
    /// What to know beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Why>,
    /// The clones as they were seen last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clones: Vec<DrilledClone>,
}
