//! Carrying out what was approved.

use crate::cluster::{Cluster, ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use crate::index::typed;
use crate::trace;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_core::check::World;
use tandem_core::names::ANNOTATION_TRACE;
use tandem_core::requests::{Obstacle, Outcome, Scene, demands_security, outcome};
use tandem_core::sync::{ObjectKey, Record};
use tandem_crds::{EnvironmentRequest, Kind, RequestPhase};
use tandem_logs::Chain;
use tracing::Instrument;

/// How often it is looked for something to carry out.
const LOOK: Duration = Duration::from_secs(1);
/// How long what was written is given to be published, before it is written again.
const SETTLES: Duration = Duration::from_secs(5);
/// The step of a request's trace to which belongs what it makes.
const STEP: &str = "carry-out";
/// The field manager of what a request makes.
pub(super) const MANAGER: &str = tandem_core::audit::CARRIES_OUT_MANAGER;

/// Carries out what was approved, and shows how requests stand, for ever; only while this replica leads its site.
pub async fn run_carrying_out(context: Context) {
    let mut written: BTreeMap<String, Duration> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let standing = context.link.standing();
        if !standing.leads || context.link.seen().is_none() || !context.cluster.own.is_synced("EnvironmentRequest") {
            written.clear();
            continue;
        }
        let requests = published(&context);
        for name in requests.iter().map(ResourceExt::name_any).filter(|name| !is_over(&context, name)) {
            // What the sites say of the environment changes how the request stands.
            context.queues.fold.add(key(&name));
        }
        if standing.authority != Some(true) || !context.link.open_for_writes() {
            continue;
        }
        let now = context.link.uptime();
        written.retain(|_, at| now.saturating_sub(*at) < SETTLES);
        for (name, work) in due(&context, &requests) {
            if written.contains_key(&name) {
                continue;
            }
            written.insert(name.clone(), now);
            let surroundings = trace::work_on(&context, STEP, &key(&name));
            let carried_out = async {
                if let Err(error) = carry_out(&context, &name, work).await {
                    tracing::warn!(request = name, error, "an approved request is not carried out yet");
                }
            };
            carried_out.instrument(surroundings).await;
        }
    }
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::cluster(Kind::EnvironmentRequest, name)
}

/// The requests that the arbiter holds and that are not history, in the order in which they were submitted. One that has ended
/// still counts while an environment names it: a deletion that was called off has to be lifted there.
pub(super) fn published(context: &Context) -> Vec<EnvironmentRequest> {
    let named: BTreeSet<String> = context
        .index
        .with_world(|world| world.environments.values().filter_map(|named| named.spec.request.clone()).collect());
    let keys = context.index.keys().into_iter().filter(|key| key.kind == Kind::EnvironmentRequest);
    let mut requests: Vec<EnvironmentRequest> = keys
        .filter(|key| named.contains(&key.name) || !is_over(context, &key.name))
        .filter_map(|key| match context.index.record(&key)?.value {
            Record::Live(live) => typed(&live),
            Record::Tombstone(_) => None,
        })
        .collect();
    requests.sort_by_cached_key(|request| (request.spec.submitted_at.0, request.name_any()));
    requests
}

/// Whether this site's object shows an end already.
fn is_over(context: &Context, name: &str) -> bool {
    let known = ObjectName { kind: "EnvironmentRequest".to_owned(), namespace: None, name: name.to_owned() };
    let object = context.cluster.own.get(&known);
    let phase = object.as_ref().and_then(|object| object.data.pointer("/status/phase"));
    phase.and_then(|phase| RequestPhase::deserialize(phase).ok()).is_some_and(RequestPhase::ended)
}

/// What is to be done for which request. On one environment, one request is carried out at a time.
fn due(context: &Context, requests: &[EnvironmentRequest]) -> Vec<(String, Outcome)> {
    let now = wall();
    let grace = SignedDuration::from_secs(i64::try_from(context.config.deletion_grace_seconds).unwrap_or(i64::MAX));
    context.index.with_world(|world| {
        let mut taken: BTreeSet<&str> = unfinished(requests, world).into_values().collect();
        let mut due = Vec::new();
        for request in requests {
            let name = request.name_any();
            let environment = request.spec.environment.as_str();
            let ours = world.environments.get(environment).is_some_and(|e| e.spec.request.as_ref() == Some(&name));
            if taken.contains(environment) && !ours {
                continue;
            }
            if let Ok(work) = judge(request, world, grace, now)
                && work != Outcome::Nothing
            {
                taken.insert(environment);
                due.push((name, work));
            }
        }
        due
    })
}

/// The requests whose environment names them, and that do not say yet that they were carried out.
fn unfinished<'a>(requests: &'a [EnvironmentRequest], world: &World<'_>) -> BTreeMap<String, &'a str> {
    let named = requests.iter().filter(|request| {
        let environment = world.environments.get(&request.spec.environment);
        let names = environment.and_then(|environment| environment.spec.request.as_deref());
        request.spec.carried_out.is_none() && names == request.metadata.name.as_deref()
    });
    named.map(|request| (request.name_any(), request.spec.environment.as_str())).collect()
}

/// What is to be done for one request as things stand.
pub(super) fn judge(
    request: &EnvironmentRequest,
    world: &World<'_>,
    grace: SignedDuration,
    now: Timestamp,
) -> Result<Outcome, Obstacle> {
    let environment = request.spec.environment.as_str();
    let applications: BTreeSet<String> =
        world.applications.keys().filter(|(space, _)| space == environment).map(|(_, name)| name.clone()).collect();
    let scene = Scene {
        demands_security: demands_security(&request.spec, world),
        environment: world.environments.get(environment),
        applications: &applications,
        grace,
        now,
    };
    outcome(&request.name_any(), &request.spec, scene)
}

async fn carry_out(context: &Context, name: &str, work: Outcome) -> Result<(), String> {
    match work {
        Outcome::Nothing => Ok(()),
        Outcome::Write { environment, applications } => {
            if let Some(environment) = environment {
                let key = ObjectKey::cluster(Kind::Environment, environment.name_any());
                if stands(context, &key, &environment.spec) {
                    // It is not published, and says why: writing it again changes nothing about that.
                    return Ok(());
                }
                apply(context, name, &key, json!({"spec": environment.spec})).await?;
                tracing::info!(request = name, %key, "an approved request makes or changes an environment");
            }
            for application in applications {
                let key = ObjectKey {
                    kind: Kind::Application,
                    namespace: application.namespace(),
                    name: application.name_any(),
                };
                let namespace = ObjectName {
                    kind: "Namespace".to_owned(),
                    namespace: None,
                    name: application.namespace().unwrap_or_default(),
                };
                if context.cluster.rendered.get(&namespace).is_none() {
                    // Made as soon as the environment is provisioned here.
                    continue;
                }
                if stands(context, &key, &application.spec) {
                    continue;
                }
                let labels = application.metadata.labels.clone().unwrap_or_default();
                apply(context, name, &key, json!({"metadata": {"labels": labels}, "spec": application.spec})).await?;
                tracing::info!(request = name, %key, "an approved request makes an application");
            }
            Ok(())
        }
        Outcome::Done => {
            let body = json!({"spec": {"carriedOut": Timestamp::from_second(wall().as_second()).unwrap_or_default()}});
            let api = context.cluster.api(&Cluster::own_resource(Kind::EnvironmentRequest), None);
            let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            send(context, "patch", api.patch(name, &parameters, &Patch::Merge(&body))).await?;
            tracing::info!(request = name, "an approved request was carried out");
            Ok(())
        }
        Outcome::Remove => remove(context, name).await,
    }
}

/// Deletes the environment of a request whose grace period is over: this very object, and no other of its name.
async fn remove(context: &Context, name: &str) -> Result<(), String> {
    let Some(record) = context.index.record(&key(name)) else { return Ok(()) };
    let Record::Live(live) = &record.value else { return Ok(()) };
    let Some(request) = typed::<EnvironmentRequest>(live) else { return Ok(()) };
    let environment = request.spec.environment;
    let known = ObjectName { kind: "Environment".to_owned(), namespace: None, name: environment.clone() };
    let Some(object) = context.cluster.own.get(&known) else { return Ok(()) };
    let api = context.cluster.api(&Cluster::own_resource(Kind::Environment), None);
    let preconditions = Some(Preconditions { uid: object.metadata.uid.clone(), resource_version: None });
    let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
    send(context, "delete", api.delete(&environment, &parameters)).await?;
    tracing::info!(request = name, environment, "an environment's grace period is over; it is deleted");
    Ok(())
}

/// Whether this site's object is as it shall be already.
fn stands<S: Serialize + DeserializeOwned>(context: &Context, key: &ObjectKey, wanted: &S) -> bool {
    let name =
        ObjectName { kind: key.kind.name().to_owned(), namespace: key.namespace.clone(), name: key.name.clone() };
    let held = context.cluster.own.get(&name);
    held.and_then(|object| S::deserialize(&object.data["spec"]).ok()).is_some_and(|held| same(&held, wanted))
}

/// Whether two specifications are the same but for the durable id, which Tandem mints later.
fn same<S: Serialize>(one: &S, other: &S) -> bool {
    let content = |spec: &S| {
        let mut content = json!(spec);
        if let Some(fields) = content.as_object_mut() {
            fields.remove("id");
        }
        content
    };
    content(one) == content(other)
}

/// Writes what a request makes, in the request's own trace.
async fn apply(context: &Context, request: &str, key: &ObjectKey, content: Value) -> Result<(), String> {
    let resource = Cluster::own_resource(key.kind);
    let mut object = json!({
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
    });
    if let Some(labels) = content.pointer("/metadata/labels") {
        object["metadata"]["labels"] = labels.clone();
    }
    if let Some(record) = context.index.record(&self::key(request)) {
        object["metadata"]["annotations"] = json!({ANNOTATION_TRACE: trace::here(context, STEP, &record).to_string()});
    }
    object["spec"] = content["spec"].clone();
    let api = context.cluster.api(&resource, key.namespace.as_deref());
    let parameters = PatchParams::apply(MANAGER).force();
    send(context, "apply", api.patch(&key.name, &parameters, &Patch::Apply(&object))).await
}

pub(super) async fn send<T>(
    context: &Context,
    verb: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<(), String> {
    context.cluster.may_write().map_err(|error| error.to_string())?;
    context.cluster.metrics.writes.with_label_values(&[verb]).inc();
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Chain(&error).to_string()),
        Err(_) => Err("the API server took too long".to_owned()),
    }
}

#[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read, and ends a grace period of days
pub(super) fn wall() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_crds::{Environment, EnvironmentSpec};

    fn request(name: &str, second: i64, spec: &Value) -> EnvironmentRequest {
        let mut whole = json!({
            "unit": "health", "environment": "health-prod", "reason": "a test", "requestedBy": {"name": "li"},
            "submittedAt": Timestamp::from_second(second).unwrap(),
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "EnvironmentRequest", "metadata": {"name": name}, "spec": whole,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_stands_already_is_not_written_again() {
        let spec = |more: Value| {
            let mut whole = json!({
                "unit": "health", "quota": {"cpu": "4", "memory": "1Gi", "storage": "1Gi", "pods": 2},
            });
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<EnvironmentSpec>(whole).unwrap()
        };
        let marked = json!({"request": "first", "deleteAfter": "2027-01-01T00:00:00Z"});
        // As an API server shows it: with defaults, and with the durable id.
        let held = spec(json!({"request": "first", "purpose": "Production", "id": "minted"}));
        assert!(same(&held, &spec(json!({"request": "first"}))));
        assert!(!same(&held, &spec(json!({"request": "second"}))));
        assert!(!same(&held, &spec(marked.clone())));
        assert!(!same(&spec(marked), &held), "a deletion that was called off is lifted");
    }

    #[test]
    fn a_request_that_an_environment_names_is_finished_before_the_next() {
        let environment: Environment = serde_json::from_value(json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "health-prod"},
            "spec": {"unit": "health", "quota": {"cpu": "1", "memory": "1Gi", "storage": "1Gi", "pods": 2}, "request": "first"},
        }))
        .unwrap();
        let environments = BTreeMap::from([("health-prod".to_owned(), environment)]);
        let index = crate::index::Index::default();
        index.with_world(|world| {
            let world = World { environments: &environments, ..*world };
            let quota = json!({"type": "Resize", "quota": {"cpu": "2", "memory": "1Gi", "storage": "1Gi", "pods": 2}});
            let requests = [request("first", 1, &quota), request("second", 2, &quota)];
            assert_eq!(unfinished(&requests, &world), BTreeMap::from([("first".to_owned(), "health-prod")]));
        });
    }
}
