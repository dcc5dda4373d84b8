//! This site's cluster: what is in it, and writing to it.

mod apply;
mod drift;
mod mirror;

#[cfg(test)]
pub(crate) use apply::tests::quota;
pub use apply::{Applied, ApplyError};
pub use drift::{PutBack, Untold};
pub use mirror::{Mirror, ObjectName};

use crate::metrics::Metrics;
use k8s_openapi::api::core::v1::{EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ApiResource, DynamicObject, ObjectMeta, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_logs::Chain;

/// How long any one request may take. A connection that is half open would hold a worker for ever.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Says, just before a write leaves, whether this replica may still write.
pub type Guard = Arc<dyn Fn() -> bool + Send + Sync>;

/// This site's cluster.
#[derive(Clone)]
pub struct Cluster {
    /// The site.
    pub site: String,
    /// The client for this site's API server.
    pub client: Client,
    /// The minor number of the API server's version.
    pub server_minor: u32,
    /// What is in the cluster of what Tandem renders.
    pub rendered: Arc<Mirror>,
    /// What is in the cluster of Tandem's own kinds.
    pub own: Arc<Mirror>,
    /// What is counted.
    pub metrics: Metrics,
    /// What was put back and is not written down yet.
    pub untold: Untold,
    guard: Guard,
    recorder: Recorder,
    upheld: apply::Upheld,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("site", &self.site).field("server_minor", &self.server_minor).finish()
    }
}

impl Cluster {
    /// A cluster whose mirrors are still empty.
    #[must_use]
    pub fn new(site: &str, replica: &str, client: Client, server_minor: u32, guard: Guard, metrics: Metrics) -> Self {
        let reporter = Reporter { controller: "tandem-operator".to_owned(), instance: Some(replica.to_owned()) };
        Self {
            site: site.to_owned(),
            server_minor,
            rendered: Arc::new(Mirror::default()),
            own: Arc::new(Mirror::default()),
            metrics,
            untold: Untold::default(),
            guard,
            recorder: Recorder::new(client.clone(), reporter),
            upheld: apply::Upheld::default(),
            client,
        }
    }

    /// The kinds that Tandem renders, as this API server serves them.
    #[must_use]
    pub fn rendered_kinds(&self) -> Vec<ApiResource> {
        let kind = |group: &str, version: &str, kind: &str, plural: &str| {
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
        };
        let policy = if self.server_minor >= 21 { "v1" } else { "v1beta1" };
        vec![
            kind("", "v1", "Namespace", "namespaces"),
            kind("", "v1", "ResourceQuota", "resourcequotas"),
            kind("", "v1", "LimitRange", "limitranges"),
            kind("", "v1", "ServiceAccount", "serviceaccounts"),
            kind("", "v1", "ConfigMap", "configmaps"),
            kind("", "v1", "Service", "services"),
            kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
            kind("rbac.authorization.k8s.io", "v1", "Role", "roles"),
            kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
            kind("apps", "v1", "Deployment", "deployments"),
            kind("apps", "v1", "StatefulSet", "statefulsets"),
            kind("policy", policy, "PodDisruptionBudget", "poddisruptionbudgets"),
        ]
    }

    /// The kinds that are watched: those that Tandem renders or adopts, and the nodes that all of it runs on.
    #[must_use]
    pub fn watched_kinds(&self) -> Vec<ApiResource> {
        let nodes = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Node"), "nodes");
        let mut kinds = self.rendered_kinds();
        kinds.push(nodes);
        kinds
    }

    /// Whether the first lists of everything that is watched are in.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let rendered = self.watched_kinds().iter().all(|resource| self.rendered.is_synced(&resource.kind));
        rendered && Kind::ALL.iter().all(|kind| self.own.is_synced(kind.name()))
    }

    /// How the API server calls one of Tandem's own kinds.
    #[must_use]
    pub fn own_resource(kind: Kind) -> ApiResource {
        let gvk = GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, kind.name());
        ApiResource::from_gvk_with_plural(&gvk, kind.plural())
    }

    /// The API of a kind, in a namespace or in the cluster.
    #[must_use]
    pub fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Whether this replica may write, asked just before each write.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_write(&self) -> Result<(), ApplyError> {
        if (self.guard)() { Ok(()) } else { Err(ApplyError::NotLeader) }
    }

    /// Tells people about something, as an Event beside the object. What cannot be told is logged: an Event is never worth
    /// failing for.
    pub async fn tell(&self, about: ObjectReference, type_: EventType, reason: &str, note: String) {
        if self.may_write().is_err() {
            return;
        }
        self.metrics.writes.with_label_values(&["event"]).inc();
        let note: String = note.chars().take(1_000).collect();
        let told = if about.namespace.is_some() {
            let action = "Reconcile".to_owned();
            let event = Event { type_, reason: reason.to_owned(), note: Some(note), action, secondary: None };
            tokio::time::timeout(REQUEST_TIMEOUT, self.recorder.publish(&event, &about)).await
        } else {
            tokio::time::timeout(REQUEST_TIMEOUT, self.tell_of_cluster(about, type_, reason, note)).await
        };
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %Chain(&error), reason, "an event could not be written"),
            Err(_) => tracing::warn!(reason, "an event could not be written in time"),
        }
    }

    /// An Event about an object without a namespace. The recorder writes those of `events.k8s.io`, which an API server
    /// before 1.22 takes in `kube-system` only; those of the core group it takes in `default`, as every later one does.
    async fn tell_of_cluster(
        &self,
        about: ObjectReference,
        type_: EventType,
        reason: &str,
        note: String,
    ) -> Result<(), kube::Error> {
        let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(self.client.clone(), "default");
        #[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read
        let now = jiff::Timestamp::now();
        let name = about.name.as_deref().unwrap_or_default();
        let event = k8s_openapi::api::core::v1::Event {
            metadata: ObjectMeta { name: Some(format!("{name}.{:x}", now.as_nanosecond())), ..ObjectMeta::default() },
            involved_object: about,
            reason: Some(reason.to_owned()),
            message: Some(note),
            type_: Some(match type_ {
                EventType::Normal => "Normal".to_owned(),
                EventType::Warning => "Warning".to_owned(),
            }),
            source: Some(EventSource { component: Some("tandem-operator".to_owned()), host: Some(self.site.clone()) }),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            ..k8s_openapi::api::core::v1::Event::default()
        };
        events.create(&PostParams::default(), &event).await.map(drop)
    }
}

/// A reference to an object, for an Event about it.
#[must_use]
pub fn reference(object: &DynamicObject, resource: &ApiResource) -> ObjectReference {
    ObjectReference {
        api_version: Some(resource.api_version.clone()),
        kind: Some(resource.kind.clone()),
        name: object.metadata.name.clone(),
        namespace: object.metadata.namespace.clone(),
        uid: object.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
