//! The objects of an environment.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::{Value, json};
use tandem_crds::{Environment, Kind, PodSecurityLevel, SecurityProfile, Unit};

use super::{Manifest, RenderError, amounts, network, rights};
use crate::names;

/// What an environment stands for in a site.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedEnvironment {
    /// The namespace.
    pub namespace: Manifest,
    /// ResourceQuota `tandem`: the environment's share of its unit's budget.
    pub quota: Manifest,
    /// LimitRange `tandem`: what a container takes that says nothing.
    pub limits: Manifest,
    /// ServiceAccount `tandem-workload`.
    pub service_account: Manifest,
    /// NetworkPolicies: everything denied, then DNS and what the profile allows.
    pub policies: Vec<Manifest>,
    /// Roles of administrators and viewers.
    pub roles: Vec<Manifest>,
    /// Who has them; no binding where nobody does.
    pub bindings: Vec<Manifest>,
}

impl RenderedEnvironment {
    /// Every object, in the order in which they are to be applied: the namespace first, and what restricts before what
    /// allows.
    #[must_use]
    pub fn into_manifests(self) -> Vec<Manifest> {
        // Without `..`: a resource that is forgotten here does not compile.
        let Self { namespace, quota, limits, service_account, policies, roles, bindings } = self;
        let mut manifests = vec![namespace];
        manifests.extend(policies);
        manifests.extend([quota, limits, service_account]);
        manifests.extend(roles);
        manifests.extend(bindings);
        manifests
    }
}

/// The durable id, or why there is none to go by.
pub(super) fn durable_id(id: Option<&String>, kind: Kind, name: &str) -> Result<String, RenderError> {
    match id {
        Some(id) if !id.is_empty() => Ok(id.clone()),
        _ => Err(RenderError::NoId { kind, name: name.to_owned() }),
    }
}

/// Labels from pairs.
pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The labels of what belongs to an environment as a whole.
pub(crate) fn environment_labels(id: &str, unit: &str, name: &str) -> BTreeMap<String, String> {
    labels(&[
        (names::LABEL_MANAGED, "true"),
        (names::LABEL_ID, id),
        (names::LABEL_UNIT, unit),
        (names::LABEL_ENVIRONMENT, name),
        (names::LABEL_MANAGED_BY, names::MANAGER),
    ])
}

/// Renders an environment.
///
/// # Errors
/// [`RenderError::NoName`] and [`RenderError::NoId`] where environment or unit are not published yet,
/// [`RenderError::WrongUnit`] where the environment is not the unit's, [`RenderError::Quantity`] where the quota can't be
/// read.
pub fn environment(
    environment: &Environment,
    unit: &Unit,
    profile: &SecurityProfile,
) -> Result<RenderedEnvironment, RenderError> {
    let name = environment.metadata.name.as_deref().ok_or(RenderError::NoName(Kind::Environment))?;
    let unit_name = unit.metadata.name.as_deref().ok_or(RenderError::NoName(Kind::Unit))?;
    if environment.spec.unit != unit_name {
        return Err(RenderError::WrongUnit { environment: environment.name_any(), unit: unit.name_any() });
    }
    let id = durable_id(environment.spec.id.as_ref(), Kind::Environment, name)?;
    let unit_id = durable_id(unit.spec.id.as_ref(), Kind::Unit, unit_name)?;
    let common = environment_labels(&id, unit_name, name);
    let inside = |api_version: &str, kind: &str, object: &str, body: Value| {
        Manifest::new(api_version, kind, Some(name), object, &common, body)
    };
    Ok(RenderedEnvironment {
        namespace: namespace(name, &unit_id, &common, profile),
        quota: inside("v1", "ResourceQuota", names::LIMITS, quota(environment)?),
        limits: inside("v1", "LimitRange", names::LIMITS, limits()),
        service_account: inside(
            "v1",
            "ServiceAccount",
            names::SERVICE_ACCOUNT,
            json!({ "automountServiceAccountToken": false }),
        ),
        policies: network::environment(name, &common, profile),
        roles: rights::roles(name, &common),
        bindings: rights::bindings(name, &common, unit, environment),
    })
}

/// The namespace. Pod Security labels are written whatever the server's version: they do nothing before 1.23, and are
/// there when it is upgraded.
fn namespace(name: &str, unit_id: &str, common: &BTreeMap<String, String>, profile: &SecurityProfile) -> Manifest {
    let level = match profile.spec.pod_security {
        PodSecurityLevel::Baseline => "baseline",
        PodSecurityLevel::Restricted => "restricted",
    };
    let mut all = common.clone();
    all.insert(names::LABEL_UNIT_ID.to_owned(), unit_id.to_owned());
    for mode in ["enforce", "warn", "audit"] {
        all.insert(format!("pod-security.kubernetes.io/{mode}"), level.to_owned());
    }
    Manifest::new("v1", "Namespace", None, name, &all, Value::Null)
}

fn quota(environment: &Environment) -> Result<Value, RenderError> {
    let quota = &environment.spec.quota;
    let cpu = amounts::cpu("spec.quota.cpu", &quota.cpu)?;
    let memory = amounts::bytes("spec.quota.memory", &quota.memory)?;
    Ok(json!({ "spec": { "hard": {
        "limits.cpu": cpu,
        "limits.memory": memory,
        "pods": amounts::count(quota.pods),
        "requests.cpu": cpu,
        "requests.memory": memory,
        "requests.storage": amounts::bytes("spec.quota.storage", &quota.storage)?,
        // Whatever is reached from outside goes through the gateway.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    } } }))
}

/// What a container takes that says nothing: without a default, the quota would refuse its pod.
fn limits() -> Value {
    json!({ "spec": { "limits": [{
        "type": "Container",
        "default": { "cpu": "500m", "memory": "512Mi" },
        "defaultRequest": { "cpu": "100m", "memory": "128Mi" },
    }] } })
}
