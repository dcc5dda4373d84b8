//! `FailoverGroup`: the applications that move together.

use crate::common::DisplayName;
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
    validation = Rule::new("self.metadata.name != 'platform'").message("the name platform is Tandem's own: it names the group that decides which site publishes"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Applications", type_ = "integer", json_path = ".status.applications"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"))]
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
}
