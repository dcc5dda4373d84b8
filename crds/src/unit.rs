//! `Unit`: an agency, the tenant.

use crate::common::{Capacity, DNS_LABEL, DisplayName};
use crate::quantity::Quantity;
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// An agency (单位): the tenant, with its people and its budget.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "Unit",
    plural = "units",
    category = "tandem",
    status = "UnitStatus",
    derive = "PartialEq",
    doc = "An agency (单位): the tenant, with its people and its budget.",
    validation = Rule::new("size(self.metadata.name) <= 40").message("the name is at most 40 characters: it begins the names of the unit's namespaces"),
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName.zh"),
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.level"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".spec.budget.cpu", description = "Processor budget"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".spec.budget.memory", description = "Memory budget"),
    printcolumn(name = "Environments", type_ = "integer", json_path = ".status.environments"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"),
    validation = Rule::new("!(has(self.parent) && self.parent == '')").message("spec.parent must name a unit, or be left out")
)]
pub struct UnitSpec {
    /// The durable id, minted by Tandem when the unit is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The agency's name.
    pub display_name: DisplayName,
    /// Where in the government the agency stands.
    pub level: UnitLevel,
    /// The unit that this one belongs to, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub parent: Option<String>,
    /// Groups of the identity provider whose members administer the unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub administrators: Vec<String>,
    /// Groups of the identity provider whose members may look at the unit's environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub viewers: Vec<String>,
    /// What the unit's environments may take together.
    pub budget: Budget,
    /// The security profile of the unit's environments that name none.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub security_profile: String,
    /// A suspended (cordoned) unit keeps running, but nothing new is admitted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// While true, the unit and its environments are not deleted, whoever asks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletion_protection: bool,
}

/// Where in the government an agency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum UnitLevel {
    /// City (市).
    City,
    /// County or district (县/区).
    County,
    /// Township (乡/镇).
    Township,
    /// Village (村).
    Village,
}

/// What a unit's environments may take together, in each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Processor cores, such as `64`.
    pub cpu: Quantity,
    /// Memory in bytes, such as `256Gi`.
    pub memory: Quantity,
    /// Persistent storage in bytes, such as `10Ti`.
    pub storage: Quantity,
    /// How many pods.
    #[schemars(range(min = 0, max = 100_000))]
    pub pods: i64,
    /// How many environments.
    #[schemars(range(min = 0, max = 1_000))]
    pub environments: i64,
}

/// What is known of a unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnitStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions; `Ready` is true when every site is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each site says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStatus>,
    /// How many environments the unit has.
    #[serde(default)]
    pub environments: i64,
    /// What the unit's environments take of the budget, by the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Capacity>,
}
