//! `Application`: one hosted application system in an environment.

use crate::common::{DNS_LABEL, DNS_NAME, DisplayName};
use crate::quantity::Quantity;
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One hosted application system (应用系统) in an environment: its components, or the workloads it adopts.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "Application",
    plural = "applications",
    shortname = "app",
    category = "tandem",
    namespaced,
    status = "ApplicationStatus",
    derive = "PartialEq",
    doc = "One hosted application system (应用系统) in an environment: its components, or the workloads it adopts.",
    validation = Rule::new("size(self.metadata.name) <= 40").message("the name is at most 40 characters: it begins the names of the workloads"),
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName.zh"),
    printcolumn(name = "Tier", type_ = "integer", json_path = ".spec.tier"),
    printcolumn(name = "Standby", type_ = "string", json_path = ".spec.standbyClass"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.activeSite"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"),
    validation = Rule::new("has(self.components) != has(self.adopt)").message("give either spec.components or spec.adopt, not both and not neither"),
    validation = Rule::new("!has(self.components) || self.components.all(c, self.components.exists_one(d, d.name == c.name))").message("two components have one name: each name in spec.components must be its own"),
    validation = Rule::new("!has(self.endpoints) || self.endpoints.all(e, self.endpoints.exists_one(f, f.name == e.name))").message("two endpoints have one name: each name in spec.endpoints must be its own"),
    validation = Rule::new("!has(self.endpoints) || !has(self.components) || self.endpoints.all(e, has(e.component) && self.components.exists(c, c.name == e.component))").message("an endpoint's component must be one of spec.components")
)]
pub struct ApplicationSpec {
    /// The durable id, minted by Tandem when the application is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The system's name.
    pub display_name: DisplayName,
    /// The parts of the application that Tandem runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub components: Option<Vec<Component>>,
    /// Workloads that exist already, made by others, that Tandem only brings to strength.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub adopt: Option<Vec<Adopted>>,
    /// Where the application can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub endpoints: Option<Vec<Endpoint>>,
    /// Which applications may call this one and which it may call. All else is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The failover group that the application moves with; one of its own, of the same name as the namespace and the
    /// application joined by a dash, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub failover_group: Option<String>,
    /// How early the application is brought up: 0 first, 3 last.
    #[serde(default = "default_tier")]
    #[schemars(range(min = 0, max = 3))]
    pub tier: i32,
    /// What runs at the site that is not active.
    #[serde(default)]
    pub standby_class: StandbyClass,
    /// Recovery time objective in seconds: how long the application may be away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub rto_seconds: Option<i64>,
    /// Recovery point objective in seconds: how much of the latest data may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub rpo_seconds: Option<i64>,
    /// Applications that must be up before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub dependencies: Vec<ApplicationRef>,
    /// The system's level in the Multi-Level Protection Scheme (等保); the environment's security profile must serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4))]
    pub mlps_level: Option<i64>,
    /// Persistent storage, in bytes, that the application's data takes at each site. It is counted, not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
}

fn default_tier() -> i32 {
    3
}

/// A part of an application: some pods that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// The component's name, its own in the application.
    #[schemars(length(min = 1, max = 20), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The container image.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// The command; the image's where none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub command: Vec<String>,
    /// The command's arguments; the image's where none are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub args: Vec<String>,
    /// How many pods.
    #[serde(default)]
    pub replicas: Replicas,
    /// What each pod takes.
    pub resources: ComponentResources,
    /// The ports that the pods listen on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<Port>,
    /// How the pods' health is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Configuration that the pods see as environment variables. Not for secrets: it is published to both sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub env: Vec<EnvVar>,
    /// Configuration files by name, seen by the pods under `/etc/tandem/config`. Not for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Secrets, by name, whose keys the pods see as environment variables. Each site must have them; Tandem never copies one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253), regex(pattern = DNS_NAME)))]
    pub secrets: Vec<String>,
}

/// How many pods a component has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// At the active site.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000))]
    pub active: i32,
    /// At the other site, for an application whose standby class is `Warm`; one where nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub standby: Option<i32>,
}

fn one() -> i32 {
    1
}

impl Default for Replicas {
    fn default() -> Self {
        Self { active: 1, standby: None }
    }
}

/// What each pod of a component takes: requested and limited alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentResources {
    /// Processor cores, such as `500m`.
    pub cpu: Quantity,
    /// Memory in bytes, such as `1Gi`.
    pub memory: Quantity,
}

/// A port that a component's pods listen on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// The port's name.
    #[schemars(length(min = 1, max = 15), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The port's number.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// The protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
}

/// How a component's health is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Whether a pod may be sent requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Whether a pod has to be restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
}

/// One way of asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.httpGet) != has(self.tcpPort)").message("give either httpGet or tcpPort"))]
pub struct Probe {
    /// An HTTP request that must be answered with 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A TCP port that must accept a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub tcp_port: Option<i32>,
    /// How often to ask, in seconds.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 3_600))]
    pub period_seconds: i32,
    /// How long to wait for the answer, in seconds.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: i32,
    /// How many failures in a row count.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: i32,
}

fn ten() -> i32 {
    10
}

fn three() -> i32 {
    3
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// The path, such as `/healthz`.
    #[schemars(length(min = 1, max = 512))]
    pub path: String,
    /// The port's number.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The variable's name.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The variable's value.
    #[schemars(length(max = 4_096))]
    pub value: String,
}

/// A workload that exists already, in the application's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    /// The workload's kind.
    pub kind: AdoptedKind,
    /// The workload's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub name: String,
    /// How many pods it has.
    #[serde(default)]
    pub replicas: Replicas,
}

/// Kinds of workload that can be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum AdoptedKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
}

impl AdoptedKind {
    /// The name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// Where an application can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The endpoint's name; with the application's before it, that of its Service.
    #[schemars(length(min = 1, max = 20), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The component that serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20), regex(pattern = DNS_LABEL))]
    pub component: Option<String>,
    /// Labels of the adopted workload's pods that serve it, where no component does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// The pods' port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Host names under which the gateway serves it; none keeps it inside the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = DNS_NAME)))]
    pub hosts: Vec<String>,
    /// The path below which the gateway serves it.
    #[serde(default = "root_path")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub path: String,
    /// The Secret with the gateway's certificate for the host names. Each site must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub tls_secret: Option<String>,
}

fn root_path() -> String {
    "/".to_owned()
}

/// Which applications may call this one and which it may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Applications that may call this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub from: Vec<ApplicationRef>,
    /// Applications that this one may call. They must let it, with `from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub to: Vec<ApplicationRef>,
}

/// Another application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationRef {
    /// The environment that it is in, by the name of its namespace; the same one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub environment: Option<String>,
    /// Its name.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub application: String,
}

/// What runs at the site that is not active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum StandbyClass {
    /// Nothing runs: 0 pods.
    #[default]
    Cold,
    /// A few pods run.
    Warm,
    /// As many pods run as at the active site.
    Hot,
}

/// What is known of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions; `Ready` is true when every site is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each site says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStatus>,
    /// The failover group that the application moves with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_group: Option<String>,
    /// The site that is active, by the group's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_site: Option<String>,
}
