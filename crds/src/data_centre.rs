//! `DataCentre`: a site.

use crate::common::{Capacity, DisplayName};
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Annotation on a site's own `DataCentre`: which restored arbiter its replicas are to follow, as `tandem arbiter restore`
/// prints it. A person's word, at that site.
pub const ARBITER: &str = "tandem.dev/arbiter";

/// Annotation on a site's own `DataCentre`: the site is paused, for this reason. Its operators observe and write nothing.
/// A person's word, at that site; it is not published.
pub const PAUSED: &str = "tandem.dev/paused";
/// Annotation beside [`PAUSED`]: who said so.
pub const PAUSED_BY: &str = "tandem.dev/paused-by";
/// The condition of a site that is paused; absent where it is not.
pub const PAUSED_CONDITION: &str = "Paused";

/// A site: one Kubernetes cluster with a Tandem operator in it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "DataCentre",
    plural = "datacentres",
    shortname = "dc",
    category = "tandem",
    status = "DataCentreStatus",
    derive = "PartialEq",
    doc = "A site: one Kubernetes cluster with a Tandem operator in it. The object's name is the site's.",
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName.zh"),
    printcolumn(name = "Preference", type_ = "string", json_path = ".spec.preference"),
    printcolumn(name = "Authority", type_ = "boolean", json_path = ".status.authority"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"))]
pub struct DataCentreSpec {
    /// The durable id, minted by Tandem when the site is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The data centre's name.
    pub display_name: DisplayName,
    /// Which site is preferred when both could serve.
    pub preference: Preference,
    /// What the data centre has for the agencies. What the cluster reports is taken where this says nothing.
    #[serde(default)]
    pub capacity: Capacity,
    /// While true, nothing is promoted here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// While true, people are at work in the data centre; shown, and counted against its readiness.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

/// Which site is preferred when both could serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Preference {
    /// Serves when it can.
    Primary,
    /// Stands ready.
    Secondary,
}

/// What is known of a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataCentreStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions; `Ready` is true when the site itself says so and is heard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each site has applied of this object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStatus>,
    /// Whether the site may publish desired state: it is the active site of the failover group `platform`.
    #[serde(default)]
    pub authority: bool,
    /// The highest epoch of the failover groups that are active here.
    #[serde(default)]
    pub highest_epoch: u64,
    /// The operator replicas that are heard, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The operator replica that acts for the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// What the site's nodes have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocatable: Option<Capacity>,
    /// What the environments may take at the site, whichever site is active: the sum of their quotas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Capacity>,
    /// Whether the site's heartbeats move, as seen from where this status is read. Absent where nobody has looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<bool>,
    /// Whether the site has fenced itself: it holds nothing until the arbiter answers it again. Of the other site, what it
    /// said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<bool>,
    /// The holds in the arbiter that forbid every promotion here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldSeen>,
}

/// A hold in the arbiter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldSeen {
    /// What it covers: `site/…` or `all`.
    pub scope: String,
    /// Why it was set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who set it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// An operator replica that is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The replica's name.
    pub name: String,
}
