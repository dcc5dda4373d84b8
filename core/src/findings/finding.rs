//! One finding.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What sort of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FindingKind {
    /// Somebody changed or deleted what Tandem renders, and it was put back.
    Drift,
    /// An application that was accepted breaks a rule of its environment's security profile.
    Violation,
    /// A rule need not be kept for a while, or needed not until lately.
    Waiver,
}

impl FindingKind {
    /// The word for it, as it is written in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drift => "Drift",
            Self::Violation => "Violation",
            Self::Waiver => "Waiver",
        }
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FindingSeverity")]
pub enum Severity {
    /// To be known.
    Info,
    /// To be looked at some time.
    Low,
    /// To be looked at soon.
    Medium,
    /// To be looked at now.
    High,
}

impl Severity {
    /// The word for it in report objects.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The object that it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FindingObject")]
pub struct Subject {
    /// The kind, such as `Application` or `NetworkPolicy`.
    pub kind: String,
    /// The name. It is in the finding's environment, where it is in any.
    pub name: String,
}

/// What is said to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FindingMessage")]
pub struct Sentence {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The same for as long as the same thing is found.
    pub id: String,
    /// What sort it is.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// The unit that the environment is of, where there is such an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The environment; absent for what is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The application, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The object.
    pub object: Subject,
    /// The site, where it is about one site's object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The security profile whose rule it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The rule, as the path of a field of the profile's specification, such as `images.requireDigest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The MLPS controls (GB/T 22239-2019) that the rule serves, as the profile says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
    /// The fields of the object that are wrong, or were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What is the matter and what to do about it.
    pub message: Sentence,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// When it happened last, for what happens again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
    /// How often it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// When a waiver ends, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// Whether a waiver has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lapsed: bool,
}

impl Finding {
    /// Where it stands among all: by environment, kind, object and rule. No two stand in the same place.
    #[must_use]
    pub fn place(&self) -> (String, String) {
        let rule = self.rule.as_deref().unwrap_or_default();
        let Subject { kind, name } = &self.object;
        let within = format!("{}/{kind}/{name}/{rule}/{}", self.kind.name(), self.id);
        (self.environment.clone().unwrap_or_default(), within)
    }
}

/// An id made of what tells a finding from all others, whatever else changes about it.
pub(super) fn id(kind: FindingKind, parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts are one text.
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let digest = hex::encode(digest.finalize());
    format!("{}-{}", kind.name().to_lowercase(), digest.get(..16).unwrap_or_default())
}
