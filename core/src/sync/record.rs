//! Desired state as it is recorded in the arbiter.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_crds::Kind;

/// Which object: kind, namespace (`None` for cluster-scoped kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace, `None` for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// A cluster-scoped object.
    pub fn cluster(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, namespace: None, name: name.into() }
    }

    /// An object in a namespace.
    pub fn namespaced(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: Some(namespace.into()), name: name.into() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind.plural(), self.name),
            None => write!(f, "{}/{}", self.kind.plural(), self.name),
        }
    }
}

/// Which local object a record was published from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The site that published it.
    pub site: String,
    /// `metadata.uid` of the object at that site.
    pub uid: String,
    /// `metadata.generation` that was published.
    pub generation: i64,
}

/// Published desired state of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpecRecord {
    /// The durable id; also in `spec.id`.
    pub id: String,
    /// Which object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Labels that travel with the object, see [`travelling`](super::travelling).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations that travel with the object, see [`travelling`](super::travelling).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The whole specification, with its `id`.
    pub spec: Value,
    /// Where it was published from.
    pub origin: Origin,
    /// When it was published, by the publisher's wall clock; for people, never for decisions.
    pub published_at: Timestamp,
    /// The trace that the change belongs to, as a `traceparent`; for people, never for decisions. A release that does not know
    /// it passes over it, and what was published by one has none; see [`Record::trace`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What remains of a deleted object until every site has applied its deletion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The durable id of what was deleted.
    pub id: String,
    /// Which object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Where it was deleted.
    pub origin: Origin,
    /// When it was deleted, by the publisher's wall clock; for people, never for decisions.
    pub deleted_at: Timestamp,
}

/// What stands under `specs/<kind>/<ns>/<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state")]
pub enum Record {
    /// The object is wanted.
    Live(SpecRecord),
    /// The object was deleted.
    Tombstone(Tombstone),
}

impl Record {
    /// The durable id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Live(record) => &record.id,
            Self::Tombstone(tombstone) => &tombstone.id,
        }
    }

    /// Which object it is about.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Live(record) => &record.key,
            Self::Tombstone(tombstone) => &tombstone.key,
        }
    }

    /// Where it was published from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Live(record) => &record.origin,
            Self::Tombstone(tombstone) => &tombstone.origin,
        }
    }
}

/// A value with the arbiter's revision of its last modification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// `mod_revision` of the key.
    pub revision: i64,
    /// The value.
    pub value: T,
}

impl<T> Versioned<T> {
    /// A value as of a revision.
    pub fn new(revision: i64, value: T) -> Self {
        Self { revision, value }
    }
}
