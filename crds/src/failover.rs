//! `Failover`: one request to move failover groups, and what became of it.
//!
//! It is not among [`Kind`](crate::Kind): it is never published. It lives at the site where it was made; what moves a group
//! is its journal in the arbiter, which both sites read, and this object shows it.

use crate::common::{DNS_LABEL, DNS_NAME};
use crate::drill::DrillReport;
use crate::status::HasConditions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Annotation that holds: nothing is promoted while it stands. On a `FailoverGroup` it holds that group, on a `DataCentre`
/// every promotion there. Its value is the reason. It counts at whichever site it is set.
pub const HOLD: &str = "tandem.dev/hold";
/// Annotation on a site's own `DataCentre` that holds everything. Its value is the reason.
pub const HOLD_ALL: &str = "tandem.dev/hold-all";
/// Annotation, value `true`, that lifts a hold ([`HOLD`]) which was set at the other site.
pub const HOLD_CLEAR: &str = "tandem.dev/hold-clear";
/// Annotation, value `true`, on a site's own `DataCentre` that lifts a hold of everything which was set at the other site.
pub const HOLD_ALL_CLEAR: &str = "tandem.dev/hold-all-clear";

/// How many groups of one execution move at once where it does not say.
pub const DEFAULT_MAX_PARALLEL: i32 = 50;

/// A request to move failover groups from one site to the other. It may be made, approved and aborted at either site.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "Failover",
    plural = "failovers",
    shortname = "fo",
    category = "tandem",
    status = "FailoverStatus",
    derive = "PartialEq",
    doc = "A request to move failover groups from one site to the other. It may be made, approved and aborted at either site.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "From", type_ = "string", json_path = ".status.from"),
    printcolumn(name = "To", type_ = "string", json_path = ".status.to"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "RTO",
        type_ = "number",
        json_path = ".status.rtoSeconds",
        description = "Longest time that a group was not served, in seconds"
    ),
    printcolumn(
        name = "RPO",
        type_ = "number",
        json_path = ".status.rpoSeconds",
        description = "Most that a group may have lost, in seconds"
    ),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type").message("spec.type cannot be changed: make another Failover"),
    validation = Rule::new("has(self.from) == has(oldSelf.from) && (!has(self.from) || self.from == oldSelf.from)").message("spec.from cannot be changed: make another Failover"),
    validation = Rule::new("has(self.to) == has(oldSelf.to) && (!has(self.to) || self.to == oldSelf.to)").message("spec.to cannot be changed: make another Failover"),
    validation = Rule::new("self.selector == oldSelf.selector").message("spec.selector cannot be changed: make another Failover"),
    validation = Rule::new("has(self.expectedEpochs) == has(oldSelf.expectedEpochs) && (!has(self.expectedEpochs) || self.expectedEpochs == oldSelf.expectedEpochs)").message("spec.expectedEpochs cannot be changed: make another Failover"),
    validation = Rule::new("has(self.idempotencyKey) == has(oldSelf.idempotencyKey) && (!has(self.idempotencyKey) || self.idempotencyKey == oldSelf.idempotencyKey)").message("spec.idempotencyKey cannot be changed: make another Failover"),
    validation = Rule::new("self.reason == oldSelf.reason").message("spec.reason cannot be changed: make another Failover"),
    validation = Rule::new("has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)").message("spec.requestedBy cannot be changed: make another Failover"),
    validation = Rule::new("has(self.acceptDataLoss) == has(oldSelf.acceptDataLoss) && (!has(self.acceptDataLoss) || self.acceptDataLoss == oldSelf.acceptDataLoss)").message("spec.acceptDataLoss cannot be changed: make another Failover"),
    validation = Rule::new("has(self.despiteNotReady) == has(oldSelf.despiteNotReady) && (!has(self.despiteNotReady) || self.despiteNotReady == oldSelf.despiteNotReady)").message("spec.despiteNotReady cannot be changed: make another Failover"),
    validation = Rule::new("has(self.maxParallel) == has(oldSelf.maxParallel) && (!has(self.maxParallel) || self.maxParallel == oldSelf.maxParallel)").message("spec.maxParallel cannot be changed: make another Failover"),
    validation = Rule::new("!has(oldSelf.approvals) || (has(self.approvals) && oldSelf.approvals.all(a, self.approvals.exists(b, b == a)))").message("spec.approvals can only be added to: an approval is never changed or withdrawn; abort instead"),
    validation = Rule::new("!(has(oldSelf.abort) && oldSelf.abort) || (has(self.abort) && self.abort)").message("spec.abort is never withdrawn: make another Failover"),
    validation = Rule::new("!has(self.from) || !has(self.to) || self.from != self.to").message("spec.from and spec.to must be two sites"),
    validation = Rule::new("self.type == 'Failover' || !has(self.acceptDataLoss)").message("spec.acceptDataLoss is for spec.type Failover alone: a planned move loses nothing"),
    validation = Rule::new("self.type == 'Failover' || !has(self.despiteNotReady) || !self.despiteNotReady").message("spec.despiteNotReady is for spec.type Failover alone: a planned move needs a target that is ready")
)]
pub struct FailoverSpec {
    /// What it is. Switchover and Failback are planned and need both sites; Failover is for a site that is lost; Drill
    /// rehearses on clones.
    #[serde(rename = "type")]
    pub kind: FailoverType,
    /// The site that the groups leave. Where left out: the one at which they are active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub from: Option<String>,
    /// The site that the groups go to. Where left out: the other one; for a Failback, the preferred one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub to: Option<String>,
    /// Which groups.
    pub selector: FailoverSelector,
    /// The epoch that the asker saw, by group; a group at another epoch is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000))]
    pub expected_epochs: BTreeMap<String, u64>,
    /// The execution's id: two requests with one key are one execution. Where left out: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub idempotency_key: Option<String>,
    /// Why, for those who read about it later.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub requested_by: Option<String>,
    /// Who has agreed. Can be added to, never taken from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub approvals: Vec<FailoverApproval>,
    /// Consent to losing what was not replicated; takes two approvers. For an unplanned failover alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_data_loss: Option<DataLoss>,
    /// Move although the target does not report ready; takes two approvers. For an unplanned failover alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub despite_not_ready: bool,
    /// How many groups move at once; 50 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_parallel: Option<i32>,
    /// While true, it waits where that is safe. Can be changed at any time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
    /// Take it back. Never withdrawn; groups whose new epoch is committed cannot be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abort: bool,
}

/// What a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum FailoverType {
    /// Planned, both sites healthy, nothing lost.
    Switchover,
    /// Unplanned: the site that holds the groups is lost.
    Failover,
    /// A rehearsal on clones; nothing moves.
    Drill,
    /// A switchover home, to the preferred site.
    Failback,
}

impl FailoverType {
    /// The name as it stands in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switchover => "Switchover",
            Self::Failover => "Failover",
            Self::Drill => "Drill",
            Self::Failback => "Failback",
        }
    }
}

/// Which groups move: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.groups) && size(self.groups) > 0 ? 1 : 0) + (has(self.unit) ? 1 : 0) + (has(self.site) ? 1 : 0) + (has(self.all) && self.all ? 1 : 0) == 1").message("give exactly one of groups, unit, site and all"))]
pub struct FailoverSelector {
    /// These groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 63)))]
    pub groups: Vec<String>,
    /// The groups of this unit's applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub unit: Option<String>,
    /// The groups that are active at this site, `platform` among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// All groups, `platform` among them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// A person's consent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverApproval {
    /// Who. The same person twice counts once.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// When, by the approver's clock.
    pub at: Time,
    /// What they had to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub note: String,
}

/// Consent to losing what was not replicated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataLoss {
    /// The most that may be lost, in seconds. Where left out: whatever it is, also where nobody can tell how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub max_seconds: Option<i64>,
}

/// How an execution stands as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum FailoverPhase {
    /// It has not been looked at, or no group has begun.
    #[default]
    Pending,
    /// It waits for people to agree.
    AwaitingApproval,
    /// Groups are moving.
    Running,
    /// Nothing goes on because rules do not allow it; it goes on by itself once they do.
    Blocked,
    /// A person asked it to wait.
    Paused,
    /// A group needs a person.
    NeedsHuman,
    /// Every group serves at the target; former sources may still be on their way back. Of a drill: every group passed.
    Completed,
    /// It has ended: some groups serve at the target, others do not. Of a drill: some passed.
    PartlyCompleted,
    /// It has ended: nothing moved, or all was taken back. Of a drill: none passed.
    RolledBack,
    /// It was refused as it stands: see the message. Nothing was touched.
    Refused,
}

impl Failover {
    /// The execution's id: two objects with one are one.
    #[must_use]
    pub fn execution(&self) -> &str {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.idempotency_key.as_deref().unwrap_or(name)
    }
}

impl FailoverPhase {
    /// Whether nothing more will become of it, as far as serving goes.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::PartlyCompleted | Self::RolledBack | Self::Refused)
    }

    /// The name as it stands in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Running => "Running",
            Self::Blocked => "Blocked",
            Self::Paused => "Paused",
            Self::NeedsHuman => "NeedsHuman",
            Self::Completed => "Completed",
            Self::PartlyCompleted => "PartlyCompleted",
            Self::RolledBack => "RolledBack",
            Self::Refused => "Refused",
        }
    }
}

/// What became of a request. The arbiter's journals are the truth; this shows them.
///
/// Steps, outcomes and reasons are texts, not enumerations: the other site may run another release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions; `Ready` is true once it is completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How it stands as a whole.
    #[serde(default)]
    pub phase: FailoverPhase,
    /// The execution's id in the arbiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The site that the groups leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The site that the groups go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why it is as it is, in one word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it is as it is, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message_zh: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<MicroTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<MicroTime>,
    /// The order in which groups move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<FailoverWave>,
    /// How each group stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupMove>,
    /// Measured: the longest that a group was not served, in seconds; of a drill, until the last clone was ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// Measured: the most that a group may have lost, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
    /// What a drill came to, group by group. For type Drill alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillReport>,
}

impl HasConditions for FailoverStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
    fn observed_generation(&self) -> Option<i64> {
        self.observed_generation
    }
}

/// Groups that may move at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverWave {
    /// Its number, from 0.
    pub number: i32,
    /// The groups, by name.
    pub groups: Vec<String>,
}

/// How one group's move stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMove {
    /// The group.
    pub name: String,
    /// The number of its wave.
    #[serde(default)]
    pub wave: i32,
    /// How far it has come: Validating, AwaitingApproval, Quiescing, FinalSync, Demoting, Fencing, EpochCommitted,
    /// Promoting, Redirecting, Verifying, Completed, Resyncing, Protected or RolledBack; empty before it has begun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// What keeps it there: Blocked, Paused or NeedsHuman; empty where nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub side: String,
    /// The site that it leaves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The site that it goes to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The group's epoch.
    #[serde(default)]
    pub epoch: u64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<MicroTime>,
    /// When it ended: it serves at the target, or was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<MicroTime>,
    /// Why it waits, in one word; empty where it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it waits, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message_zh: String,
    /// Measured: for how long it was not served, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// Measured: how much may have been lost, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
    /// What each step left behind. Left out for groups that went well where so many move that the object would become too
    /// large; the arbiter's journal has them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<MoveStep>,
}

/// What one step left behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveStep {
    /// The step; the names are those of the group's `step`.
    pub step: String,
    /// When it began, by the driver's wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<MicroTime>,
    /// When it ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<MicroTime>,
    /// How it ended: Done, SkippedUnreachable, SkippedNoData or Failed; empty while it is under way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// What was seen, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}
