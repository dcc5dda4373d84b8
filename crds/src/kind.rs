//! What all of Tandem's kinds have in common, so that code that treats them alike is written once.

use crate::status::{HasConditions, SiteStatus};
use crate::{Application, DataCentre, Environment, EnvironmentRequest, FailoverGroup, SecurityProfile, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::{CustomResourceExt, NamespaceResourceScope, Resource};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use std::str::FromStr;

/// The kinds that are published and followed. The order is the one in which a site applies them: what others name, first.
///
/// As a value in a record a kind is written as its plural, as in API paths and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// [`DataCentre`]
    #[serde(rename = "datacentres")]
    DataCentre,
    /// [`SecurityProfile`]
    #[serde(rename = "securityprofiles")]
    SecurityProfile,
    /// [`Unit`]
    #[serde(rename = "units")]
    Unit,
    /// [`Environment`]
    #[serde(rename = "environments")]
    Environment,
    /// [`FailoverGroup`]
    #[serde(rename = "failovergroups")]
    FailoverGroup,
    /// [`Application`]
    #[serde(rename = "applications")]
    Application,
    /// [`EnvironmentRequest`]
    #[serde(rename = "environmentrequests")]
    EnvironmentRequest,
}

/// A text that names no kind of Tandem's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no kind of Tandem's")]
pub struct UnknownKind(pub String);

impl Kind {
    /// Every kind that is published and followed. [`Failover`](crate::Failover) is not: it stays at its site.
    pub const ALL: [Self; 7] = [
        Self::DataCentre,
        Self::SecurityProfile,
        Self::Unit,
        Self::Environment,
        Self::FailoverGroup,
        Self::Application,
        Self::EnvironmentRequest,
    ];

    /// The plural as it stands in API paths and in the arbiter's keys.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::DataCentre => "datacentres",
            Self::SecurityProfile => "securityprofiles",
            Self::Unit => "units",
            Self::Environment => "environments",
            Self::FailoverGroup => "failovergroups",
            Self::Application => "applications",
            Self::EnvironmentRequest => "environmentrequests",
        }
    }

    /// Whether objects of the kind live in a namespace.
    #[must_use]
    pub fn namespaced(self) -> bool {
        self == Self::Application
    }

    /// The name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DataCentre => "DataCentre",
            Self::SecurityProfile => "SecurityProfile",
            Self::Unit => "Unit",
            Self::Environment => "Environment",
            Self::FailoverGroup => "FailoverGroup",
            Self::Application => "Application",
            Self::EnvironmentRequest => "EnvironmentRequest",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Reads a plural or a kind's name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.plural() == text || kind.name() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// One of Tandem's kinds.
pub trait TandemKind:
    Resource<DynamicType = ()>
    + CustomResourceExt
    + Serialize
    + DeserializeOwned
    + Clone
    + fmt::Debug
    + PartialEq
    + Send
    + Sync
    + 'static
{
    /// Which one.
    const KIND: Kind;
    /// Whether objects live in a namespace.
    const NAMESPACED: bool;
    /// The specification's type.
    type Spec: Serialize + DeserializeOwned + Clone + fmt::Debug + PartialEq + Send + Sync;
    /// The status's type.
    type Status: HasConditions + Serialize + DeserializeOwned + Default + Clone + fmt::Debug + PartialEq + Send + Sync;

    /// What is wanted.
    fn spec(&self) -> &Self::Spec;
    /// What is wanted, to be changed.
    fn spec_mut(&mut self) -> &mut Self::Spec;
    /// What is known.
    fn status(&self) -> Option<&Self::Status>;
    /// The durable id, once minted.
    fn id(&self) -> Option<&str>;
    /// What each site says, and the part of the status that all kinds have, put into a status.
    fn set_common(
        status: &mut Self::Status,
        generation: Option<i64>,
        conditions: Vec<Condition>,
        sites: Vec<SiteStatus>,
    );
    /// What each site said when the status was written.
    fn sites(status: &Self::Status) -> &[SiteStatus];
}

macro_rules! tandem_kind {
    ($kind:ident, $spec:ident, $status:ident, namespaced: $namespaced:literal) => {
        impl TandemKind for $kind {
            const KIND: Kind = Kind::$kind;
            const NAMESPACED: bool = $namespaced;
            type Spec = crate::$spec;
            type Status = crate::$status;

            fn spec(&self) -> &Self::Spec {
                &self.spec
            }
            fn spec_mut(&mut self) -> &mut Self::Spec {
                &mut self.spec
            }
            fn status(&self) -> Option<&Self::Status> {
                self.status.as_ref()
            }
            fn id(&self) -> Option<&str> {
                self.spec.id.as_deref()
            }
            fn set_common(
                status: &mut Self::Status,
                generation: Option<i64>,
                conditions: Vec<Condition>,
                sites: Vec<SiteStatus>,
            ) {
                status.observed_generation = generation;
                status.conditions = conditions;
                status.sites = sites;
            }
            fn sites(status: &Self::Status) -> &[SiteStatus] {
                &status.sites
            }
        }

        impl HasConditions for crate::$status {
            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }
            fn observed_generation(&self) -> Option<i64> {
                self.observed_generation
            }
        }
    };
}

tandem_kind!(DataCentre, DataCentreSpec, DataCentreStatus, namespaced: false);
tandem_kind!(SecurityProfile, SecurityProfileSpec, SecurityProfileStatus, namespaced: false);
tandem_kind!(Unit, UnitSpec, UnitStatus, namespaced: false);
tandem_kind!(Environment, EnvironmentSpec, EnvironmentStatus, namespaced: false);
tandem_kind!(FailoverGroup, FailoverGroupSpec, FailoverGroupStatus, namespaced: false);
tandem_kind!(Application, ApplicationSpec, ApplicationStatus, namespaced: true);
tandem_kind!(EnvironmentRequest, EnvironmentRequestSpec, EnvironmentRequestStatus, namespaced: false);

// An application's scope is what the macro says; a mismatch would not compile.
const _: fn() = || {
    fn namespaced<K: Resource<Scope = NamespaceResourceScope>>() {}
    namespaced::<Application>();
};
