//! The rules of the schemas, evaluated here as a current API server would.
//!
//! An API server before 1.25 does not know the rules, so Tandem holds every object to them itself before it acts on it.

use kube::core::CustomResourceExt;
use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde::Serialize;
use serde_json::Value;
use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// A rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRule {
    /// The field's path, such as `spec.quota`; empty for the whole object.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for BrokenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

thread_local! {
    // Compiling a schema's rules takes milliseconds, evaluating them microseconds.
    static COMPILED: RefCell<HashMap<TypeId, Rc<CompiledSchema>>> = RefCell::new(HashMap::new());
}

/// Every rule of its schema that an object breaks. With `before` (the object as it was last accepted), rules about changes
/// are evaluated too.
#[must_use]
pub fn broken_rules<K>(object: &K, before: Option<&K>) -> Vec<BrokenRule>
where
    K: CustomResourceExt + Serialize + 'static,
{
    let compiled = COMPILED.with_borrow_mut(|compiled| {
        Rc::clone(compiled.entry(TypeId::of::<K>()).or_insert_with(|| Rc::new(compile_schema(&schema::<K>()))))
    });
    let as_json = |object: &K| serde_json::to_value(object).unwrap_or(Value::Null);
    let before = before.map(as_json);
    match Validator::new().validate_compiled(&compiled, &as_json(object), before.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_vec()
            .into_iter()
            .map(|error| BrokenRule { path: error.field_path, message: error.message })
            .collect(),
    }
}

/// The OpenAPI schema of a kind, with its rules.
pub(crate) fn schema<K: CustomResourceExt>() -> Value {
    K::crd()
        .spec
        .versions
        .into_iter()
        .find_map(|version| version.schema.and_then(|schema| schema.open_api_v3_schema))
        .and_then(|schema| serde_json::to_value(schema).ok())
        .unwrap_or(Value::Null)
}
