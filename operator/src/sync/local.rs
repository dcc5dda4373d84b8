//! This site's objects: seen as the decisions need them, and written.

use super::SyncError;
use crate::cluster::{Cluster, ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use tandem_core::names::{ANNOTATION_REVISION, ANNOTATION_SYNCED, FINALIZER};
use tandem_core::sync::{LocalView, ObjectKey, SpecRecord, spec_hash, travelling, with_id};

const MANAGER: &str = "tandem/sync";

/// An object of this site, and how to write it.
pub(super) struct Local<'a> {
    context: &'a Context,
    key: &'a ObjectKey,
    api: Api<DynamicObject>,
    /// The object as the mirror has it.
    pub(super) object: Option<Arc<DynamicObject>>,
}

impl<'a> Local<'a> {
    /// The object of that name, if there is one.
    pub(super) fn look(context: &'a Context, key: &'a ObjectKey) -> Self {
        let resource = Cluster::own_resource(key.kind);
        let name = ObjectName { kind: resource.kind.clone(), namespace: key.namespace.clone(), name: key.name.clone() };
        let api = context.cluster.api(&resource, key.namespace.as_deref());
        Self { context, key, api, object: context.cluster.own.get(&name) }
    }

    /// The object as the decisions need it.
    pub(super) fn view(&self) -> Option<LocalView> {
        self.object.as_deref().map(|object| view(self.key, object))
    }

    /// Reads the object again, past the mirror.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub(super) async fn refresh(&mut self) -> Result<(), SyncError> {
        self.object = self.timed(self.api.get_opt(&self.key.name)).await?.map(Arc::new);
        Ok(())
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T, kube::Error>> + Send) -> Result<T, SyncError> {
        match tokio::time::timeout(REQUEST_TIMEOUT, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(SyncError::Cluster { key: self.key.clone(), source }),
            Err(_) => Err(SyncError::TooSlow(self.key.clone())),
        }
    }

    fn count(&self, verb: &str) -> Result<(), SyncError> {
        self.context.cluster.may_write()?;
        self.context.cluster.metrics.writes.with_label_values(&[verb]).inc();
        Ok(())
    }

    /// Says on the object that it is in step with a record: its id, the revision, the hash of what it says, the finalizer.
    ///
    /// # Errors
    /// When the object has changed meanwhile, or the API server does not take it.
    pub(super) async fn stamp(&self, id: &str, revision: i64) -> Result<(), SyncError> {
        let Some(object) = &self.object else { return Ok(()) };
        let spec = with_id(&object.data["spec"], id);
        let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        let patch = json!({
            "metadata": {
                "resourceVersion": object.metadata.resource_version,
                "finalizers": finalizers,
                "annotations": {ANNOTATION_REVISION: revision.to_string(), ANNOTATION_SYNCED: spec_hash(&spec)},
            },
            "spec": {"id": id},
        });
        self.count("patch")?;
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let stamped = self.timed(self.api.patch(&self.key.name, &parameters, &Patch::Merge(&patch))).await?;
        self.context.cluster.own.take_in(self.key.kind.name(), stamped);
        Ok(())
    }

    /// Takes Tandem's finalizer off.
    ///
    /// # Errors
    /// When the object has changed meanwhile, or the API server does not take it.
    pub(super) async fn release(&self) -> Result<(), SyncError> {
        let Some(object) = &self.object else { return Ok(()) };
        let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        let patch = json!({
            "metadata": {"resourceVersion": object.metadata.resource_version, "finalizers": finalizers},
        });
        self.count("patch")?;
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.gone_is_fine(self.api.patch(&self.key.name, &parameters, &Patch::Merge(&patch))).await
    }

    /// Deletes exactly the object that was seen, and takes the finalizer off where that is what holds it.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub(super) async fn delete(&mut self) -> Result<(), SyncError> {
        let Some(object) = self.object.clone() else { return Ok(()) };
        if object.metadata.deletion_timestamp.is_none() {
            self.delete_softly().await?;
            self.refresh().await?;
        }
        match &self.object {
            Some(now) if now.metadata.uid == object.metadata.uid && now.metadata.deletion_timestamp.is_some() => {
                self.release().await
            }
            _ => Ok(()),
        }
    }

    /// Asks for the deletion of exactly the object that was seen; its finalizer sees to the rest.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub(super) async fn delete_softly(&self) -> Result<(), SyncError> {
        let Some(object) = &self.object else { return Ok(()) };
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: object.metadata.uid.clone(), resource_version: None }),
            ..DeleteParams::background()
        };
        self.count("delete")?;
        self.gone_is_fine(self.api.delete(&self.key.name, &parameters)).await
    }

    async fn gone_is_fine<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>> + Send,
    ) -> Result<(), SyncError> {
        match self.timed(call).await {
            Ok(_) => Ok(()),
            Err(SyncError::Cluster { source: kube::Error::Api(status), .. }) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the object from a record.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub(super) async fn create(&mut self, record: &SpecRecord, revision: i64) -> Result<(), SyncError> {
        let object = self.like(record, revision, None)?;
        self.count("create")?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let made = self.timed(self.api.create(&parameters, &object)).await?;
        self.settle(made, &record.id, revision).await
    }

    /// Makes the object say what a record says.
    ///
    /// # Errors
    /// When the object has changed meanwhile, or the API server does not take it.
    pub(super) async fn overwrite(&mut self, record: &SpecRecord, revision: i64) -> Result<(), SyncError> {
        let standing = self.object.clone();
        let object = self.like(record, revision, standing.as_deref())?;
        self.count("update")?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let made = self.timed(self.api.replace(&self.key.name, &parameters, &object)).await?;
        self.context.cluster.own.take_in(self.key.kind.name(), made.clone());
        self.settle(made, &record.id, revision).await
    }

    /// An API server with other defaults, one release older or newer, may have changed what it was given: then the hash of
    /// what it made is what later edits are told from.
    async fn settle(&mut self, made: DynamicObject, id: &str, revision: i64) -> Result<(), SyncError> {
        let differs = view(self.key, &made).synced_hash.as_deref() != Some(spec_hash(&made.data["spec"]).as_str());
        self.object = Some(Arc::new(made));
        if differs { self.stamp(id, revision).await } else { Ok(()) }
    }

    /// The object as a record has it, with what this site's object keeps for itself.
    fn like(
        &self,
        record: &SpecRecord,
        revision: i64,
        standing: Option<&DynamicObject>,
    ) -> Result<DynamicObject, SyncError> {
        let metadata = standing.map(|object| &object.metadata);
        let keep_own = |map: Option<&BTreeMap<String, String>>| -> BTreeMap<String, String> {
            let map = map.cloned().unwrap_or_default();
            let others = travelling(&map);
            map.into_iter().filter(|(key, _)| !others.contains_key(key)).collect()
        };
        let mut labels = keep_own(metadata.and_then(|m| m.labels.as_ref()));
        labels.extend(record.labels.clone());
        let mut annotations = keep_own(metadata.and_then(|m| m.annotations.as_ref()));
        annotations.extend(record.annotations.clone());
        let spec = with_id(&record.spec, &record.id);
        annotations.insert(ANNOTATION_REVISION.to_owned(), revision.to_string());
        annotations.insert(ANNOTATION_SYNCED.to_owned(), spec_hash(&spec));
        let mut finalizers = metadata.and_then(|m| m.finalizers.clone()).unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        let resource = Cluster::own_resource(self.key.kind);
        let value = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": self.key.name,
                "namespace": self.key.namespace,
                "labels": labels,
                "annotations": annotations,
                "finalizers": finalizers,
                "resourceVersion": metadata.and_then(|m| m.resource_version.clone()),
                "uid": metadata.and_then(|m| m.uid.clone()),
            },
            "spec": spec,
        });
        serde_json::from_value(value).map_err(|_| SyncError::Decode(self.key.clone()))
    }
}

/// Whether an object that was in step with an older record is still there.
#[must_use]
pub fn stands_before(context: &Context, key: &ObjectKey, revision: i64) -> bool {
    let seen = Local::look(context, key).view().and_then(|view| view.arbiter_revision);
    seen.is_some_and(|seen| seen < revision)
}

/// An object as the decisions need it.
pub(super) fn view(key: &ObjectKey, object: &DynamicObject) -> LocalView {
    let metadata = &object.metadata;
    let annotations = metadata.annotations.clone().unwrap_or_default();
    let spec = object.data.get("spec").cloned().unwrap_or(Value::Null);
    LocalView {
        key: key.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or(0),
        labels: travelling(&metadata.labels.clone().unwrap_or_default()),
        annotations: travelling(&annotations),
        id: spec.get("id").and_then(Value::as_str).map(str::to_owned),
        spec,
        arbiter_revision: annotations.get(ANNOTATION_REVISION).and_then(|revision| revision.parse().ok()),
        synced_hash: annotations.get(ANNOTATION_SYNCED).cloned(),
        deleting: metadata.deletion_timestamp.is_some(),
        has_finalizer: metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER),
    }
}
