//! Which trace a request belongs to: the caller's (W3C Trace Context), or one that begins here. Every log line of the request
//! has it, the answer too, and so have the objects that are written and the entries of the audit chain: the operators at both
//! sites go on with it.
//!
//! It goes with the task and not from hand to hand: nothing that is done depends on it.

use crate::limits::Class;
use crate::problem::Problem;
use crate::state::Random;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};
use std::future::Future;
use std::time::Instant;
use tandem_core::names::ANNOTATION_TRACE;
use tandem_core::trace::{HEADER, Trace};
use tandem_crds::Kind;
use tracing::Instrument;

tokio::task_local! {
    static CURRENT: Trace;
}

/// The longest path that is logged, in characters.
const PATH_MOST: usize = 200;

/// The trace of the request that is being worked on.
pub(crate) fn current() -> Option<Trace> {
    CURRENT.try_with(|trace| *trace).ok()
}

/// The same work, for a task of its own: what it does and logs belongs to the trace of whoever began it.
pub(crate) fn carried_on<F: Future + Send>(work: F) -> impl Future<Output = F::Output> + Send {
    let trace = current();
    async move {
        match trace {
            Some(trace) => CURRENT.scope(trace, work).await,
            None => work.await,
        }
    }
    .in_current_span()
}

/// Says on an object which trace writes it. A request of an agency keeps the one that it was made in, whoever decides on it.
pub(crate) fn mark(object: &mut Value) {
    let Some(trace) = current() else { return };
    let keeps = object["kind"] == Kind::EnvironmentRequest.name();
    let said = &mut object["metadata"]["annotations"][ANNOTATION_TRACE];
    if said.is_null() || !keeps {
        *said = json!(trace.to_string());
    }
}

/// The trace that a request is a step of. What is no `traceparent`, or more than one, is replaced.
fn of(headers: &HeaderMap, random: u128) -> Trace {
    let mut given = headers.get_all(HEADER).iter();
    let only = given.next().filter(|_| given.next().is_none());
    let parent = only.and_then(|value| value.to_str().ok()).and_then(Trace::parse);
    parent.map_or_else(|| Trace::begun(random), |parent| parent.next(random))
}

/// Gives every request its trace, and logs how it was answered.
pub(crate) async fn follow(State(random): State<Random>, request: Request, next: Next) -> Response {
    let trace = of(request.headers(), random());
    let path: String = request.uri().path().chars().take(PATH_MOST).collect();
    let (trace_id, span_id, method) = (trace.trace_id(), trace.span_id(), request.method().as_str());
    let span = tracing::error_span!("request", trace_id, span_id, method, path);
    let watched = Class::of(&path) == Class::Health;
    let answered = async move {
        let started = Instant::now();
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let seconds = (started.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        let problem = response.extensions().get::<Problem>().map(Problem::slug);
        match problem {
            // Probes and scrapes: many, and all alike.
            _ if watched => tracing::debug!(status, seconds, problem, "answered"),
            _ => tracing::info!(status, seconds, problem, "answered"),
        }
        response
    };
    let mut response = CURRENT.scope(trace, answered).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn headers(given: &[&str]) -> HeaderMap {
        given.iter().map(|value| (HEADER.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_callers_trace_is_gone_on_with_and_nonsense_is_replaced() {
        let mut appended = headers(&[GIVEN]);
        let gone_on = of(&appended, 5);
        assert_eq!(gone_on, Trace::parse(GIVEN).unwrap().next(5));
        assert_ne!(gone_on.span_id(), "00f067aa0ba902b7");
        for other in
            [headers(&[]), headers(&["00-x"]), headers(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"])]
        {
            assert_eq!(of(&other, 5), Trace::begun(5));
        }
        appended.append(HEADER, GIVEN.parse().unwrap());
        assert_eq!(of(&appended, 5), Trace::begun(5), "two are none");
    }

    #[tokio::test]
    async fn what_is_written_says_its_trace_and_a_request_keeps_its_own() {
        let unit = || json!({"kind": "Unit", "metadata": {"name": "health", "annotations": {ANNOTATION_TRACE: "old"}}});
        let mut untraced = unit();
        mark(&mut untraced);
        assert_eq!(untraced, unit(), "outside of a request nothing is said");
        let trace = Trace::begun(5);
        let work = async move {
            let mut objects = [unit(), json!({"kind": "EnvironmentRequest", "metadata": {"name": "r"}}), unit()];
            objects[2]["kind"] = json!("EnvironmentRequest");
            objects.iter_mut().for_each(mark);
            objects.map(|object| object["metadata"]["annotations"][ANNOTATION_TRACE].clone())
        };
        // Also in a task of its own.
        let said = CURRENT.scope(trace, async { tokio::spawn(carried_on(work)).await.unwrap() }).await;
        assert_eq!(said, [json!(trace.to_string()), json!(trace.to_string()), json!("old")]);
    }
}
