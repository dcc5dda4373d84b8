//! Objects as the API shows them: what people wanted and what became of it, without what only Kubernetes needs.
//!
//! The types of `spec` and `status` are the resources' own, so that one description holds for `kubectl explain` and here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tandem_core::requests::content_digest;
use tandem_crds::{
    Application, ApplicationSpec, ApplicationStatus, DataCentre, DataCentreSpec, DataCentreStatus, Environment,
    EnvironmentRequest, EnvironmentRequestSpec, EnvironmentRequestStatus, EnvironmentSpec, EnvironmentStatus, Failover,
    FailoverGroup, FailoverGroupSpec, FailoverGroupStatus, FailoverSpec, FailoverStatus, SecurityProfile,
    SecurityProfileSpec, SecurityProfileStatus, Unit, UnitSpec, UnitStatus,
};
use utoipa::openapi::schema::{Ref, Schema};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

/// Says by which name the OpenAPI document has a type; [`crate::openapi`] puts the schema there.
macro_rules! named_schema {
    ($($type:ty => $name:literal),* $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                Ref::from_schema_name($name).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

/// What an object's life is like, apart from what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// The name.
    pub name: String,
    /// The environment that it is in, for what is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How often what is wanted has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The version at this site; changes with every write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// When it was made at this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Since when it is to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
}

impl Life {
    fn of(metadata: &kube::core::ObjectMeta) -> Self {
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            environment: metadata.namespace.clone(),
            generation: metadata.generation,
            resource_version: metadata.resource_version.clone(),
            created_at: metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()),
            deleted_at: metadata.deletion_timestamp.as_ref().map(|time| time.0.to_string()),
        }
    }
}

macro_rules! list {
    ($($item:ident, $list:ident, $what:literal;)*) => {$(
        #[doc = concat!("A page of a list: ", $what, ".")]
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $list {
            /// The objects, by name.
            pub items: Vec<$item>,
            /// What to give as `continue` for the next page; absent on the last one.
            #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
            pub next: Option<String>,
        }

        impl From<(Vec<$item>, Option<String>)> for $list {
            fn from((items, next): (Vec<$item>, Option<String>)) -> Self {
                Self { items, next }
            }
        }
    )*};
}

macro_rules! views {
    ($($kind:ident, $item:ident, $list:ident, $spec:ident, $status:ident, $schema:literal, $what:literal;)*) => {$(
        #[doc = concat!($what, ".")]
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[schemars(rename = $schema)]
        pub struct $item {
            /// Name, version and times.
            #[serde(flatten)]
            pub life: Life,
            /// What is wanted.
            pub spec: $spec,
            /// What became of it, as far as is known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub status: Option<$status>,
        }

        impl From<&$kind> for $item {
            fn from(object: &$kind) -> Self {
                Self { life: Life::of(&object.metadata), spec: object.spec.clone(), status: object.status.clone() }
            }
        }

        list! { $item, $list, $what; }
    )*};
}

views! {
    Unit, UnitItem, UnitList, UnitSpec, UnitStatus, "Unit", "An agency";
    Environment, EnvironmentItem, EnvironmentList, EnvironmentSpec, EnvironmentStatus, "Environment",
        "One namespace of a unit, the same in both sites";
    Application, ApplicationItem, ApplicationList, ApplicationSpec, ApplicationStatus, "Application",
        "A hosted application system in an environment";
    DataCentre, DataCentreItem, DataCentreList, DataCentreSpec, DataCentreStatus, "DataCentre", "A site";
    FailoverGroup, FailoverGroupItem, FailoverGroupList, FailoverGroupSpec, FailoverGroupStatus, "FailoverGroup",
        "Applications that move together";
    Failover, FailoverItem, FailoverList, FailoverSpec, FailoverStatus, "Failover",
        "A request to move groups, and what became of it";
    SecurityProfile, SecurityProfileItem, SecurityProfileList, SecurityProfileSpec, SecurityProfileStatus,
        "SecurityProfile", "What an environment may do";
}

/// What an agency asks for, who decided, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "EnvironmentRequest")]
pub struct EnvironmentRequestItem {
    /// Name, version and times.
    #[serde(flatten)]
    pub life: Life,
    /// SHA-256 of what is asked for. Whoever decides names it, so that nobody decides on what they have not read.
    pub digest: String,
    /// What is wanted.
    pub spec: EnvironmentRequestSpec,
    /// What became of it, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<EnvironmentRequestStatus>,
}

impl From<&EnvironmentRequest> for EnvironmentRequestItem {
    fn from(object: &EnvironmentRequest) -> Self {
        Self {
            life: Life::of(&object.metadata),
            digest: content_digest(&object.spec),
            spec: object.spec.clone(),
            status: object.status.clone(),
        }
    }
}

list! {
    EnvironmentRequestItem, EnvironmentRequestList, "What an agency asks for, who decided, and what became of it";
}

named_schema! {
    UnitItem => "Unit",
    UnitList => "UnitList",
    EnvironmentItem => "Environment",
    EnvironmentList => "EnvironmentList",
    EnvironmentRequestItem => "EnvironmentRequest",
    EnvironmentRequestList => "EnvironmentRequestList",
    ApplicationItem => "Application",
    ApplicationList => "ApplicationList",
    DataCentreItem => "DataCentre",
    DataCentreList => "DataCentreList",
    FailoverGroupItem => "FailoverGroup",
    FailoverGroupList => "FailoverGroupList",
    FailoverItem => "Failover",
    FailoverList => "FailoverList",
    SecurityProfileItem => "SecurityProfile",
    SecurityProfileList => "SecurityProfileList",
    crate::identity::Principal => "Me",
    crate::routes::units::UnitChange => "UnitChange",
    crate::routes::applications::ApplicationChange => "ApplicationChange",
    crate::routes::data_centres::DataCentreChange => "DataCentreChange",
    crate::routes::failover_groups::FailoverGroupChange => "FailoverGroupChange",
    crate::routes::security_profiles::SecurityProfileChange => "SecurityProfileChange",
    crate::routes::findings::FindingList => "FindingList",
    crate::routes::policies::Policies => "PoliciesAnswer",
    crate::routes::failovers::report::ReportItem => "FailoverReportAnswer",
    crate::routes::audit::AuditPage => "AuditPage",
    crate::routes::audit::AuditProof => "AuditProof",
    crate::routes::audit::AuditSegments => "AuditSegments",
    crate::routes::requests::create::NewRequest => "NewRequest",
    crate::routes::requests::change::NewDecision => "NewDecision",
    crate::routes::requests::change::NewWord => "NewWord",
    crate::routes::failovers::plan::NewPlan => "NewPlan",
    crate::routes::failovers::plan::PlanItem => "FailoverPlan",
    crate::routes::failovers::create::NewFailover => "NewFailover",
    crate::routes::failovers::change::NewWish => "NewWish",
}
