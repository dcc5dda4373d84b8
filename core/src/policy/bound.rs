//! What of an object binds, as a version has it: see [`binding`](super::binding). Read from what is published now and from what
//! was, so that a rule is rendered in one way only.

use serde::Deserialize;
use tandem_crds::{Access, Budget, Endpoint, EnvironmentMember, Quota};

/// What of a unit binds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnitBound {
    #[serde(default)]
    pub(super) administrators: Vec<String>,
    #[serde(default)]
    pub(super) viewers: Vec<String>,
    pub(super) budget: Budget,
    pub(super) security_profile: String,
    #[serde(default)]
    pub(super) suspended: bool,
    #[serde(default)]
    pub(super) deletion_protection: bool,
}

/// What of an environment binds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentBound {
    pub(super) unit: String,
    pub(super) quota: Quota,
    pub(super) security_profile: Option<String>,
    #[serde(default)]
    pub(super) members: Vec<EnvironmentMember>,
    pub(super) expires_at: Option<String>,
    pub(super) delete_after: Option<String>,
    #[serde(default)]
    pub(super) deletion_protection: bool,
}

/// What of an application binds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplicationBound {
    pub(super) access: Option<Access>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) mlps_level: Option<i64>,
}
