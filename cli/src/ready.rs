//! Whether an object is in order, and why not: the same for every kind.

use tandem_crds::TandemKind;
use tandem_crds::status::{HasConditions, READY};

/// Why an object is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Why an object is not ready; nothing when it is, for the specification that stands.
pub fn why_not<K: TandemKind>(object: &K) -> Option<NotReady> {
    let told = |reason: &str, message: &str| Some(NotReady { reason: reason.to_owned(), message: message.to_owned() });
    let condition = object.status().and_then(|status| status.conditions().iter().find(|c| c.type_ == READY));
    let Some(condition) = condition else { return told("Progressing", "no status yet: is the operator running?") };
    if condition.status != "True" {
        return told(&condition.reason, &condition.message);
    }
    let observed = object.status().and_then(HasConditions::observed_generation);
    if observed < object.meta().generation {
        return told("Progressing", "changed, and not looked at since");
    }
    None
}

/// The object's name, with its namespace before it where it lives in one.
pub fn full_name<K: TandemKind>(object: &K) -> String {
    let meta = object.meta();
    let name = meta.name.clone().unwrap_or_default();
    meta.namespace.as_ref().map_or(name.clone(), |namespace| format!("{namespace}/{name}"))
}
