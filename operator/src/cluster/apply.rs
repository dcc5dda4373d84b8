//! Writing what was rendered: only where something differs, only what is ours, and only while this replica leads.

use super::{Cluster, ObjectName, PutBack, REQUEST_TIMEOUT, reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::runtime::events::EventType;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tandem_core::drift;
use tandem_core::findings::Drift;
use tandem_core::names::{ANNOTATION_RENDERED, LABEL_ID};
use tandem_core::render::{AdoptedScale, Manifest};

/// The field manager that brings adopted workloads to strength.
const SCALES: &str = "tandem/scale";

/// What applying an object came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was as it should be; nothing was sent.
    Unchanged,
    /// It was made or changed.
    Changed,
    /// Somebody else had changed it; it was put back.
    Mended,
}

/// Why an object was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// This replica does not lead the site (any more).
    #[error("this replica does not lead its site")]
    NotLeader,
    /// An object of that name belongs to somebody else.
    #[error("{object} exists and is not Tandem's: it bears {bears}; remove it or choose another name")]
    NotOurs {
        /// Which object.
        object: ObjectName,
        /// What it bears instead of the owner's id.
        bears: String,
    },
    /// The object is on its way out; it is made again when it is gone.
    #[error("{object} is being deleted")]
    Terminating {
        /// Which object.
        object: ObjectName,
    },
    /// A workload to be adopted is not there.
    #[error("{object} is not there")]
    Missing {
        /// Which object.
        object: ObjectName,
    },
    /// The API server does not accept it, and would not the next time.
    #[error("the API server refuses {object}: {message}")]
    Refused {
        /// Which object.
        object: ObjectName,
        /// The API server's words.
        message: String,
    },
    /// The API server could not be asked, or was busy.
    #[error("the API server did not take {object}")]
    Unavailable {
        /// Which object.
        object: ObjectName,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The API server took longer than any write may take.
    #[error("the API server took longer than {} s for {object}", REQUEST_TIMEOUT.as_secs())]
    TooSlow {
        /// Which object.
        object: ObjectName,
    },
}

impl ApplyError {
    /// Whether trying again soon could help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotLeader | Self::Terminating { .. } | Self::Unavailable { .. } | Self::TooSlow { .. } => true,
            Self::NotOurs { .. } | Self::Missing { .. } | Self::Refused { .. } => false,
        }
    }
}

/// Sorts an API server's answer into what may pass and what will not.
fn classify(object: ObjectName, error: kube::Error) -> ApplyError {
    match &error {
        // 1.20 answers 500 to a field that it does not know; it will the next time too.
        kube::Error::Api(status)
            if status.code == 500 && status.message.contains("field not declared in schema")
                || matches!(status.code, 400 | 403 | 405 | 413 | 415 | 422) =>
        {
            ApplyError::Refused { object, message: status.message.clone() }
        }
        _ => ApplyError::Unavailable { object, source: Box::new(error) },
    }
}

fn resource_of(manifest: &Manifest, cluster: &Cluster) -> ApiResource {
    cluster.resource(manifest.kind()).unwrap_or_else(|| {
        let (group, version) = manifest.api_version().split_once('/').unwrap_or(("", manifest.api_version()));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, manifest.kind()))
    })
}

fn name_of(manifest: &Manifest) -> ObjectName {
    ObjectName {
        kind: manifest.kind().to_owned(),
        namespace: manifest.namespace().map(str::to_owned),
        name: manifest.name().to_owned(),
    }
}

impl Cluster {
    /// Makes an object as the manifest says, for the owner with the durable id `id`, under the field manager `manager`.
    ///
    /// Nothing is sent where the object is as it should be. An object that does not bear the id is never touched.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply(&self, manager: &str, id: &str, manifest: &Manifest) -> Result<Applied, ApplyError> {
        let name = name_of(manifest);
        let resource = resource_of(manifest, self);
        let api = self.api(&resource, manifest.namespace());
        let observed = self.rendered.get(&name);
        let mut drifted = Vec::new();
        if observed.is_none() && self.upheld.was(&name, manifest.hash()) {
            drifted.push("it was deleted".to_owned());
        }
        if let Some(observed) = &observed {
            check_owner(&name, observed, id)?;
            if observed.metadata.deletion_timestamp.is_some() {
                return Err(ApplyError::Terminating { object: name });
            }
            let annotations = observed.metadata.annotations.as_ref();
            let rendered = annotations.and_then(|a| a.get(ANNOTATION_RENDERED)).map(String::as_str);
            let value = serde_json::to_value(&**observed).unwrap_or_default();
            let covered = drift::covers(manifest.value(), &value);
            if covered && rendered == Some(manifest.hash()) {
                self.upheld.set(&name, manifest.hash());
                return Ok(Applied::Unchanged);
            }
            if !covered && rendered == Some(manifest.hash()) {
                drifted = drift::differences(manifest.value(), &value);
            }
        }
        self.may_write()?;
        self.metrics.writes.with_label_values(&["apply"]).inc();
        let parameters = PatchParams::apply(manager).force();
        let patch = Patch::Apply(manifest.value());
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, api.patch(manifest.name(), &parameters, &patch));
        match sent.await {
            Ok(Ok(made)) => {
                // What is new counts once the watch has shown it: until then it is missing, and nobody has deleted it.
                match &observed {
                    Some(_) => self.upheld.set(&name, manifest.hash()),
                    None => self.upheld.forget(&name),
                }
                let about = reference(&made, &resource);
                self.rendered.take_in(&name.kind, made);
                if drifted.is_empty() {
                    return Ok(Applied::Changed);
                }
                self.tell_of_drift(&name, observed.as_deref(), about, &drifted).await;
                Ok(Applied::Mended)
            }
            Ok(Err(error)) => Err(classify(name, error)),
            Err(_) => Err(ApplyError::TooSlow { object: name }),
        }
    }

    /// Tells of an object that was put back; `observed` is what was found of it before.
    async fn tell_of_drift(
        &self,
        name: &ObjectName,
        observed: Option<&DynamicObject>,
        about: ObjectReference,
        drifted: &[String],
    ) {
        #[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read
        let put_back = PutBack::new(name, observed, drifted, Timestamp::now());
        tracing::info!(object = %name, by = put_back.drift.by, fields = drifted.join(", "), "drift put back");
        if let Some(untold) = self.untold.add(put_back) {
            self.never_told(&untold);
        }
        let note = format!("changed by somebody else and put back: {}", drifted.join(", "));
        self.tell(about, EventType::Warning, "DriftPutBack", note).await;
    }

    /// Says of something put back that it will not stand in the arbiter.
    pub(crate) fn never_told(&self, untold: &PutBack) {
        let Drift { kind, namespace, name, times, .. } = &untold.drift;
        let namespace = namespace.as_deref().unwrap_or_default();
        tracing::warn!(kind, namespace, name, times, "what was put back is not written down in the arbiter");
        self.metrics.drift_untold.inc_by(*times);
    }

    /// Puts a label on an object of somebody else's, and changes nothing else of it.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn label(
        &self,
        name: &ObjectName,
        observed: &DynamicObject,
        label: &str,
        value: &str,
    ) -> Result<(), ApplyError> {
        if observed.metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|found| found == value) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"metadata": {"labels": {label: value}}}));
        let resource = self.resource(&name.kind).ok_or_else(|| ApplyError::Missing { object: name.clone() })?;
        self.may_write()?;
        self.metrics.writes.with_label_values(&["label"]).inc();
        let api = self.api(&resource, name.namespace.as_deref());
        match tokio::time::timeout(REQUEST_TIMEOUT, api.patch(&name.name, &PatchParams::default(), &patch)).await {
            Ok(Ok(made)) => {
                self.rendered.take_in(&name.kind, made);
                Ok(())
            }
            Ok(Err(error)) => Err(classify(name.clone(), error)),
            Err(_) => Err(ApplyError::TooSlow { object: name.clone() }),
        }
    }

    /// How the API server calls a kind that Tandem renders.
    fn resource(&self, kind: &str) -> Option<ApiResource> {
        self.rendered_kinds().into_iter().find(|resource| resource.kind == kind)
    }

    /// Deletes what bears the durable id but is not among `keep`.
    ///
    /// # Errors
    /// The first refusal or failure; what came before it is deleted.
    pub async fn prune(&self, id: &str, keep: &BTreeSet<ObjectName>) -> Result<usize, ApplyError> {
        let mut deleted = 0;
        for (name, object) in self.rendered.owned_by(id) {
            if keep.contains(&name) || object.metadata.deletion_timestamp.is_some() {
                continue;
            }
            self.upheld.forget(&name);
            self.delete(&name, &object).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Deletes an object that was made under a name of its own, also where the watch has not shown it yet.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn take_away(&self, name: &ObjectName) -> Result<(), ApplyError> {
        self.upheld.forget(name);
        let unseen = DynamicObject { types: None, metadata: ObjectMeta::default(), data: serde_json::Value::Null };
        let observed = self.rendered.get(name);
        if observed.as_ref().is_some_and(|object| object.metadata.deletion_timestamp.is_some()) {
            return Ok(());
        }
        self.delete(name, observed.as_deref().unwrap_or(&unseen)).await
    }

    async fn delete(&self, name: &ObjectName, object: &DynamicObject) -> Result<(), ApplyError> {
        let Some(resource) = self.resource(&name.kind) else {
            return Ok(());
        };
        self.may_write()?;
        self.metrics.writes.with_label_values(&["delete"]).inc();
        let parameters = DeleteParams {
            // Another object that has since taken the name is not ours to delete.
            preconditions: object
                .metadata
                .uid
                .clone()
                .map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
            ..DeleteParams::background()
        };
        let api = self.api(&resource, name.namespace.as_deref());
        match tokio::time::timeout(REQUEST_TIMEOUT, api.delete(&name.name, &parameters)).await {
            Ok(Ok(_)) => {
                tracing::info!(object = %name, "deleted: no longer wanted");
                Ok(())
            }
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(()),
            Ok(Err(error)) => Err(classify(name.clone(), error)),
            Err(_) => Err(ApplyError::TooSlow { object: name.clone() }),
        }
    }

    /// Brings an adopted workload to strength, and changes nothing else of it.
    ///
    /// # Errors
    /// When the workload is not there, or see [`ApplyError`].
    pub async fn scale(&self, namespace: &str, adopted: &AdoptedScale) -> Result<Applied, ApplyError> {
        let name = ObjectName {
            kind: adopted.kind.name().to_owned(),
            namespace: Some(namespace.to_owned()),
            name: adopted.name.clone(),
        };
        let Some(observed) = self.rendered.get(&name) else { return Err(ApplyError::Missing { object: name }) };
        let replicas = observed.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
        let wanted = adopted.replicas.to_string();
        if replicas == Some(i64::from(adopted.replicas)) {
            self.upheld.set(&name, &wanted);
            return Ok(Applied::Unchanged);
        }
        let drifted = self.upheld.was(&name, &wanted);
        let Some(resource) = self.resource(&name.kind) else {
            return Err(ApplyError::Missing { object: name });
        };
        self.may_write()?;
        self.metrics.writes.with_label_values(&["scale"]).inc();
        let api = self.api(&resource, Some(namespace));
        let patch = Patch::Merge(json!({"spec": {"replicas": adopted.replicas}}));
        let parameters = PatchParams { field_manager: Some(SCALES.to_owned()), ..PatchParams::default() };
        let sent = api.patch_scale(&adopted.name, &parameters, &patch);
        match tokio::time::timeout(REQUEST_TIMEOUT, sent).await {
            Ok(Ok(_)) if drifted => {
                let about = reference(&observed, &resource);
                self.tell_of_drift(&name, Some(&observed), about, &["spec.replicas".to_owned()]).await;
                Ok(Applied::Mended)
            }
            Ok(Ok(_)) => {
                self.upheld.set(&name, &wanted);
                Ok(Applied::Changed)
            }
            Ok(Err(error)) => Err(classify(name, error)),
            Err(_) => Err(ApplyError::TooSlow { object: name }),
        }
    }
}

/// What this replica left as it should be, so that what is found otherwise later is known to be somebody else's doing.
#[derive(Clone, Debug, Default)]
pub(super) struct Upheld {
    by_name: Arc<Mutex<HashMap<ObjectName, String>>>,
}

impl Upheld {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectName, String>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, name: &ObjectName, what: &str) {
        let mut upheld = self.lock();
        if upheld.get(name).map(String::as_str) != Some(what) {
            upheld.insert(name.clone(), what.to_owned());
        }
    }

    fn was(&self, name: &ObjectName, what: &str) -> bool {
        self.lock().get(name).is_some_and(|found| found == what)
    }

    fn forget(&self, name: &ObjectName) {
        self.lock().remove(name);
    }
}

fn check_owner(name: &ObjectName, observed: &DynamicObject, id: &str) -> Result<(), ApplyError> {
    let labels = observed.metadata.labels.as_ref();
    match labels.and_then(|labels| labels.get(LABEL_ID)) {
        Some(bears) if bears == id => Ok(()),
        Some(bears) => Err(ApplyError::NotOurs { object: name.clone(), bears: format!("the id {bears}") }),
        None => Err(ApplyError::NotOurs { object: name.clone(), bears: "no id of Tandem's".to_owned() }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::Value;
    use std::convert::Infallible;
    use tandem_core::render;

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    /// A quota as an environment has it.
    pub(crate) fn quota() -> Manifest {
        let quota = json!({"cpu": "8", "memory": "8Gi", "storage": "8Gi", "pods": 20});
        let environment = json!({"metadata": {"name": "health-prod"},
                                 "spec": {"id": "e", "unit": "health", "quota": quota}});
        let unit = json!({"metadata": {"name": "health"}, "spec": {
            "id": "u", "displayName": {"zh": "卫健委"}, "level": "City", "securityProfile": "strict",
            "budget": {"cpu": "8", "memory": "8Gi", "storage": "8Gi", "pods": 20, "environments": 1}}});
        let profile = json!({"metadata": {"name": "strict"}, "spec": {
            "displayName": {"zh": "等保二级"}, "mlpsLevel": 2, "podSecurity": "Baseline", "images": {}}});
        render::environment(&read(environment), &read(unit), &read(profile)).unwrap().quota
    }

    /// A cluster whose API server takes everything as it is sent, and whose watch is late.
    fn cluster() -> Cluster {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let (head, body) = request.into_parts();
            let mut object: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap();
            if head.method == Method::PATCH {
                object["metadata"]["uid"] = json!("1");
            }
            let body = Body::from(serde_json::to_vec(&object).unwrap());
            Ok::<_, Infallible>(Response::new(body))
        });
        let leads: super::super::Guard = Arc::new(|| true);
        Cluster::new("dc-a", "a-0", Client::new(service, "default"), 20, leads, Metrics::new().unwrap())
    }

    #[tokio::test]
    async fn what_the_watch_has_not_shown_yet_was_not_deleted() {
        let (cluster, quota) = (cluster(), quota());
        let apply = || cluster.apply("tandem/environment", "e", &quota);
        for what in ["made", "made, and not seen yet"] {
            assert_eq!(apply().await.unwrap(), Applied::Changed, "{what}");
        }
        let made: DynamicObject = read(quota.value().clone());
        cluster.rendered.put("ResourceQuota", made);
        assert_eq!(apply().await.unwrap(), Applied::Unchanged);
        cluster.rendered.lose("ResourceQuota", "health-prod", "tandem");
        assert_eq!(apply().await.unwrap(), Applied::Mended, "now it was deleted");
        assert_eq!(apply().await.unwrap(), Applied::Changed, "told once");
    }
}
