//! A rule in force: what it says, where it holds, which field sets it, who set that and since when.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A text for people, in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyText")]
pub struct Text {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

impl Text {
    /// A text in both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }
}

/// What a rule is about. The order is the one in which a reader is shown them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PolicyArea")]
pub enum Area {
    /// The level of the Multi-Level Protection Scheme (等保).
    Protection,
    /// Who may connect to whom.
    Network,
    /// Names under which the public reaches an application.
    HostNames,
    /// Which images may run.
    Images,
    /// What pods may do.
    Pods,
    /// What data is kept on.
    Storage,
    /// How much of everything.
    Resources,
    /// What people may do.
    Access,
    /// What applications are marked with.
    Labels,
    /// How long things stay, and what ends them.
    Lifetime,
    /// Who decides on what is asked for.
    Requests,
}

impl Area {
    /// Every one, in order.
    pub const ALL: [Self; 11] = [
        Self::Protection,
        Self::Network,
        Self::HostNames,
        Self::Images,
        Self::Pods,
        Self::Storage,
        Self::Resources,
        Self::Access,
        Self::Labels,
        Self::Lifetime,
        Self::Requests,
    ];

    /// What it is called.
    #[must_use]
    pub fn title(self) -> Text {
        match self {
            Self::Protection => Text::new("Protection level (MLPS)", "等级保护"),
            Self::Network => Text::new("Network", "网络"),
            Self::HostNames => Text::new("Host names", "域名"),
            Self::Images => Text::new("Images", "镜像"),
            Self::Pods => Text::new("Pods", "容器组"),
            Self::Storage => Text::new("Storage", "存储"),
            Self::Resources => Text::new("Resources", "资源"),
            Self::Access => Text::new("People", "人员权限"),
            Self::Labels => Text::new("Labels", "标签"),
            Self::Lifetime => Text::new("Lifetime", "生命周期"),
            Self::Requests => Text::new("Requests", "申请审批"),
        }
    }
}

/// Where a rule holds: in a unit, in one of its environments, for one of its applications.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyPlace")]
pub struct Place {
    /// The unit.
    pub unit: String,
    /// The environment; absent for what holds for the unit as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The application; absent for what holds for the environment as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

/// What sets a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicySource")]
pub struct Source {
    /// The object's kind; `Tandem` for what is built in and nobody sets.
    pub kind: String,
    /// The object's namespace, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The field's path, such as `spec.images.requireDigest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// Who set a rule as it is, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[schemars(rename = "PolicySet")]
pub enum Set {
    /// Nobody: it is built into Tandem.
    BuiltIn,
    /// It was so before versions were kept, or no version says it: who and when is not known.
    #[default]
    BeforeVersions,
    /// A version that is kept brought it.
    Known {
        /// Who wrote that version, as far as that is known.
        by: String,
        /// When it was published.
        #[schemars(with = "String")]
        since: Timestamp,
        /// The arbiter's revision of it.
        revision: i64,
        /// The request that it carried out, by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<String>,
        /// Whether it is the oldest version that is kept of the object, so that the rule may be older still.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        oldest: bool,
    },
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyRule")]
pub struct Rule {
    /// What it is known by, the same in every document, such as `images.requireDigest`.
    pub id: String,
    /// What it is about.
    pub area: Area,
    /// Where it holds, with this value, source and setter.
    #[serde(rename = "where")]
    pub places: Vec<Place>,
    /// What it is called.
    pub title: Text,
    /// What it says, and how it is held to.
    pub sentence: Text,
    /// Its value, for programs.
    pub value: Value,
    /// Whether anything holds anybody to it. Where not, the sentence says so.
    pub enforced: bool,
    /// What sets it.
    pub source: Source,
    /// The MLPS controls (GB/T 22239-2019) that it serves, by the profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
    /// Who set it so, and when.
    pub set: Set,
}

impl Rule {
    /// A rule that is built in and enforced, until something else is said of it. Where it holds is filled in for all rules of a
    /// part at once.
    pub(super) fn new(area: Area, id: impl Into<String>, title: (&str, &str), sentence: Text, value: Value) -> Self {
        Self {
            id: id.into(),
            area,
            places: Vec::new(),
            title: Text::new(title.0, title.1),
            sentence,
            value,
            enforced: true,
            source: Source { kind: BUILT_IN.to_owned(), namespace: None, name: None, field: None },
            controls: Vec::new(),
            set: Set::BuiltIn,
        }
    }

    /// Set by a field of an object.
    pub(super) fn from(mut self, object: &crate::sync::ObjectKey, field: impl Into<String>) -> Self {
        self.source = Source {
            kind: object.kind.name().to_owned(),
            namespace: object.namespace.clone(),
            name: Some(object.name.clone()),
            field: Some(field.into()),
        };
        self.set = Set::BeforeVersions;
        self
    }

    /// Nothing holds anybody to it.
    pub(super) fn unenforced(mut self) -> Self {
        self.enforced = false;
        self
    }

    /// What it is known by among all places, where it holds in one.
    pub(super) fn key(&self) -> Option<(&str, &Place)> {
        self.places.first().map(|place| (self.id.as_str(), place))
    }
}

/// The kind of what no object sets.
const BUILT_IN: &str = "Tandem";
