//! `FailoverGroup`: the applications that move together.

use crate::common::DisplayName;
use crate::drill::DrillSettings;
use crate::hook::HookSettings;
use crate::patroni::PatroniSettings;
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The applications that move together; exactly one site is active for them, under an epoch.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "FailoverGroup",
    plural = "failovergroups",
    shortname = "fg",
    category = "tandem",
    status = "FailoverGroupStatus",
    derive = "PartialEq",
    doc = "The applications that move together; exactly one site is active for them, under an epoch.",
    validation = Rule::new("!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(d, d == self.metadata.name)").message("spec.dependsOn names the group itself: leave it out"),
    validation = Rule::new("self.metadata.name != 'platform'").message("the name platform is Tandem's own: it names the group that decides which site publishes"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Applications", type_ = "integer", json_path = ".status.applications"),
    printcolumn(name = "Protected", type_ = "string", json_path = ".status.readiness.state"),
    printcolumn(name = "Tier", type_ = "integer", json_path = ".spec.tier", priority = 1),
    printcolumn(name = "Hold", type_ = "string", json_path = ".status.hold", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"),
    validation = Rule::new("!has(self.minReadySeconds) || self.minReadySeconds >= 60").message("spec.minReadySeconds is below the platform's floor: set 60 or more"),
    validation = Rule::new("!has(self.dwellSeconds) || self.dwellSeconds >= 300").message("spec.dwellSeconds is below the platform's floor: set 300 or more"),
    validation = Rule::new("!has(self.automaticPerDay) || self.automaticPerDay <= 3").message("spec.automaticPerDay is above the platform's ceiling: set 3 or less"),
    validation = Rule::new("!has(self.scaleAfterSeconds) || self.scaleAfterSeconds >= 60").message("spec.scaleAfterSeconds is below the platform's floor: set 60 or more"),
    validation = Rule::new("!has(self.dependsOn) || self.dependsOn.all(d, self.dependsOn.exists_one(e, e == d))").message("spec.dependsOn names a group twice: name each once"),
    validation = Rule::new("(has(self.provider) && self.provider == 'Hook') == has(self.hook)").message("spec.hook belongs to provider Hook: give both or neither"),
    validation = Rule::new("(has(self.provider) && self.provider == 'Patroni') == has(self.patroni)").message("spec.patroni belongs to provider Patroni: give both or neither")
)]
pub struct FailoverGroupSpec {
    /// The durable id, minted by Tandem when the group is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// Whether an unplanned failover may start by itself.
    #[serde(default)]
    pub mode: FailoverMode,
    /// How early the group moves: 0 first, 3 last.
    #[serde(default = "default_tier")]
    #[schemars(range(min = 0, max = 3))]
    pub tier: i32,
    /// Recovery point objective in seconds: how much of the latest data may be lost without two people's consent. Where left
    /// out: the strictest among the group's applications, or 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub rpo_seconds: Option<i64>,
    /// For how many seconds the other site must have been ready before a failover starts by itself; 60 at least.
    #[serde(default = "default_min_ready")]
    #[schemars(range(min = 0, max = 86_400))]
    pub min_ready_seconds: i64,
    /// For how many seconds the group stays where it is before a failover by itself, or a failback; 300 at least.
    #[serde(default = "default_dwell")]
    #[schemars(range(min = 0, max = 604_800))]
    pub dwell_seconds: i64,
    /// How many failovers may start by themselves within a day; 3 at most, 0 for none.
    #[serde(default = "default_automatic_per_day")]
    #[schemars(range(min = 0, max = 100))]
    pub automatic_per_day: i32,
    /// After how many seconds a fenced site puts its workloads to rest although no other took over; 60 at least.
    #[serde(default = "default_scale_after")]
    #[schemars(range(min = 0, max = 604_800))]
    pub scale_after_seconds: i64,
    /// For how long each step may take; the defaults stand where something is left out.
    #[serde(default, skip_serializing_if = "FailoverDeadlines::is_default")]
    pub deadlines: FailoverDeadlines,
    /// Groups that have to serve before this one, when they move together with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub depends_on: Vec<String>,
    /// What moves the group's data.
    #[serde(default)]
    pub provider: StateProvider,
    /// The settings of the provider `Hook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookSettings>,
    /// How the group rehearses at the site that is not active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drills: Option<DrillSettings>,
    /// The settings of the provider `Patroni`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patroni: Option<PatroniSettings>,
}

impl Default for FailoverGroupSpec {
    fn default() -> Self {
        Self {
            id: None,
            display_name: None,
            mode: FailoverMode::default(),
            tier: default_tier(),
            rpo_seconds: None,
            min_ready_seconds: default_min_ready(),
            dwell_seconds: default_dwell(),
            automatic_per_day: default_automatic_per_day(),
            scale_after_seconds: default_scale_after(),
            deadlines: FailoverDeadlines::default(),
            depends_on: Vec::new(),
            provider: StateProvider::default(),
            hook: None,
            drills: None,
            patroni: None,
        }
    }
}

fn default_tier() -> i32 {
    3
}

fn default_min_ready() -> i64 {
    600
}

fn default_dwell() -> i64 {
    1800
}

fn default_automatic_per_day() -> i32 {
    1
}

fn default_scale_after() -> i64 {
    600
}

/// For how long each step of a move may take, in seconds, from when its journal entry is first seen by the driver. What is
/// left out has the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.claimSeconds) || self.claimSeconds >= 6").message("claimSeconds must be 6 or more: a claim may have to wait until the source's fence has passed, which is 5 s at least"))]
pub struct FailoverDeadlines {
    /// Quiescing: the source refuses new writes; 5 where left out. Later it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub quiesce_seconds: Option<i64>,
    /// FinalSync: the target receives what is left; 10 where left out. Later it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub final_sync_seconds: Option<i64>,
    /// Demoting: the source's data becomes a standby; 10 where left out. Later it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub demote_seconds: Option<i64>,
    /// Fencing: the source lets go; 5 where left out. Later it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub fence_seconds: Option<i64>,
    /// From the release to the claim; 15 where left out. Later the source takes the group back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub claim_seconds: Option<i64>,
    /// Promoting: the target's data becomes writable; 60 where left out. Later a person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub promote_seconds: Option<i64>,
    /// Redirecting: traffic goes to the target; 30 where left out. Later a person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub redirect_seconds: Option<i64>,
    /// Verifying: whether the target serves; 120 where left out. Later a person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub verify_seconds: Option<i64>,
    /// Restoring the source of a move that is taken back; 60 where left out. Later a person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub resume_seconds: Option<i64>,
    /// The former source's return as a standby; 3600 where left out. Later a person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub resync_seconds: Option<i64>,
}

impl FailoverDeadlines {
    /// Whether all is left out.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What moves a group's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub enum StateProvider {
    /// Nothing: one active site is promised, not the data.
    #[default]
    None,
    /// A service of the group's own at each site, as spec.hook has it.
    Hook,
    /// PostgreSQL: one Patroni cluster a site, as spec.patroni has it.
    Patroni,
}

/// Whether an unplanned failover may start by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum FailoverMode {
    /// A person starts it.
    #[default]
    Manual,
    /// Tandem starts it when every condition is met.
    Automatic,
}

/// Where a group's record in the arbiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum GroupPhase {
    /// The active site holds it.
    Held,
    /// The site that held it has let go; only one other may claim it.
    Released,
    /// The arbiter was restored; nobody holds it until both sites have reported.
    Unconfirmed,
}

/// What is known of a failover group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverGroupStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each site says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStatus>,
    /// The site that is active, by the arbiter's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_site: Option<String>,
    /// The epoch: one more each time the group becomes active somewhere.
    #[serde(default)]
    pub epoch: u64,
    /// Where the record stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<GroupPhase>,
    /// How many applications move with the group.
    #[serde(default)]
    pub applications: i64,
    /// The execution that is moving the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The hold that covers the group: `group/…`, `site/…` or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Whether the group would survive the loss of the site that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<GroupReadiness>,
    /// Why an unplanned failover would not start by itself if the active site were lost; empty where it would.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_not_automatic: Vec<Why>,
    /// How far the data at the other site was behind, in seconds, when this status was last written; the metrics have what
    /// it is now. Absent where there is no data, or nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<i64>,
}

/// Whether a group would survive the loss of the site that runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupReadiness {
    /// Whether it would.
    pub state: Protection,
    /// Why not; where it would, what to know nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Why>,
}

/// Whether a group would survive the loss of the site that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Protection {
    /// It would.
    Protected,
    /// It would not.
    Unprotected,
}

/// Why something is as it is. A text, not an enumeration: the other site may run another release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message_zh: String,
}
