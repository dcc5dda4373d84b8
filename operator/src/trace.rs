//! Which trace a piece of work belongs to. Every log line that is written while an object is worked on has the object, the
//! trace of the change that the arbiter holds, and a span of this site's own; docs/logs.md tells how one is followed.

use crate::context::Context;
use kube::api::ObjectMeta;
use tandem_core::names::ANNOTATION_TRACE;
use tandem_core::sync::{ObjectKey, Record, Versioned};
use tandem_core::trace::Trace;
use tracing::Span;
use tracing::field::Empty;

/// The surroundings of work on one object. The trace is recorded once it is known ([`belongs_to`]).
///
/// At the level of errors, so that it counts also where nothing else is logged.
pub(crate) fn work(step: &'static str, key: &ObjectKey) -> Span {
    let (kind, namespace, name) = (key.kind.name(), key.namespace.as_deref(), key.name.as_str());
    tracing::error_span!("work", step, kind, namespace, name, trace_id = Empty, span_id = Empty)
}

/// The same, for work on the record that the arbiter holds of the object.
pub(crate) fn work_on(context: &Context, step: &'static str, key: &ObjectKey) -> Span {
    let span = work(step, key);
    if let Some(record) = context.index.record(key) {
        record_in(&span, &here(context, step, &record));
    }
    span
}

/// Says of the work at hand that it belongs to a record.
pub(crate) fn belongs_to(context: &Context, step: &'static str, record: &Versioned<Record>) {
    record_in(&Span::current(), &here(context, step, record));
}

/// Says of the work at hand that it belongs to a trace that is not in the arbiter yet.
pub(crate) fn begins(trace: &Trace) {
    record_in(&Span::current(), trace);
}

/// This site's step on a record of the arbiter: the same however often it is worked on.
pub(crate) fn here(context: &Context, step: &'static str, record: &Versioned<Record>) -> Trace {
    record.value.trace().step(&[&context.config.site, step, &record.revision.to_string()])
}

/// The trace that somebody says an object was written in.
pub(crate) fn said(metadata: &ObjectMeta) -> Option<&str> {
    metadata.annotations.as_ref()?.get(ANNOTATION_TRACE).map(String::as_str)
}

fn record_in(span: &Span, trace: &Trace) {
    span.record("trace_id", trace.trace_id()).record("span_id", trace.span_id());
}
