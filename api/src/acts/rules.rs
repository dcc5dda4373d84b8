//! What the rules of a resource say of an object, as faults of the body's fields.

use crate::objects::writer::field;
use crate::problem::{Fault, FieldFault};
use kube::core::CustomResourceExt;
use serde::Serialize;
use tandem_crds::validation::broken_rules;

/// The rules that an object breaks which is to be made.
pub(crate) fn faults<K: CustomResourceExt + Serialize + 'static>(object: &K) -> Vec<FieldFault> {
    let fault = |path: &str, message: String| FieldFault { field: named(path, &message), fault: Fault::Said(message) };
    broken_rules(object, None).into_iter().map(|broken| fault(&broken.path, broken.message)).collect()
}

/// The rules that a change of an object breaks. They are about the object, not about a field of the body.
pub(crate) fn faults_of_change<K: CustomResourceExt + Serialize + 'static>(object: &K, before: &K) -> Vec<FieldFault> {
    let fault = |message| FieldFault { field: "body".to_owned(), fault: Fault::Said(message) };
    broken_rules(object, Some(before)).into_iter().map(|broken| fault(broken.message)).collect()
}

/// The field of the body. A rule about the whole object names the field that it is about first.
pub(crate) fn named(path: &str, message: &str) -> String {
    let path = if matches!(path, "" | "spec") { message.split(' ').next().unwrap_or_default() } else { path };
    match field(path) {
        whole if whole.is_empty() || whole == path => "body".to_owned(),
        part => part,
    }
}
