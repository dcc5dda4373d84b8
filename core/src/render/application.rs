//! The objects of an application.

use std::collections::BTreeSet;

use tandem_crds::{AdoptedKind, Application, Environment, Kind, SecurityProfile};

use super::environment::{durable_id, labels};
use super::workload::Workload;
use super::{Facts, Manifest, RenderError, Strength, network, reach, replicas};
use crate::names;

/// How many pods an adopted workload is to have. Nothing else of it is Tandem's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedScale {
    /// The workload's kind.
    pub kind: AdoptedKind,
    /// The workload's name.
    pub name: String,
    /// `spec.replicas`.
    pub replicas: i32,
}

/// What an application stands for in a site.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedApplication {
    /// Configuration files, of components that have any.
    pub config_maps: Vec<Manifest>,
    /// One a component.
    pub deployments: Vec<Manifest>,
    /// One an endpoint.
    pub services: Vec<Manifest>,
    /// One an endpoint that has host names.
    pub ingresses: Vec<Manifest>,
    /// PodDisruptionBudgets of components that have two pods or more here.
    pub budgets: Vec<Manifest>,
    /// NetworkPolicies.
    pub policies: Vec<Manifest>,
    /// Workloads of others that are to be scaled.
    pub adopted: Vec<AdoptedScale>,
    /// Secrets, by name, that must be in the namespace; sorted, each once.
    pub secrets: Vec<String>,
}

impl RenderedApplication {
    /// Every object, in the order in which they are to be applied: what a pod needs before the pod. Adopted workloads and
    /// Secrets are not among them: neither is Tandem's to write.
    #[must_use]
    pub fn into_manifests(self) -> Vec<Manifest> {
        // Without `..`: a resource that is forgotten here does not compile.
        let Self { config_maps, deployments, services, ingresses, budgets, policies, adopted: _, secrets: _ } = self;
        [policies, config_maps, services, deployments, budgets, ingresses].into_iter().flatten().collect()
    }
}

/// Renders an application at a strength.
///
/// # Errors
/// [`RenderError::NoName`] and [`RenderError::NoId`] where the application or its environment is not published yet,
/// [`RenderError::WrongEnvironment`] where the application is in another namespace, [`RenderError::Quantity`] where a
/// component's resources can't be read.
pub fn application(
    application: &Application,
    environment: &Environment,
    profile: &SecurityProfile,
    strength: Strength,
    facts: &Facts<'_>,
) -> Result<RenderedApplication, RenderError> {
    let name = application.metadata.name.as_deref().ok_or(RenderError::NoName(Kind::Application))?;
    let namespace = environment.metadata.name.as_deref().ok_or(RenderError::NoName(Kind::Environment))?;
    if application.metadata.namespace.as_deref() != Some(namespace) {
        let of = application.metadata.namespace.as_deref().unwrap_or_default();
        return Err(RenderError::WrongEnvironment {
            application: format!("{of}/{name}"),
            environment: namespace.to_owned(),
        });
    }
    let id = durable_id(application.spec.id.as_ref(), Kind::Application, name)?;
    let labels = labels(&[
        (names::LABEL_MANAGED, "true"),
        (names::LABEL_ID, &id),
        (names::LABEL_UNIT, &environment.spec.unit),
        (names::LABEL_ENVIRONMENT, namespace),
        (names::LABEL_APPLICATION, name),
        (names::LABEL_NAME, name),
        (names::LABEL_MANAGED_BY, names::MANAGER),
    ]);
    let spec = &application.spec;
    let mut rendered = RenderedApplication {
        config_maps: Vec::new(),
        deployments: Vec::new(),
        services: Vec::new(),
        ingresses: Vec::new(),
        budgets: Vec::new(),
        policies: network::application(application, namespace, name, &labels),
        adopted: Vec::new(),
        secrets: secrets(application),
    };
    for (index, component) in spec.components.iter().flatten().enumerate() {
        let security = profile.spec.pod_security;
        let workload = Workload { component, index, namespace, application: name, labels: &labels, security };
        let count = replicas(spec.standby_class, component.replicas, strength);
        rendered.config_maps.extend(workload.config_map());
        rendered.deployments.push(workload.deployment(count)?);
        if count >= 2 {
            rendered.budgets.push(workload.disruption_budget(facts.server_minor));
        }
    }
    for endpoint in spec.endpoints.iter().flatten() {
        rendered.services.push(reach::service(application, endpoint, namespace, name, &labels));
        if !endpoint.hosts.is_empty() {
            rendered.ingresses.push(reach::ingress(endpoint, profile, namespace, name, &labels));
        }
    }
    rendered.adopted = spec
        .adopt
        .iter()
        .flatten()
        .map(|adopted| AdoptedScale {
            kind: adopted.kind,
            name: adopted.name.clone(),
            replicas: replicas(spec.standby_class, adopted.replicas, strength),
        })
        .collect();
    Ok(rendered)
}

/// The Secrets that must be there: those that pods read and those with the gateway's certificates.
fn secrets(application: &Application) -> Vec<String> {
    let components = application.spec.components.iter().flatten().flat_map(|component| &component.secrets);
    let certificates = application.spec.endpoints.iter().flatten().filter_map(|endpoint| endpoint.tls_secret.as_ref());
    let all: BTreeSet<&String> = components.chain(certificates).collect();
    all.into_iter().cloned().collect()
}
