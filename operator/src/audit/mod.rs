//! What the site's audit chain says of this operator's work: who did what, and that it gets there.
//!
//! What is done is written down in its own transaction and waits; here is who it is laid to, and what enters it into the chain.
//! What binds an agency is kept as a version in the same transaction.

mod drain;
mod drift;
mod house;

pub use drain::{Behind, run_audit};
pub use drift::run_drifts;

use crate::context::Context;
use jiff::Timestamp;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::Value;
use tandem_arbiter::txn::Edit;
use tandem_core::audit::{Actor, Writer};
use tandem_core::names::ANNOTATION_CHANGED_BY;
use tandem_core::policy::{Version, author, binding, buried_by};
use tandem_core::sync::{ObjectKey, Record, SpecRecord, spec_hash};
use tandem_crds::Kind;

/// Who wrote an object of this site last, as far as Kubernetes says.
#[must_use]
pub fn wrote(context: &Context, metadata: &ObjectMeta) -> Actor {
    writer(metadata).actor(&context.config.replica)
}

fn writer(metadata: &ObjectMeta) -> Writer {
    Writer::newest(metadata.managed_fields.as_deref().unwrap_or_default())
}

/// What is written down of a publication, and the version that is kept: `before` is what stands in the arbiter.
pub(crate) fn published(
    context: &Context,
    object: Option<&DynamicObject>,
    before: Option<&SpecRecord>,
    record: &SpecRecord,
) -> Edit {
    let replica = &context.config.replica;
    let writer = object.map_or(Writer::Operator, |object| writer(&object.metadata));
    let annotations = object.and_then(|object| object.metadata.annotations.as_ref());
    let changed_by = annotations.and_then(|annotations| annotations.get(ANNOTATION_CHANGED_BY)).map(String::as_str);
    let at = now();
    Edit {
        actor: writer.actor(replica),
        at,
        verb: verb(before, record),
        before: before.map(|before| spec_hash(&before.spec)),
        trace: request(record),
        version: version(before, Some(record), at, || {
            author(&writer, replica, changed_by, record.key.kind, &record.spec)
        }),
    }
}

/// What is written down of a burial, and the version that is kept; `asked` is when the deletion was asked for. Kubernetes does
/// not say who deleted an object.
pub(crate) fn buried(context: &Context, key: &ObjectKey, asked: Option<Timestamp>) -> Edit {
    let before = match context.index.record(key).map(|held| held.value) {
        Some(Record::Live(live)) => Some(live),
        _ => None,
    };
    let at = now();
    Edit {
        actor: Writer::unknown().actor(&context.config.replica),
        at,
        verb: "delete",
        before: before.as_ref().map(|live| spec_hash(&live.spec)),
        trace: before.as_ref().and_then(request),
        version: version(before.as_ref(), None, at, || {
            buried_by(key.kind, before.as_ref().map_or(&Value::Null, |live| &live.spec), asked)
        }),
    }
}

/// The version that is kept, where what binds an agency changes; `after` is `None` for a deletion.
fn version(
    before: Option<&SpecRecord>,
    after: Option<&SpecRecord>,
    at: Timestamp,
    by: impl FnOnce() -> String,
) -> Option<Version> {
    let bound = |record: Option<&SpecRecord>| record.and_then(|record| binding(record.key.kind, &record.spec));
    let says = bound(after);
    (bound(before) != says).then(|| Version { by: by(), at, says })
}

/// What was done: an environment request that says so for the first time was carried out.
fn verb(before: Option<&SpecRecord>, record: &SpecRecord) -> &'static str {
    let carried_out = |record: &SpecRecord| record.spec.get("carriedOut").is_some_and(|at| !at.is_null());
    match before {
        None => "create",
        Some(before) if record.key.kind == Kind::EnvironmentRequest && carried_out(record) && !carried_out(before) => {
            "carry-out"
        }
        Some(_) => "update",
    }
}

/// The environment request that an object belongs to.
fn request(record: &SpecRecord) -> Option<String> {
    match record.key.kind {
        Kind::EnvironmentRequest => Some(record.key.name.clone()),
        Kind::Environment => record.spec.get("request")?.as_str().map(str::to_owned),
        _ => None,
    }
}

#[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read, and decides nothing
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use tandem_core::sync::Origin;

    fn record(kind: Kind, spec: Value) -> SpecRecord {
        SpecRecord {
            id: "1".into(),
            key: ObjectKey::cluster(kind, "health-1"),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec,
            origin: Origin { site: "dc-a".into(), uid: "u".into(), generation: 1 },
            published_at: Timestamp::UNIX_EPOCH,
            trace: None,
        }
    }

    #[test]
    fn a_request_is_carried_out_once_and_what_it_makes_names_it() {
        let open = record(Kind::EnvironmentRequest, json!({"unit": "health"}));
        let done = record(Kind::EnvironmentRequest, json!({"unit": "health", "carriedOut": "2026-01-01T00:00:00Z"}));
        assert_eq!((verb(None, &open), verb(Some(&open), &open)), ("create", "update"));
        assert_eq!((verb(Some(&open), &done), verb(Some(&done), &done)), ("carry-out", "update"));
        let unit = record(Kind::Unit, json!({"carriedOut": "x"}));
        assert_eq!(verb(Some(&record(Kind::Unit, json!({}))), &unit), "update");
        let environment = record(Kind::Environment, json!({"request": "first"}));
        assert_eq!(request(&environment).as_deref(), Some("first"));
        assert_eq!(request(&open).as_deref(), Some("health-1"));
        assert_eq!((request(&unit), request(&record(Kind::Environment, json!({})))), (None, None));
    }

    #[test]
    fn a_version_is_kept_where_what_binds_changes() {
        let unit = |name: &str, pods: u64| record(Kind::Unit, json!({"displayName": name, "budget": {"pods": pods}}));
        let kept = |before: Option<&SpecRecord>, after: Option<&SpecRecord>| {
            version(before, after, Timestamp::UNIX_EPOCH, || "li".to_owned())
        };
        let (old, renamed, larger) = (unit("one", 4), unit("two", 4), unit("two", 8));
        let says = |version: Option<Version>| version.unwrap().says;
        assert_eq!(says(kept(None, Some(&old))), Some(json!({"budget": {"pods": 4}})));
        assert_eq!(kept(Some(&old), Some(&renamed)), None);
        assert_eq!(says(kept(Some(&renamed), Some(&larger))), Some(json!({"budget": {"pods": 8}})));
        assert_eq!(says(kept(Some(&larger), None)), None, "it was deleted");
        let site = record(Kind::DataCentre, json!({"region": "east"}));
        assert_eq!((kept(None, Some(&site)), kept(Some(&site), None)), (None, None), "it binds nobody");
    }

    #[test]
    fn who_wrote_is_known_without_the_fields_that_they_wrote() {
        let object = json!({
            "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:00Z"},
                {"manager": "tandem/sync", "operation": "Update", "time": "2026-01-01T00:00:01Z"},
            ],
        });
        let metadata: ObjectMeta = serde_json::from_value(object).unwrap();
        assert_eq!(writer(&metadata).actor("op-0").name, "kubectl:kubectl-edit");
        assert_eq!(writer(&ObjectMeta::default()), Writer::Operator);
    }
}
