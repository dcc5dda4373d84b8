//! What is in the cluster, kept in memory from watches.

use crate::shared::Shared;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tandem_core::names::LABEL_ID;
use tandem_crds::Kind;
use tandem_logs::Chain;

/// Which object: its kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The namespace, where it has one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// The name of an object of a known kind.
    #[must_use]
    pub fn of(kind: &str, object: &DynamicObject) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The objects of some kinds, by name and by the durable id they bear.
#[derive(Debug, Default)]
pub struct Mirror {
    objects: Shared<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    by_name: BTreeMap<ObjectName, Arc<DynamicObject>>,
    by_id: HashMap<String, BTreeSet<ObjectName>>,
    /// Kinds whose first list is in.
    synced: BTreeSet<String>,
}

impl Objects {
    fn put(&mut self, name: ObjectName, object: DynamicObject) {
        self.remove(&name);
        if let Some(id) = id_of(&object) {
            self.by_id.entry(id.to_owned()).or_default().insert(name.clone());
        }
        self.by_name.insert(name, Arc::new(object));
    }

    fn remove(&mut self, name: &ObjectName) {
        if let Some(before) = self.by_name.remove(name)
            && let Some(id) = id_of(&before)
            && let Some(names) = self.by_id.get_mut(id)
        {
            names.remove(name);
            if names.is_empty() {
                self.by_id.remove(id);
            }
        }
    }
}

/// The durable id that an object bears as a label.
#[must_use]
fn id_of(object: &DynamicObject) -> Option<&str> {
    object.metadata.labels.as_ref()?.get(LABEL_ID).map(String::as_str)
}

/// Leaves out of an object what nothing here reads: most of its size. Of what is not Tandem's only that it is there counts,
/// but for workloads, which can be adopted, and nodes.
fn slim(kind: &str, object: &mut DynamicObject) {
    let own = kind == "Failover" || Kind::ALL.iter().any(|own| own.name() == kind);
    let adoptable = matches!(kind, "Deployment" | "StatefulSet");
    if own || adoptable || id_of(object).is_some() {
        // Who wrote it, for the audit chain; not which fields, which is most of it.
        let fields = object.metadata.managed_fields.iter_mut();
        fields.for_each(|entries| entries.retain(|entry| !reports(entry)));
        for entry in object.metadata.managed_fields.iter_mut().flatten() {
            entry.fields_v1 = None;
        }
    } else {
        object.metadata.managed_fields = None;
    }
    let read_whole = own || adoptable || kind == "Node";
    if !read_whole && id_of(object).is_none() {
        object.data = serde_json::Value::Null;
    }
}

/// Whether an entry is of a controller that reports how an object stands: it wrote the status and nothing that is asked for. An
/// API server before 1.22 does not say that it was the status's subresource.
fn reports(entry: &ManagedFieldsEntry) -> bool {
    let wrote = |part: &str| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get(part).is_some());
    wrote("f:status") && !wrote("f:spec")
}

/// Whether one is an earlier version of the other. What cannot be compared is not.
fn precedes(earlier: &DynamicObject, later: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    let newer = version(earlier).zip(version(later)).is_some_and(|(earlier, later)| earlier < later);
    newer && earlier.metadata.uid == later.metadata.uid
}

impl Mirror {
    /// One object.
    #[must_use]
    pub fn get(&self, name: &ObjectName) -> Option<Arc<DynamicObject>> {
        self.objects.read().by_name.get(name).map(Arc::clone)
    }

    /// Every object of a kind.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> Vec<Arc<DynamicObject>> {
        let objects = self.objects.read();
        objects.by_name.iter().filter(|(name, _)| name.kind == kind).map(|(_, object)| Arc::clone(object)).collect()
    }

    /// Every object that bears a durable id.
    #[must_use]
    pub fn owned_by(&self, id: &str) -> Vec<(ObjectName, Arc<DynamicObject>)> {
        let objects = self.objects.read();
        let names = objects.by_id.get(id).into_iter().flatten();
        names.filter_map(|name| Some((name.clone(), Arc::clone(objects.by_name.get(name)?)))).collect()
    }

    /// Every durable id that some object bears.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.objects.read().by_id.keys().cloned().collect()
    }

    /// Whether the first list of a kind is in.
    #[must_use]
    pub fn is_synced(&self, kind: &str) -> bool {
        self.objects.read().synced.contains(kind)
    }

    /// Takes in an object as its watch would.
    #[cfg(test)]
    pub(crate) fn put(&self, kind: &str, object: DynamicObject) {
        let name = ObjectName::of(kind, &object);
        self.objects.write().put(name, object);
    }

    /// Forgets an object as its watch would.
    #[cfg(test)]
    pub(crate) fn lose(&self, kind: &str, namespace: &str, name: &str) {
        let name = ObjectName { kind: kind.to_owned(), namespace: Some(namespace.to_owned()), name: name.to_owned() };
        self.objects.write().remove(&name);
    }

    /// Takes in an object as the API server answered a write with it, before the watch repeats it. Only where an earlier
    /// version of the same object is known: the answer to a write may be older than its deletion, or than a change of
    /// somebody else's that the watch has brought already and will not bring again.
    pub fn take_in(&self, kind: &str, mut object: DynamicObject) {
        slim(kind, &mut object);
        let name = ObjectName::of(kind, &object);
        let mut objects = self.objects.write();
        if objects.by_name.get(&name).is_some_and(|known| precedes(known, &object)) {
            objects.put(name, object);
        }
    }

    /// Watches a kind for ever, telling `changed` of every object that is new, changed or gone, and `listed_all` each
    /// time that a full list is in.
    ///
    /// A failed watch is started again with growing pauses, and logged; what is known stays known meanwhile.
    pub async fn watch(
        self: Arc<Self>,
        api: Api<DynamicObject>,
        resource: ApiResource,
        config: watcher::Config,
        changed: impl Fn(&ObjectName, &DynamicObject) + Send,
        listed_all: impl Fn() + Send,
    ) {
        let kind = resource.kind.as_str();
        let mut listed: BTreeSet<ObjectName> = BTreeSet::new();
        let mut events = watcher(api, config)
            .default_backoff()
            .inspect_err(|error| tracing::warn!(error = %Chain(error), kind, "a watch failed"))
            .boxed();
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            match event {
                watcher::Event::Init => listed.clear(),
                watcher::Event::InitApply(object) => {
                    listed.insert(ObjectName::of(kind, &object));
                    self.keep(kind, object, &changed);
                }
                watcher::Event::InitDone => {
                    for name in self.gone_since_list(kind, &listed) {
                        if let Some(object) = self.get(&name) {
                            self.objects.write().remove(&name);
                            changed(&name, &object);
                        }
                    }
                    listed.clear();
                    self.objects.write().synced.insert(kind.to_owned());
                    tracing::debug!(kind, "listed");
                    listed_all();
                }
                watcher::Event::Apply(object) => self.keep(kind, object, &changed),
                watcher::Event::Delete(object) => {
                    let name = ObjectName::of(kind, &object);
                    self.objects.write().remove(&name);
                    changed(&name, &object);
                }
            }
        }
    }

    fn keep(&self, kind: &str, mut object: DynamicObject, changed: impl Fn(&ObjectName, &DynamicObject)) {
        slim(kind, &mut object);
        let name = ObjectName::of(kind, &object);
        let told = object.clone();
        self.objects.write().put(name.clone(), object);
        changed(&name, &told);
    }

    fn gone_since_list(&self, kind: &str, listed: &BTreeSet<ObjectName>) -> Vec<ObjectName> {
        let objects = self.objects.read();
        objects.by_name.keys().filter(|name| name.kind == kind && !listed.contains(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, id: Option<&str>) -> DynamicObject {
        let labels = id.map_or(json!({}), |id| json!({ LABEL_ID: id }));
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "labels": labels}
        }))
        .unwrap()
    }

    #[test]
    fn who_wrote_is_kept_of_what_is_tandems_or_may_be_adopted() {
        let written = |kind: &str, id: Option<&str>| {
            let labels = id.map_or(json!({}), |id| json!({ LABEL_ID: id }));
            let managed = json!([
                {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kube-controller-manager", "fieldsV1": {"f:metadata": {"f:annotations": {}}, "f:status": {}}},
            ]);
            let metadata = json!({"name": "a", "labels": labels, "managedFields": managed});
            let mut object: DynamicObject = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
            slim(kind, &mut object);
            let fields = object.metadata.managed_fields.unwrap_or_default();
            assert!(fields.iter().all(|entry| entry.fields_v1.is_none()));
            fields.into_iter().filter_map(|entry| entry.manager).collect::<Vec<_>>()
        };
        for (kind, id) in [("Deployment", None), ("NetworkPolicy", Some("1")), ("Unit", None)] {
            assert_eq!(written(kind, id), ["kubectl-edit"], "{kind}");
        }
        assert!(written("ConfigMap", None).is_empty());
    }

    #[test]
    fn an_answer_that_comes_after_newer_news_is_left_out() {
        let mirror = Mirror::default();
        let of = |uid: &str, version: &str| {
            let mut object = object("a", Some("1"));
            object.metadata.uid = Some(uid.to_owned());
            object.metadata.resource_version = Some(version.to_owned());
            object
        };
        let name = ObjectName::of("Deployment", &of("u", "0"));
        let known = || mirror.get(&name).and_then(|found| found.metadata.resource_version.clone());
        mirror.take_in("Deployment", of("u", "8"));
        assert_eq!(known(), None, "it may have been deleted since");
        // A controller has reported on it before the answer to the write was read.
        mirror.keep("Deployment", of("u", "10"), |_, _| {});
        mirror.take_in("Deployment", of("u", "9"));
        assert_eq!(known().as_deref(), Some("10"), "else what was reported would never be seen");
        mirror.take_in("Deployment", of("another", "11"));
        assert_eq!(known().as_deref(), Some("10"));
        mirror.take_in("Deployment", of("u", "11"));
        assert_eq!(known().as_deref(), Some("11"));
        // As after a restore, which goes back.
        mirror.keep("Deployment", of("u", "7"), |_, _| {});
        assert_eq!(known().as_deref(), Some("7"));
    }

    #[test]
    fn the_index_by_id_follows_every_change() {
        let mirror = Mirror::default();
        mirror.keep("ConfigMap", object("a", Some("1")), |_, _| {});
        mirror.keep("ConfigMap", object("b", Some("1")), |_, _| {});
        assert_eq!(mirror.owned_by("1").len(), 2);
        mirror.keep("ConfigMap", object("a", Some("2")), |_, _| {});
        assert_eq!(mirror.owned_by("1").len(), 1);
        mirror.keep("ConfigMap", object("b", None), |_, _| {});
        assert!(mirror.owned_by("1").is_empty());
        assert_eq!(mirror.ids(), ["2"]);
        mirror.objects.write().remove(&ObjectName::of("ConfigMap", &object("a", None)));
        assert!(mirror.owned_by("2").is_empty() && mirror.ids().is_empty());
        assert_eq!(mirror.of_kind("ConfigMap").len(), 1);
    }
}
