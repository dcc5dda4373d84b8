//! Accepted means durable: what was written at this site is answered for only once the arbiter holds it.

use crate::coordination::Published;
use crate::problem::Problem;
use crate::state::AppState;
use serde_json::{Value, json};
use std::time::Duration;
use tandem_core::sync::ObjectKey;
use tandem_crds::TandemKind;
use tokio::time::Instant;

/// The first pause between two looks, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// Waits until the arbiter holds the object as it was written here, or something later of it.
///
/// # Errors
/// [`Problem::NotDurable`] where that took too long: it stands at this site, and may be published yet.
pub(crate) async fn durable<K: TandemKind>(state: &AppState, key: &ObjectKey, object: &K) -> Result<(), Problem> {
    until(state, key, |published| published.is_some_and(|published| holds(published, object))).await
}

/// Waits until the arbiter does not hold the object any more: nothing, or another of its name.
///
/// # Errors
/// [`Problem::NotDurable`] where that took too long: it is deleted at this site, and may be in the arbiter yet.
pub(crate) async fn buried<K: TandemKind>(state: &AppState, key: &ObjectKey, object: &K) -> Result<(), Problem> {
    until(state, key, |published| published.is_none_or(|published| !is_of(published, object))).await
}

async fn until(state: &AppState, key: &ObjectKey, is: impl Fn(Option<&Published>) -> bool) -> Result<(), Problem> {
    let started = Instant::now();
    let waiting = async {
        let mut pause = PAUSES.0;
        loop {
            // While the arbiter does not answer there is still time for it to.
            if let Ok(published) = state.coordination.published(key).await
                && is(published.as_ref())
            {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    };
    tokio::time::timeout(state.patience, waiting).await.map_err(|_| Problem::NotDurable)?;
    state.metrics.durable(started.elapsed());
    Ok(())
}

/// Whether what is published is of this object, and not of another that bears its name.
fn is_of<K: TandemKind>(published: &Published, object: &K) -> bool {
    let same_id = object.id().is_some() && published.spec["id"].as_str() == object.id();
    same_id || object.meta().uid.as_ref() == Some(&published.origin.uid)
}

/// Whether what is published is this object or something later of it. Generations alone do not tell: the operator's own stamp
/// on the object is one more, and an object that came from the other site counts its own.
fn holds<K: TandemKind>(published: &Published, object: &K) -> bool {
    let metadata = object.meta();
    let later = metadata.uid.as_ref() == Some(&published.origin.uid)
        && metadata.generation.is_some_and(|generation| published.origin.generation >= generation);
    let says = |spec: &K::Spec| without_id(json!(spec));
    later || serde_json::from_value(published.spec.clone()).is_ok_and(|spec| says(&spec) == says(object.spec()))
}

fn without_id(mut spec: Value) -> Value {
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("id");
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::testing::unit;
    use tandem_core::sync::Origin;

    #[test]
    fn another_of_the_same_name_is_not_the_object() {
        let mut object = unit("health");
        object.metadata.uid = Some("here".to_owned());
        let published = |uid: &str, id: &str| Published {
            origin: Origin { site: "dc-a".to_owned(), uid: uid.to_owned(), generation: 1 },
            spec: json!({"id": id}),
        };
        assert!(is_of(&published("here", "one"), &object), "not stamped yet");
        assert!(!is_of(&published("there", "one"), &object));
        object.spec.id = Some("one".to_owned());
        assert!(is_of(&published("there", "one"), &object), "published at the other site");
        assert!(!is_of(&published("there", "two"), &object));
    }

    #[test]
    fn what_is_published_holds_an_object_by_its_generation_or_by_what_it_says() {
        let mut object = unit("health");
        object.metadata.uid = Some("here".to_owned());
        let published = |uid: &str, generation, spec: &Value| Published {
            origin: Origin { site: "dc-a".to_owned(), uid: uid.to_owned(), generation },
            spec: spec.clone(),
        };
        let mut same = json!(object.spec);
        same["id"] = json!("minted");
        let mut other = same.clone();
        other["budget"]["pods"] = json!(1);
        for (uid, generation, spec, wanted) in [
            ("here", 3, &other, true),
            ("here", 2, &other, false),
            ("here", 2, &same, true),
            ("there", 9, &other, false),
            ("there", 1, &same, true),
            ("there", 1, &Value::Null, false),
        ] {
            assert_eq!(holds(&published(uid, generation, spec), &object), wanted, "{uid} {generation}");
        }
    }
}
