//! Drills: when a group rehearses by itself, and what a rehearsal came to.

use crate::failover_group::Why;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How many reports of drills on a schedule are kept of a group where it does not say.
pub const DEFAULT_DRILLS_KEPT: i32 = 10;
/// How long a drill of a group may take where it does not say, in seconds.
pub const DEFAULT_DRILL_DEADLINE: i64 = 600;

/// How a group rehearses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillSettings {
    /// When a drill begins by itself: minute, hour, day of the month, month, day of the week, as cron has them. Where left out:
    /// only when somebody asks. The site that is not active begins it; one that is later than an hour is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$"))]
    pub schedule: Option<String>,
    /// The time zone of the schedule, by its IANA name such as `Asia/Shanghai`; UTC where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z_+/-]+$"))]
    pub time_zone: Option<String>,
    /// How many reports of drills on the schedule are kept; older ones are removed. 10 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub keep: Option<i32>,
    /// For how many seconds a drill waits for its clones to be ready, also one that somebody asks for; 600 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86_400))]
    pub deadline_seconds: Option<i64>,
}

/// What a drill came to, group by group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillReport {
    /// The site that rehearses.
    pub site: String,
    /// What it came to, group by group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<DrilledGroup>,
}

/// What a drill came to for one group.
///
/// Steps and results are texts, not enumerations: the other site may run another release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrilledGroup {
    /// The group.
    pub name: String,
    /// How far it has come: Preparing, Cloning, Sweeping or Completed; empty before it has begun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// What it came to: Passed, Failed, NotDrilled, Aborted or Swept (a real move came first); empty until that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub result: String,
    /// Under which epoch it was rehearsed. A drill changes none.
    #[serde(default)]
    pub epoch: u64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<MicroTime>,
    /// When the clones were started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned: Option<MicroTime>,
    /// When nothing was left of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<MicroTime>,
    /// Measured: how long after they were started all clones were ready, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// How much of the latest data would have been lost when it began, in seconds; absent where the group has no data that
    /// Tandem moves, or nobody could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
    /// Why it came to that: what failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
    /// What to know beside it: what was not rehearsed, and how the data stood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Why>,
    /// The clones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clones: Vec<DrilledClone>,
}

/// The clone of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrilledClone {
    /// The environment.
    pub environment: String,
    /// The application.
    pub application: String,
    /// The component.
    pub component: String,
    /// The Deployment that stood for it.
    pub deployment: String,
    /// How many pods it was to have.
    pub wanted: i32,
    /// How many of them were ready when it was last looked at.
    pub ready: i32,
    /// What the cluster said of those that were not; empty where nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}
