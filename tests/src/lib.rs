//! What the tests on the lab share: a lab of their own, clients, waiting with a deadline, and objects to try things with.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, clippy::missing_panics_doc)]

pub mod audit;
pub mod fixtures;
pub mod gates;
pub mod hooks;
pub mod https;
mod lab;
pub mod ledger;
pub mod measured;
pub mod runner;
pub mod sites;
pub mod watching;

pub use lab::Lab;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::Value;
use std::time::{Duration, Instant};
use tandem_crds::Kind;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until `look` gives a value, and fails with what it was waiting for once `deadline` has passed.
pub async fn eventually<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain for: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The API of one of Tandem's kinds.
#[must_use]
pub fn api(client: &kube::Client, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, kind.name());
    named(client, &ApiResource::from_gvk_with_plural(&gvk, kind.plural()), namespace)
}

/// The API of moves, which are not among the kinds that sites publish.
#[must_use]
pub fn failovers(client: &kube::Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, "Failover");
    named(client, &ApiResource::from_gvk_with_plural(&gvk, "failovers"), None)
}

/// The API of a built-in kind.
#[must_use]
pub fn built_in(client: &kube::Client, group: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    named(client, &ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind)), namespace)
}

fn named(client: &kube::Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Waits for an Event about an object, for so long, and gives back its message.
pub async fn event(client: &kube::Client, reason: &str, object: &str, deadline: Duration) -> String {
    let events: Api<Event> = Api::all(client.clone());
    eventually(&format!("an Event {reason} about {object}"), deadline, || async {
        let list = events.list(&ListParams::default()).await.ok()?;
        let found = list.items.into_iter().find(|event| {
            event.reason.as_deref() == Some(reason) && event.involved_object.name.as_deref() == Some(object)
        });
        found.map(|event| event.message.unwrap_or_default())
    })
    .await
}

/// Applies an object as a person would with `kubectl apply --server-side`.
///
/// # Errors
/// What the API server answers.
pub async fn apply(client: &kube::Client, object: &Value) -> Result<DynamicObject, kube::Error> {
    let (group, version) =
        object["apiVersion"].as_str().unwrap().split_once('/').unwrap_or(("", object["apiVersion"].as_str().unwrap()));
    let gvk = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
    let resource = ApiResource::from_gvk(&gvk);
    let metadata = &object["metadata"];
    let api = named(client, &resource, metadata["namespace"].as_str());
    api.patch(metadata["name"].as_str().unwrap(), &PatchParams::apply("tester").force(), &Patch::Apply(object)).await
}

/// The status, reason and message of a condition.
#[must_use]
pub fn condition(object: &DynamicObject, kind: &str) -> Option<(bool, String, String)> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((found["status"] == "True", text("reason"), text("message")))
}

/// Whether an object is `Ready`, for the generation that it has.
#[must_use]
pub fn is_ready(object: &DynamicObject) -> bool {
    let current =
        object.data.pointer("/status/observedGeneration").and_then(Value::as_i64) == object.metadata.generation;
    current && condition(object, "Ready").is_some_and(|(holds, _, _)| holds)
}
