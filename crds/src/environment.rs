//! `Environment`: one namespace of a unit, the same in both sites.

use crate::common::{DNS_LABEL, DisplayName};
use crate::quantity::Quantity;
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// One namespace of a unit, the same in both sites. The object's name is the namespace's: `<unit>-<name>`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    shortname = "environ",
    category = "tandem",
    status = "EnvironmentStatus",
    derive = "PartialEq",
    doc = "One namespace of a unit, the same in both sites. The object's name is the namespace's: <unit>-<name>.",
    validation = Rule::new("self.metadata.name.startsWith(self.spec.unit + '-')").message("the name must be <unit>-<name>, such as health-prod for the unit health: it is the namespace's name in both sites"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name is at most 63 characters: it is the namespace's name in both sites"),
    printcolumn(name = "Unit", type_ = "string", json_path = ".spec.unit"),
    printcolumn(name = "Purpose", type_ = "string", json_path = ".spec.purpose"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".spec.quota.cpu"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".spec.quota.memory"),
    printcolumn(name = "Storage", type_ = "string", json_path = ".spec.quota.storage", priority = 1),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".spec.quota.pods", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"),
    validation = Rule::new("self.unit == oldSelf.unit").message("spec.unit cannot be changed: make an environment of the other unit and move the applications")
)]
pub struct EnvironmentSpec {
    /// The durable id, minted by Tandem when the environment is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The unit whose environment it is, by name.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub unit: String,
    /// The environment's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// What the environment is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// The environment's share of the unit's budget, in each site.
    pub quota: Quota,
    /// The security profile; the unit's where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub security_profile: Option<String>,
    /// Who may work in this environment, beside the unit's administrators and viewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub members: Vec<EnvironmentMember>,
    /// When the environment is no longer needed. Nothing is deleted at that time by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"))]
    pub expires_at: Option<String>,
    /// While true, the environment is not deleted, whoever asks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletion_protection: bool,
    /// The request that was carried out on the environment last, by name; written by Tandem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub request: Option<String>,
    /// When the environment is deleted: an approved request marks it so, with a grace period in which that can be undone.
    /// Nothing new is admitted meanwhile. Written by Tandem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"))]
    pub delete_after: Option<String>,
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Purpose {
    /// Serves the public or other agencies.
    #[default]
    Production,
    /// For tests before production.
    Test,
    /// For development.
    Development,
    /// For training staff.
    Training,
}

/// An environment's share of its unit's budget, in each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Processor cores, such as `16`.
    pub cpu: Quantity,
    /// Memory in bytes, such as `64Gi`.
    pub memory: Quantity,
    /// Persistent storage in bytes, such as `1Ti`.
    pub storage: Quantity,
    /// How many pods.
    #[schemars(range(min = 0, max = 100_000))]
    pub pods: i64,
}

/// A group that may work in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentMember {
    /// A group of the identity provider.
    #[schemars(length(min = 1, max = 128))]
    pub group: String,
    /// What its members may do.
    pub role: MemberRole,
}

/// What a member may do in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum MemberRole {
    /// Manages the applications.
    Administrator,
    /// Looks, changes nothing.
    Viewer,
}

/// What is known of an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions; `Ready` is true when every site is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each site says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStatus>,
}
