//! The clones of a drill: a group's applications once more at active strength, under other names, so that nothing of production
//! knows of them and they know of nothing of production's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_crds::{Application, Component, Endpoint, Environment, SecurityProfile};

use super::environment::labels;
use super::workload::Workload;
use super::{Facts, Manifest, RenderError, Strength, network, reach, replicas};
use crate::ledger::Amounts;
use crate::names;

/// An application that is rehearsed, and what it is rendered with.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsed<'a> {
    /// The application.
    pub application: &'a Application,
    /// Its environment.
    pub environment: &'a Environment,
    /// The environment's profile.
    pub profile: &'a SecurityProfile,
}

/// The clone of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentClone {
    /// The environment.
    pub environment: String,
    /// The application.
    pub application: String,
    /// The component.
    pub component: String,
    /// How many pods it is to have.
    pub wanted: i32,
    /// The Deployment.
    pub deployment: Manifest,
}

/// What a drill of one group stands for in a site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clones {
    /// What there has to be before a clone starts: NetworkPolicies first, then configuration, then Services.
    pub before: Vec<Manifest>,
    /// The Services among it, by environment and name of what they stand for: their own names.
    pub services: BTreeMap<(String, String), String>,
    /// The clones.
    pub clones: Vec<ComponentClone>,
    /// What the clones take, by environment.
    pub amounts: BTreeMap<String, Amounts>,
    /// Secrets, by environment and name, that the clones read.
    pub secrets: BTreeSet<(String, String)>,
    /// Workloads that are not rehearsed since they are not Tandem's: `environment/name`, sorted.
    pub adopted: BTreeSet<String>,
    /// Endpoints whose Services would send production's traffic to a clone: `environment/service`, sorted. None may be.
    pub selected: BTreeSet<String>,
}

/// Renders the clones of a group's applications.
///
/// `addresses` has the cluster addresses of the Services that clones reach each other by, under the environment and name of
/// what each stands for: the clones find them under production's names. Services are rendered whatever is in it.
///
/// # Errors
/// As [`application`](super::application) has them.
pub fn clones(
    drill: &str,
    group: &str,
    rehearsed: &[Rehearsed<'_>],
    addresses: &BTreeMap<(String, String), String>,
    facts: &Facts<'_>,
) -> Result<Clones, RenderError> {
    let mut all = Clones::default();
    let mut services = Vec::new();
    let mut config = Vec::new();
    for Rehearsed { application, environment, profile } in rehearsed {
        let production = super::application(application, environment, profile, Strength::Active, facts)?;
        let name = application.metadata.name.as_deref().unwrap_or_default();
        let namespace = environment.metadata.name.as_deref().unwrap_or_default();
        let common = drill_labels(drill, group, environment);
        all.adopted.extend(production.adopted.iter().map(|adopted| format!("{namespace}/{}", adopted.name)));
        let components: Vec<&Component> = application.spec.components.iter().flatten().collect();
        if components.is_empty() {
            continue;
        }
        if !all.amounts.contains_key(namespace) {
            all.before.push(network::drill(namespace, drill, &common));
        }
        for map in &production.config_maps {
            let body = json!({ "data": map.value()["data"] });
            let object = names::clone_of(drill, map.name());
            config.push(Manifest::new("v1", "ConfigMap", Some(namespace), &object, &common, body));
        }
        for endpoint in application.spec.endpoints.iter().flatten() {
            let Some(component) = &endpoint.component else { continue };
            let stands_for = names::service(name, &endpoint.name);
            let object = names::clone_of(drill, &stands_for);
            let body = service(application, endpoint, namespace, name, &pod_labels(drill, name, component));
            services.push(Manifest::new("v1", "Service", Some(namespace), &object, &common, body));
            all.services.insert((namespace.to_owned(), stands_for), object);
        }
        let taken = all.amounts.entry(namespace.to_owned()).or_default();
        for (index, component) in components.into_iter().enumerate() {
            let security = profile.spec.pod_security;
            let workload = Workload { component, index, namespace, application: name, labels: &common, security };
            let wanted = replicas(application.spec.standby_class, component.replicas, Strength::Active);
            let pods = pod_labels(drill, name, &component.name);
            let deployment = deployment(&workload.deployment(wanted)?, drill, &common, &pods, namespace, addresses);
            *taken = taken.saturating_add(&amounts(component, wanted));
            all.secrets.extend(component.secrets.iter().map(|secret| (namespace.to_owned(), secret.clone())));
            all.clones.push(ComponentClone {
                environment: namespace.to_owned(),
                application: name.to_owned(),
                component: component.name.clone(),
                wanted,
                deployment,
            });
        }
    }
    // An agency chooses the labels that its adopted pods are selected by; they must not be a clone's.
    for Rehearsed { application, environment, .. } in rehearsed {
        let namespace = environment.metadata.name.as_deref().unwrap_or_default();
        let name = application.metadata.name.as_deref().unwrap_or_default();
        let adopted = application.spec.endpoints.iter().flatten().filter(|endpoint| endpoint.component.is_none());
        for endpoint in adopted {
            let taken = all.clones.iter().any(|clone| {
                clone.environment == namespace
                    && selects(&endpoint.selector, &pod_labels(drill, &clone.application, &clone.component))
            });
            if taken {
                all.selected.insert(format!("{namespace}/{}", names::service(name, &endpoint.name)));
            }
        }
    }
    all.before.extend(config);
    all.before.extend(services);
    Ok(all)
}

/// Whether a Service with this selector sends traffic to pods with these labels. One without a selector sends none to anybody.
#[must_use]
pub fn selects(selector: &BTreeMap<String, String>, pods: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(label, value)| pods.get(label) == Some(value))
}

/// The labels of what a drill makes, but for its pods. None of it is of the application by its label.
fn drill_labels(drill: &str, group: &str, environment: &Environment) -> BTreeMap<String, String> {
    let namespace = environment.metadata.name.as_deref().unwrap_or_default();
    labels(&[
        (names::LABEL_MANAGED, "true"),
        (names::LABEL_ID, &names::drill_owner(drill)),
        (names::LABEL_UNIT, &environment.spec.unit),
        (names::LABEL_ENVIRONMENT, namespace),
        (names::LABEL_DRILL, drill),
        (names::LABEL_DRILL_GROUP, group),
        (names::LABEL_MANAGED_BY, names::MANAGER),
    ])
}

/// All labels of a clone's pods: nothing that production's Services, policies and budgets select by.
fn pod_labels(drill: &str, application: &str, component: &str) -> BTreeMap<String, String> {
    labels(&[
        (names::LABEL_DRILL, drill),
        (names::LABEL_DRILL_APPLICATION, application),
        (names::LABEL_DRILL_COMPONENT, component),
    ])
}

fn service(
    application: &Application,
    endpoint: &Endpoint,
    namespace: &str,
    name: &str,
    pods: &BTreeMap<String, String>,
) -> Value {
    let production = reach::service(application, endpoint, namespace, name, &BTreeMap::new());
    let mut spec = production.value()["spec"].clone();
    spec["selector"] = json!(pods);
    json!({ "spec": spec })
}

/// The Deployment of a component made into a clone's: all that production has, but for names, labels, and how others are found.
fn deployment(
    production: &Manifest,
    drill: &str,
    labels: &BTreeMap<String, String>,
    pods: &BTreeMap<String, String>,
    namespace: &str,
    addresses: &BTreeMap<(String, String), String>,
) -> Manifest {
    let mut spec = production.value()["spec"].clone();
    spec["selector"] = json!({ "matchLabels": pods });
    let template = &mut spec["template"];
    template["metadata"]["labels"] = json!(pods);
    let pod = &mut template["spec"];
    for volume in pod["volumes"].as_array_mut().into_iter().flatten() {
        if let Some(of) = volume.pointer_mut("/configMap/name") {
            let own = names::clone_of(drill, of.as_str().unwrap_or_default());
            *of = json!(own);
        }
    }
    // Nobody waits for an answer of theirs, and a real move waits for them to be gone.
    pod["terminationGracePeriodSeconds"] = json!(1);
    if !addresses.is_empty() {
        pod["hostAliases"] = host_aliases(namespace, addresses);
        for container in pod["containers"].as_array_mut().into_iter().flatten() {
            set_service_hosts(container, namespace, addresses);
        }
    }
    let object = names::clone_of(drill, production.name());
    Manifest::new("apps/v1", "Deployment", Some(namespace), &object, labels, json!({ "spec": spec }))
}

/// Production's names of the Services lead to those of the clones.
fn host_aliases(namespace: &str, addresses: &BTreeMap<(String, String), String>) -> Value {
    let alias = |((space, name), address): (&(String, String), &String)| {
        let full = ["svc.cluster.local", "svc"].map(|end| format!("{name}.{space}.{end}"));
        let short = (space == namespace).then(|| name.clone());
        let hostnames: Vec<String> = full.into_iter().chain([format!("{name}.{space}")]).chain(short).collect();
        json!({ "ip": address, "hostnames": hostnames })
    };
    addresses.iter().map(alias).collect()
}

/// The variables by which a pod is told of the Services of its namespace name the clones' instead, unless the component sets
/// them itself.
fn set_service_hosts(container: &mut Value, namespace: &str, addresses: &BTreeMap<(String, String), String>) {
    let mut env = container["env"].as_array().cloned().unwrap_or_default();
    for ((_, name), address) in addresses.iter().filter(|((space, _), _)| space == namespace) {
        let variable = format!("{}_SERVICE_HOST", name.to_uppercase().replace(['-', '.'], "_"));
        if !env.iter().any(|known| known["name"] == variable.as_str()) {
            env.push(json!({ "name": variable, "value": address }));
        }
    }
    if !env.is_empty() {
        container["env"] = Value::Array(env);
    }
}

fn amounts(component: &Component, pods: i32) -> Amounts {
    let pods = u64::try_from(pods).unwrap_or(0);
    let millis = component.resources.cpu.millis().ok().and_then(|m| u64::try_from(m).ok()).unwrap_or(0);
    let bytes = component.resources.memory.units().ok().and_then(|m| u64::try_from(m).ok()).unwrap_or(0);
    Amounts {
        cpu_millis: millis.saturating_mul(pods),
        memory_bytes: bytes.saturating_mul(pods),
        pods,
        ..Amounts::default()
    }
}
