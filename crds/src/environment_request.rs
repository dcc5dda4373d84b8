//! `EnvironmentRequest`: what an agency asks for, who decided, and what became of it.

use crate::application::ApplicationSpec;
use crate::common::{DNS_LABEL, DisplayName};
use crate::environment::{EnvironmentMember, Purpose, Quota};
use crate::status::SiteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an agency asks for: an environment made, resized, kept longer or deleted. It says why and by whom, and keeps what was
/// decided.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "EnvironmentRequest",
    plural = "environmentrequests",
    shortname = "envreq",
    category = "tandem",
    status = "EnvironmentRequestStatus",
    derive = "PartialEq",
    doc = "What an agency asks for: an environment made, resized, kept longer or deleted. It says why and by whom, and keeps what was decided.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy.name"),
    printcolumn(name = "Unit", type_ = "string", json_path = ".spec.unit", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)").message("spec.id cannot be changed: Tandem mints it once"),
    validation = Rule::new("self.type == oldSelf.type").message("spec.type cannot be changed: make another EnvironmentRequest"),
    validation = Rule::new("self.unit == oldSelf.unit").message("spec.unit cannot be changed: make another EnvironmentRequest"),
    validation = Rule::new("self.environment == oldSelf.environment").message("spec.environment cannot be changed: make another EnvironmentRequest"),
    validation = Rule::new("self.requestedBy == oldSelf.requestedBy").message("spec.requestedBy cannot be changed: nobody asks in another's name"),
    validation = Rule::new("self.submittedAt == oldSelf.submittedAt").message("spec.submittedAt cannot be changed"),
    validation = Rule::new("!has(oldSelf.decisions) || (has(self.decisions) && oldSelf.decisions.all(d, self.decisions.exists(e, e == d)))").message("spec.decisions can only be added to: a decision is never changed or taken back"),
    validation = Rule::new("!has(oldSelf.withdrawn) || (has(self.withdrawn) && self.withdrawn == oldSelf.withdrawn)").message("spec.withdrawn stands: make another EnvironmentRequest"),
    validation = Rule::new("!has(oldSelf.undone) || (has(self.undone) && self.undone == oldSelf.undone)").message("spec.undone stands: make another EnvironmentRequest"),
    validation = Rule::new("!has(oldSelf.carriedOut) || (has(self.carriedOut) && self.carriedOut == oldSelf.carriedOut)").message("spec.carriedOut cannot be changed: Tandem writes it once"),
    validation = Rule::new("self.environment.startsWith(self.unit + '-')").message("spec.environment must be <unit>-<name>, such as health-prod for the unit health: it is the namespace's name in both sites"),
    validation = Rule::new("has(self.quota) == (self.type == 'Create' || self.type == 'Resize')").message("spec.quota is for spec.type Create and Resize, and both need it"),
    validation = Rule::new("self.type != 'Extend' || has(self.until)").message("spec.type Extend needs spec.until: say until when the environment is needed"),
    validation = Rule::new("self.type == 'Create' || self.type == 'Extend' || !has(self.until)").message("spec.until is for spec.type Create and Extend alone"),
    validation = Rule::new("self.type == 'Create' || !(has(self.displayName) || has(self.purpose) || has(self.securityProfile) || has(self.members))").message("spec.displayName, purpose, securityProfile and members are for spec.type Create alone"),
    validation = Rule::new("self.type == 'Create' || self.type == 'Resize' || !has(self.applications)").message("spec.applications is for spec.type Create and Resize alone"),
    validation = Rule::new("self.type == 'Delete' || !has(self.undone)").message("spec.undone is for spec.type Delete alone; withdraw the request while it is pending"),
    validation = Rule::new("!has(self.decisions) || self.decisions.all(d, d.by != self.requestedBy.name)").message("nobody decides their own request: spec.decisions must be others'"),
    validation = Rule::new("!has(self.decisions) || self.decisions.all(d, self.decisions.exists_one(e, e.by == d.by && e.digest == d.digest))").message("one person decides once on the same content: a second decision must be another person's")
)]
pub struct EnvironmentRequestSpec {
    /// The durable id, minted by Tandem when the request is first published; never to be set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// What is asked for.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// The unit that asks, by name.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub unit: String,
    /// The environment that it is about, by its full name: `<unit>-<name>`.
    #[schemars(length(min = 3, max = 63), regex(pattern = DNS_LABEL))]
    pub environment: String,
    /// Create: the environment's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// Create: what the environment is for; production where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Create and Resize: the environment's share of the unit's budget, in each site; in all, not in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Create: the security profile; the unit's where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub security_profile: Option<String>,
    /// Create: who may work in the environment, beside the unit's administrators and viewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub members: Vec<EnvironmentMember>,
    /// Create and Extend: until when the environment is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"))]
    pub until: Option<String>,
    /// Create and Resize: applications to be made in the environment. Those that are there already stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub applications: Vec<RequestedApplication>,
    /// Why, for those who decide.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Who asked.
    pub requested_by: Requester,
    /// When it was asked, by the wall clock of whoever took it.
    pub submitted_at: Time,
    /// What was decided. Can be added to, never taken from. A decision counts for the content that it was made on alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub decisions: Vec<Decision>,
    /// The agency took the request back before it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<RequestWord>,
    /// Delete: the approved deletion was called off within its grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<RequestWord>,
    /// When Tandem carried the request out, once. What came later is not put back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_out: Option<Time>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RequestType {
    /// A new environment.
    Create,
    /// Another quota, larger or smaller.
    Resize,
    /// A later expiry.
    Extend,
    /// The environment's end, after a grace period.
    Delete,
}

impl RequestType {
    /// The name as it stands in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Resize => "Resize",
            Self::Extend => "Extend",
            Self::Delete => "Delete",
        }
    }
}

/// An application to be made with the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.spec.id)").message("an application's spec.id is minted by Tandem: leave it out")
)]
pub struct RequestedApplication {
    /// The application's name, its own in the environment.
    #[schemars(length(min = 1, max = 40), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// Labels of the application, such as those that its security profile requires.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// The application, as it would stand in an Application's `spec`.
    pub spec: ApplicationSpec,
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    /// Who, by the name that they signed in with.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The roles that they had then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub roles: Vec<String>,
}

/// In which role somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DecisionRole {
    /// As a platform operator (系统管理员).
    Platform,
    /// As a security administrator (安全管理员).
    Security,
}

impl DecisionRole {
    /// The name as it stands in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "Platform",
            Self::Security => "Security",
        }
    }
}

/// What somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DecisionOutcome {
    /// It shall be.
    Approve,
    /// It shall not be. One rejection ends the request.
    Reject,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// In which role.
    pub role: DecisionRole,
    /// What was decided.
    pub outcome: DecisionOutcome,
    /// Who decided, by the name that they signed in with; `tandem:rule` where a rule did.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// When, by the wall clock of whoever took it.
    pub at: Time,
    /// SHA-256 of the content that was decided on, in hexadecimal digits. An approval of other content counts for nothing.
    #[schemars(length(min = 64, max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    /// What they had to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub note: String,
}

/// That somebody took something back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestWord {
    /// Who.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// When, by the wall clock of whoever took it.
    pub at: Time,
    /// What they had to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub note: String,
}

/// How a request stands as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RequestPhase {
    /// It waits for decisions.
    #[default]
    Pending,
    /// Everybody who has to has agreed; nothing was done yet.
    Approved,
    /// Somebody who may refused it.
    Rejected,
    /// The agency took it back, or called the deletion off.
    Withdrawn,
    /// The sites are at work.
    Provisioning,
    /// Every site has done it.
    Provisioned,
    /// Some sites have done it; others fail, or are silent.
    PartiallyProvisioned,
}

impl RequestPhase {
    /// Every phase.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Withdrawn,
        Self::Provisioning,
        Self::Provisioned,
        Self::PartiallyProvisioned,
    ];

    /// Whether nothing more will become of it by itself.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Rejected | Self::Withdrawn | Self::Provisioned)
    }

    /// The name as it stands in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Withdrawn => "Withdrawn",
            Self::Provisioning => "Provisioning",
            Self::Provisioned => "Provisioned",
            Self::PartiallyProvisioned => "PartiallyProvisioned",
        }
    }
}

/// How far one site has come with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum SitePhase {
    /// It has not reported on this generation.
    #[default]
    Waiting,
    /// It is at work.
    Provisioning,
    /// It has done it.
    Provisioned,
    /// It cannot: see the message.
    Failed,
}

/// How one site stands with what was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteProvisioning {
    /// The site.
    #[schemars(length(max = 63))]
    pub site: String,
    /// The generation of the environment, as it was published, that the site speaks of; 0 where it has said nothing.
    #[serde(default)]
    pub generation: i64,
    /// How far it has come.
    #[serde(default)]
    pub phase: SitePhase,
    /// Why, in a sentence; empty where it has done it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentRequestStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Upstream conditions; `Ready` is true once it is provisioned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each site says of the request itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStatus>,
    /// How it stands as a whole.
    #[serde(default)]
    pub phase: RequestPhase,
    /// How each site stands with the environment that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioning: Vec<SiteProvisioning>,
    /// Why it is as it is, in one word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it is as it is, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The same in Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message_zh: String,
}
