//! `SecurityProfile`: what an environment may do.

use crate::common::{DNS_LABEL, DisplayName};
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// What an environment may do, and which MLPS (等保) control each rule serves.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "SecurityProfile",
    plural = "securityprofiles",
    shortname = "secprof",
    category = "tandem",
    status = "SecurityProfileStatus",
    derive = "PartialEq",
    doc = "What an environment may do, and which MLPS (等保) control each rule serves.",
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName.zh"),
    printcolumn(name = "MLPS", type_ = "integer", json_path = ".spec.mlpsLevel"),
    printcolumn(name = "Pod Security", type_ = "string", json_path = ".spec.podSecurity"),
    printcolumn(name = "Digest", type_ = "boolean", json_path = ".spec.images.requireDigest"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"),
    validation = Rule::new("self.mlpsLevel < 3 || self.podSecurity == 'Restricted'").message("a profile for MLPS level 3 and above must have podSecurity Restricted"),
    validation = Rule::new("self.mlpsLevel < 3 || self.images.requireDigest").message("a profile for MLPS level 3 and above must have images.requireDigest true")
)]
pub struct SecurityProfileSpec {
    /// The durable id, minted by Tandem when the profile is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The profile's name.
    pub display_name: DisplayName,
    /// The highest level of the Multi-Level Protection Scheme (GB/T 22239-2019) of the systems that it serves.
    #[schemars(range(min = 1, max = 4))]
    pub mlps_level: i64,
    /// The Pod Security level that namespaces enforce (from 1.23 on).
    pub pod_security: PodSecurityLevel,
    /// Where pods may connect to, beside their own application, declared applications and DNS. All else is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub egress: Vec<EgressRule>,
    /// Which images may run.
    pub images: ImageRules,
    /// Storage classes that may be claimed from; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub storage_classes: Vec<String>,
    /// The ingress class of endpoints with host names; the cluster's default where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub ingress_class: Option<String>,
    /// Endings that host names must have, such as `gov.example`; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub host_name_suffixes: Vec<String>,
    /// Labels that the unit's applications must bear, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub required_labels: Vec<String>,
    /// Which control each rule serves, for reviewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub controls: Vec<Control>,
    /// Where a rule need not be kept for a while, and why. The end of a waiver stops nothing that runs: what breaks the rule
    /// then is a finding, and the application's next change is refused until it keeps the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub waivers: Vec<Waiver>,
    /// Whether a request for an environment under this profile needs a security decision beside the platform's, by another
    /// person. No rule approves such a request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security_decision: bool,
}

/// Pod Security Standards' levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PodSecurityLevel {
    /// Known privilege escalations are prevented.
    Baseline,
    /// Current hardening practice.
    Restricted,
}

/// Where pods may connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressRule {
    /// The addresses, such as `10.20.0.0/16`.
    #[schemars(length(min = 3, max = 43), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    pub cidr: String,
    /// The TCP ports; every port where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1, max = 65_535)))]
    pub ports: Vec<i32>,
}

/// Which images may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageRules {
    /// Registries, with or without a path, that images must come from; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub registries: Vec<String>,
    /// Whether an image must be named by its digest (`@sha256:…`).
    #[serde(default)]
    pub require_digest: bool,
}

/// Which control a rule serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// The rule, as the path of a field of this specification, such as `images.requireDigest`.
    #[schemars(length(min = 1, max = 128))]
    pub rule: String,
    /// The control's number in GB/T 22239-2019, such as `8.1.4.4`.
    #[schemars(length(min = 1, max = 64))]
    pub control: String,
}

/// A rule of the profile that an application need not keep for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// The rule, as the path of a field of this specification, such as `images.requireDigest`.
    #[schemars(extend("enum" = [
        "mlpsLevel", "requiredLabels", "images.registries", "images.requireDigest", "hostNameSuffixes",
    ]))]
    pub rule: String,
    /// The environment that it holds in. It holds only while the environment is under this profile.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub environment: String,
    /// The application that it holds for; every application of the environment where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub application: Option<String>,
    /// Why, for those who review it: who asked, and what is done meanwhile.
    #[schemars(length(min = 1, max = 1_024))]
    pub reason: String,
    /// When it ends, such as `2027-06-30T00:00:00+08:00`.
    #[schemars(length(max = 40), regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"))]
    pub until: String,
}

/// What is known of a security profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityProfileStatus {
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
