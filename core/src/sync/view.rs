//! What a site sees of its own objects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ObjectKey, SpecRecord, conflict_id, mint_id, spec_hash, with_id};

/// One local object, as much of it as the decisions need.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalView {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The labels that travel, see [`travelling`].
    pub labels: BTreeMap<String, String>,
    /// The annotations that travel, see [`travelling`].
    pub annotations: BTreeMap<String, String>,
    /// The whole specification as the API server returned it.
    pub spec: Value,
    /// `spec.id`.
    pub id: Option<String>,
    /// Annotation `tandem.dev/arbiter-revision`: the record that the object corresponds to.
    pub arbiter_revision: Option<i64>,
    /// Annotation `tandem.dev/synced-hash`: [`spec_hash`] of the object's specification when it was last published or
    /// followed, *as the API server returned it* (defaulting and pruning included).
    pub synced_hash: Option<String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Whether the object bears the finalizer `tandem.dev/published`.
    pub has_finalizer: bool,
}

/// An edit that was not published and is about to be overwritten, to be kept as a conflict record first.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictSeed {
    /// Id of the conflict record, see [`conflict_id`].
    pub id: String,
    /// Durable id of the object.
    pub durable_id: String,
    /// Which object.
    pub key: ObjectKey,
    /// The site whose edit it is.
    pub site: String,
    /// `metadata.generation` of the local object.
    pub generation: i64,
    /// Revision of the record that the edit was based on, if on any.
    pub base: Option<i64>,
    /// The specification that was edited here.
    pub local: Value,
    /// The specification in the arbiter that wins; `None` where there is none or a tombstone.
    pub published: Option<Value>,
    /// Revision of the record that wins, 0 where there is none.
    pub published_revision: i64,
}

/// Labels or annotations that travel with an object: everything but Tandem's own and what describes one site's writes.
#[must_use]
pub fn travelling(map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    map.iter()
        .filter(|(key, _)| {
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            !(domain == "tandem.dev"
                || domain.ends_with(".tandem.dev")
                || key.as_str() == "kubectl.kubernetes.io/last-applied-configuration")
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

impl LocalView {
    /// Whether the specification is another than the one last published or followed.
    pub(super) fn edited(&self) -> bool {
        self.synced_hash.as_deref() != Some(spec_hash(&self.spec).as_str())
    }

    /// Whether a record says what this object says. An object without an id is compared as if it had the record's.
    pub(super) fn says(&self, record: &SpecRecord) -> bool {
        self.id.as_deref().is_none_or(|id| id == record.id)
            && with_id(&self.spec, &record.id) == record.spec
            && self.metadata_says(record)
    }

    fn metadata_says(&self, record: &SpecRecord) -> bool {
        self.labels == record.labels && self.annotations == record.annotations
    }

    /// Whether there is nothing to write: everything is as it was when this record was last written here. The written
    /// specification is recognised by its hash, not by comparing it with the record's: an API server whose resource
    /// types are one release older or newer may default or prune what it was given.
    pub(super) fn settled(&self, revision: i64, record: &SpecRecord) -> bool {
        self.arbiter_revision == Some(revision)
            && self.id.as_deref() == Some(record.id.as_str())
            && self.has_finalizer
            && !self.edited()
            && self.metadata_says(record)
    }

    /// What has to be kept before this object is overwritten, if it holds an edit of its own.
    pub(super) fn conflict(
        &self,
        site: &str,
        published: Option<&SpecRecord>,
        published_revision: i64,
    ) -> Option<ConflictSeed> {
        let said = published.is_some_and(|record| with_id(&self.spec, &record.id) == record.spec);
        if said || !self.edited() {
            return None;
        }
        let durable_id = self.id.clone().unwrap_or_else(|| mint_id(site, self.key.kind, &self.uid));
        Some(ConflictSeed {
            id: conflict_id(&durable_id, self.generation, &self.spec),
            durable_id,
            key: self.key.clone(),
            site: site.to_owned(),
            generation: self.generation,
            base: self.arbiter_revision,
            local: self.spec.clone(),
            published: published.map(|record| record.spec.clone()),
            published_revision,
        })
    }
}
