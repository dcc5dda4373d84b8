//! One object to apply.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::names;
use crate::sync::spec_hash;

/// One object to apply: a whole Kubernetes object as JSON, with [`names::ANNOTATION_RENDERED`] holding the hash of the
/// rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    value: Value,
    hash: String,
}

impl Manifest {
    /// An object of these parts. `body` holds what stands beside `apiVersion`, `kind` and `metadata`; fields of it that
    /// are null are left out.
    pub(crate) fn new(
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        labels: &BTreeMap<String, String>,
        body: Value,
    ) -> Self {
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), json!(api_version));
        object.insert("kind".to_owned(), json!(kind));
        object.insert("metadata".to_owned(), json!({ "name": name, "namespace": namespace, "labels": labels }));
        if let Value::Object(fields) = body {
            object.extend(fields);
        }
        let mut value = Value::Object(object);
        drop_nulls(&mut value);
        let hash = spec_hash(&value)[..32].to_owned();
        value["metadata"]["annotations"] = json!({ names::ANNOTATION_RENDERED: hash });
        Self { value, hash }
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    /// Such as `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion").unwrap_or_default()
    }

    /// Such as `Deployment`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    /// The namespace; `None` for a Namespace itself.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    /// The whole object.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Hash of everything but the annotation that bears it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Takes out fields that are null: what is not wanted is not mentioned, or an old API server would call it unknown.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// A list, or null where it is empty.
pub(super) fn unless_empty(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}
