//! A site that people have paused: it observes, and writes nothing (ADR 12).
//!
//! A person's word is an annotation on the site's own data centre. While it stands, a replica acts as one that does not lead its
//! site: everything that writes is held to the lead already. Its heartbeats, the lead itself, the gate and the fence go on, so
//! that nobody takes the site for lost. Before the first look a replica does not know whether it may act, and does not.

use crate::cluster::{Cluster, ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use crate::controllers::own_data_centre;
use crate::index::SiteReport;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::records::{Condition as Said, StatusRecord};
use tandem_crds::status::{ConditionValue, READY, Reason, merge};
use tandem_crds::{Kind, PAUSED, PAUSED_BY, PAUSED_CONDITION};
use tandem_logs::Chain;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// That a site is paused, in people's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// Why.
    pub reason: String,
    /// Who said so; empty where nobody is named.
    pub by: String,
}

impl Paused {
    /// What an object's annotations say; nothing where it is not paused.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Option<Self> {
        let empty = BTreeMap::new();
        let annotations = object.metadata.annotations.as_ref().unwrap_or(&empty);
        let reason = annotations.get(PAUSED)?.clone();
        Some(Self { reason, by: annotations.get(PAUSED_BY).cloned().unwrap_or_default() })
    }

    /// It in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(" by {}", self.by) };
        format!("paused{by}: {}; it observes and writes nothing until tandem resume", self.reason)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Word {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    Act,
    Wait(Paused),
}

/// Whether this replica may act for its site, as far as people let it. Cloning gives another handle to the same word.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    word: Arc<Mutex<Word>>,
}

impl Pause {
    fn lock(&self) -> MutexGuard<'_, Word> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may act.
    #[must_use]
    pub fn acts(&self) -> bool {
        *self.lock() == Word::Act
    }

    /// Whether people have paused the site.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(*self.lock(), Word::Wait(_))
    }

    /// What it lets through: what is given, where it may act.
    #[must_use]
    pub fn lets<T>(&self, lead: Option<T>) -> Option<T> {
        lead.filter(|_| self.acts())
    }

    /// Takes in what people say. Gives back whether that is news.
    pub fn take(&self, paused: Option<Paused>) -> bool {
        let word = paused.map_or(Word::Act, Word::Wait);
        let mut standing = self.lock();
        std::mem::replace(&mut *standing, word.clone()) != word
    }
}

/// Follows people's word, for ever, on every replica.
pub(crate) async fn run_pause(context: Context) {
    let name =
        ObjectName { kind: Kind::DataCentre.name().to_owned(), namespace: None, name: context.config.site.clone() };
    loop {
        if context.cluster.own.is_synced(Kind::DataCentre.name()) {
            let object = context.cluster.own.get(&name);
            let paused = object.as_deref().and_then(Paused::of);
            if context.link.pause().take(paused.clone()) {
                match &paused {
                    Some(paused) => {
                        tracing::warn!(reason = paused.reason, by = paused.by, "paused: nothing is written")
                    }
                    None => tracing::info!("not paused: what has piled up is seen to"),
                }
            }
            if let (Some(paused), Some(object)) = (paused, object) {
                show(&context, &paused, &object).await;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows once that the site is paused: here as a condition, to the other site as a report. Whoever holds the lead does; of a
/// site that is fenced nobody does, and each replica says the same.
async fn show(context: &Context, paused: &Paused, object: &DynamicObject) {
    let lead = context.link.lead();
    if (lead.is_some() || !context.link.alive())
        && let Err(error) = write(&context.cluster, paused, object, now()).await
    {
        tracing::warn!(error, "that the site is paused is not shown on its data centre yet");
    }
    if lead.is_none() {
        return;
    }
    let key = own_data_centre(&context.config.site);
    let standing = context.index.reports(&key).remove(&context.config.site);
    if let Some(record) = standing.as_ref().and_then(|standing| report(standing, paused))
        && let Err(error) = context.link.report_pause(&key, record).await
    {
        tracing::warn!(error = %Chain(&error), "the other site is not told of the pause yet");
    }
}

/// What the other site is to be told; nothing where that stands already. A site that is not ready neither begins a move nor is
/// moved to.
fn report(standing: &SiteReport, paused: &Paused) -> Option<StatusRecord> {
    let said = Said {
        kind: READY.to_owned(),
        status: "False".to_owned(),
        reason: Reason::Paused.as_str().to_owned(),
        message: paused.sentence(),
    };
    let record = StatusRecord { ready: false, conditions: vec![said], ..standing.value.clone() };
    (record != standing.value).then_some(record)
}

/// The conditions with the one that says so; nothing where they have it.
fn conditions(object: &DynamicObject, paused: &Paused, now: Timestamp) -> Result<Option<Vec<Condition>>, String> {
    let standing = object.data.pointer("/status/conditions").cloned().unwrap_or_else(|| json!([]));
    let standing: Vec<Condition> = serde_json::from_value(standing).map_err(|error| error.to_string())?;
    let message = paused.sentence();
    if standing.iter().any(|c| c.type_ == PAUSED_CONDITION && c.status == "True" && c.message == message) {
        return Ok(None);
    }
    let wanted = ConditionValue { kind: PAUSED_CONDITION, holds: true, reason: Reason::Paused, message };
    Ok(Some(merge(&standing, &[wanted], object.metadata.generation.unwrap_or(0), now)))
}

/// The one write to the cluster of a site that is paused.
async fn write(cluster: &Cluster, paused: &Paused, object: &DynamicObject, now: Timestamp) -> Result<(), String> {
    let Some(conditions) = conditions(object, paused, now)? else { return Ok(()) };
    let patch = json!({
        "metadata": {"resourceVersion": object.metadata.resource_version}, "status": {"conditions": conditions},
    });
    let api = cluster.api(&Cluster::own_resource(Kind::DataCentre), None);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let parameters = PatchParams { field_manager: Some("tandem/pause".to_owned()), ..PatchParams::default() };
    cluster.metrics.writes.with_label_values(&["status"]).inc();
    match tokio::time::timeout(REQUEST_TIMEOUT, api.patch_status(name, &parameters, &Patch::Merge(&patch))).await {
        Ok(Ok(written)) => {
            cluster.own.take_in(Kind::DataCentre.name(), written);
            Ok(())
        }
        // Somebody was quicker; the next look sees what stands.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        Ok(Err(error)) => Err(Chain(&error).to_string()),
        Err(_) => Err("the API server took too long".to_owned()),
    }
}

#[allow(clippy::disallowed_methods)] // an edge: the time goes into a condition for people to read
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ApplyError, quota, reference};
    use crate::metrics::Metrics;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use kube::runtime::events::EventType;
    use serde_json::Value;
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use tandem_core::render::AdoptedScale;
    use tandem_core::sync::Versioned;
    use tandem_crds::AdoptedKind;

    type Sent = Arc<Mutex<Vec<(String, Value)>>>;

    /// A cluster that may write while people let it, and all that was sent to its API server.
    fn cluster(pause: &Pause) -> (Cluster, Sent) {
        let sent = Sent::default();
        let log = Arc::clone(&sent);
        let service = tower::service_fn(move |request: Request<Body>| {
            let log = Arc::clone(&log);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let asked = format!("{} {}", head.method, head.uri.path());
                let mut answer = data_centre(true).unwrap();
                answer["status"]["conditions"] = body["status"]["conditions"].clone();
                log.lock().unwrap().push((asked, body));
                Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&answer).unwrap())))
            }
        });
        let (client, may) = (Client::new(service, "default"), pause.clone());
        let guard: crate::cluster::Guard = Arc::new(move || may.acts());
        (Cluster::new("dc-a", "a-0", client, 20, guard, Metrics::new().unwrap()), sent)
    }

    fn data_centre(paused: bool) -> Option<Value> {
        let annotations = if paused { json!({PAUSED: "network works", PAUSED_BY: "wang"}) } else { json!({}) };
        let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "in order",
                           "lastTransitionTime": "2030-01-01T00:00:00Z"});
        Some(json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "DataCentre",
            "metadata": {"name": "dc-a", "generation": 3, "resourceVersion": "7", "annotations": annotations},
            "status": {"conditions": [ready]}
        }))
    }

    fn object(value: Option<Value>) -> DynamicObject {
        serde_json::from_value(value.unwrap()).unwrap()
    }

    fn word() -> Paused {
        Paused { reason: "network works".to_owned(), by: "wang".to_owned() }
    }

    #[test]
    fn a_replica_acts_only_once_it_knows_that_it_may() {
        let pause = Pause::default();
        assert!(!pause.acts() && !pause.is_on(), "nobody has looked");
        assert_eq!(pause.lets(Some(7)), None);
        assert!(pause.take(None) && pause.acts());
        assert_eq!(pause.lets(Some(7)), Some(7));
        assert!(pause.take(Some(word())) && !pause.acts() && pause.is_on());
        assert!(!pause.take(Some(word())), "no news");
        assert_eq!(pause.lets(Some(7)), None, "the lead is held and lets nobody act");
        assert!(pause.take(None) && pause.acts());
    }

    #[test]
    fn the_word_is_the_annotation() {
        assert_eq!(Paused::of(&object(data_centre(true))), Some(word()));
        assert_eq!(Paused::of(&object(data_centre(false))), None);
        assert!(word().sentence().starts_with("paused by wang: network works"));
    }

    #[tokio::test]
    async fn a_paused_site_writes_that_it_is_and_nothing_else() {
        let pause = Pause::default();
        pause.take(Some(word()));
        let (cluster, sent) = cluster(&pause);
        // Everything that writes to the cluster, of what Tandem renders and of what it tells.
        let quota = quota();
        let refused = cluster.apply("tandem/environment", "e", &quota).await;
        assert!(matches!(refused, Err(ApplyError::NotLeader)), "{refused:?}");
        let made: DynamicObject = serde_json::from_value(quota.value().clone()).unwrap();
        cluster.rendered.put("ResourceQuota", made);
        assert!(cluster.prune("e", &BTreeSet::new()).await.is_err(), "nothing is deleted");
        let namespace: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "kube-system"}})).unwrap();
        let name = ObjectName { kind: "Namespace".to_owned(), namespace: None, name: "kube-system".to_owned() };
        assert!(cluster.label(&name, &namespace, "tandem.dev/role", "dns").await.is_err());
        let workload = json!({"metadata": {"name": "web", "namespace": "health-prod"}, "spec": {"replicas": 3}});
        cluster.rendered.put("Deployment", serde_json::from_value(workload).unwrap());
        let adopted = AdoptedScale { kind: AdoptedKind::Deployment, name: "web".to_owned(), replicas: 0 };
        assert!(cluster.scale("health-prod", &adopted).await.is_err(), "nothing is scaled");
        let own = object(data_centre(true));
        let about = reference(&own, &Cluster::own_resource(Kind::DataCentre));
        cluster.tell(about, EventType::Warning, "DriftPutBack", "nothing is told".to_owned()).await;
        assert_eq!(*sent.lock().unwrap(), [], "not a single request");

        write(&cluster, &word(), &own, Timestamp::UNIX_EPOCH).await.unwrap();
        let first = sent.lock().unwrap().clone();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].0, "PATCH /apis/tandem.dev/v1alpha1/datacentres/dc-a/status");
        let written = first[0].1["status"]["conditions"].as_array().unwrap().clone();
        assert_eq!(written.iter().map(|c| c["type"].as_str().unwrap()).collect::<Vec<_>>(), ["Paused", "Ready"]);
        assert!(written[0]["status"] == "True" && written[0]["message"] == word().sentence());
        // It is said once.
        let mut shown = data_centre(true).unwrap();
        shown["status"]["conditions"] = json!(written);
        write(&cluster, &word(), &object(Some(shown)), Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(sent.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_other_site_is_told_once_and_takes_it_for_not_ready() {
        let standing = StatusRecord {
            id: "i".to_owned(),
            spec_revision: 5,
            ready: true,
            conditions: Vec::new(),
            detail: json!({"site": {"leader": "operator-0"}}),
        };
        let told = report(&Versioned::new(9, standing.clone()), &word()).unwrap();
        assert!(!told.ready && told.conditions[0].reason == "Paused");
        assert_eq!((told.spec_revision, &told.detail), (5, &standing.detail), "what it said otherwise stays");
        assert_eq!(report(&Versioned::new(10, told), &word()), None, "told already");
    }
}
