//! The gate over HTTP: who is active here, from memory and at once.
//!
//! What is answered is worked out by [`tandem_arbiter::gate`]; here it only becomes a response. Balancers ask with GET, HEAD or
//! OPTIONS (HAProxy's `option httpchk` sends OPTIONS unless told otherwise), and all three get the same answer.

mod feed;

pub use feed::run_gate_feed;

use axum::Router;
use axum::extract::{Query as Parameters, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::clock::{BootClock, Clock, boot_id};
use tandem_arbiter::gate::{GateAnswer, Query, SharedGate, Transition};

/// Reads the boot clock.
type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What the gate's routes need.
#[derive(Clone)]
pub struct GateState {
    gate: SharedGate,
    now: Now,
    started: Duration,
    boot: Arc<str>,
}

impl std::fmt::Debug for GateState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateState").field("gate", &self.gate).finish()
    }
}

impl GateState {
    /// For this gate, on this machine's boot clock.
    #[must_use]
    pub fn new(gate: SharedGate) -> Self {
        Self::with_clock(gate, Arc::new(|| BootClock.now()))
    }

    fn with_clock(gate: SharedGate, now: Now) -> Self {
        Self { gate, started: now(), now, boot: boot_id().unwrap_or_default().into() }
    }
}

/// The gate's routes.
pub fn router(state: GateState) -> Router {
    Router::new()
        .route("/active", any(ask))
        .route("/active/{group}", any(ask))
        .route("/holder/{group}", any(ask))
        .route("/promotable/{group}", any(ask))
        .route("/site", any(ask))
        .route("/transitions", any(transitions))
        .with_state(state)
}

/// The methods that ask and change nothing.
fn asks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

async fn ask(State(state): State<GateState>, method: Method, uri: Uri) -> Response {
    if !asks(&method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(query) = uri.path().parse::<Query>() else { return StatusCode::NOT_FOUND.into_response() };
    let now = (state.now)();
    respond(&state.gate.with(|gate| gate.answer(&query, now)))
}

fn respond(answer: &GateAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let (kind, body) = if answer.body.is_null() {
        ("text/plain; charset=utf-8", format!("{}\n", answer.reason))
    } else {
        ("application/json", answer.body.to_string())
    };
    let mut response =
        (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response();
    for (name, value) in answer.headers() {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// From where on transitions are wanted.
#[derive(Debug, Deserialize)]
struct After {
    /// The number of the last one that is known.
    #[serde(default)]
    after: u64,
}

async fn transitions(
    State(state): State<GateState>,
    method: Method,
    Parameters(After { after }): Parameters<After>,
) -> Response {
    if !asks(&method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let now = (state.now)();
    let kept: Vec<Transition> =
        state.gate.with(|gate| gate.transitions(now).filter(|transition| transition.number > after).cloned().collect());
    let nanos = |at: Duration| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    // Numbers begin anew with the process: `startedNanos` tells one from the next.
    let (started, now) = (nanos(state.started), nanos(now));
    let answer = json!({"bootId": &*state.boot, "startedNanos": started, "nowNanos": now, "transitions": kept});
    axum::Json(answer).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use std::collections::BTreeMap;
    use tandem_arbiter::gate::Gate;
    use tandem_arbiter::membership::Timing;
    use tandem_arbiter::records::{GroupRecord, Versioned};
    use tower::ServiceExt;

    const T: Duration = Duration::from_secs(10);

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn shared() -> SharedGate {
        SharedGate::new(Gate::new("dc-a", "operator-0", 1, Timing::from_heartbeat(T / 5).unwrap()))
    }

    fn at(gate: &SharedGate, now: Duration) -> Router {
        router(GateState::with_clock(gate.clone(), Arc::new(move || now)))
    }

    fn beat(gate: &SharedGate, at: Duration) {
        let held = Versioned::new(5, GroupRecord::first("dc-a"));
        let other = Versioned::new(6, GroupRecord::first("dc-b"));
        let groups = BTreeMap::from([("ours".to_owned(), held), ("theirs".to_owned(), other)]);
        gate.with(|gate| gate.counted(at, at, 7, &groups));
    }

    async fn call(router: Router, method: Method, path: &str) -> (u16, BTreeMap<String, String>, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_replica_that_has_just_started_is_passive_and_says_why() {
        let gate = shared();
        for path in ["/active/ours", "/promotable/ours", "/holder/ours", "/site"] {
            let (status, _, body) = call(at(&gate, second(1)), Method::GET, path).await;
            assert_eq!(status, 503, "{path}");
            assert!(body.contains("has not been read"), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn every_method_of_a_health_check_gets_the_same_answer() {
        let gate = shared();
        beat(&gate, second(1));
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let (status, headers, _) = call(at(&gate, second(2)), method.clone(), "/active/ours").await;
            assert_eq!(status, 200, "{method}");
            assert_eq!(headers["tandem-epoch"], "1");
            assert_eq!(headers["tandem-valid-for-ms"], "6000");
            assert_eq!(headers["cache-control"], "no-store");
        }
        assert_eq!(call(at(&gate, second(2)), Method::POST, "/active/ours").await.0, 405);
        assert_eq!(call(at(&gate, second(2)), Method::GET, "/active/theirs").await.0, 503);
        assert_eq!(call(at(&gate, second(2)), Method::GET, "/active/nobodys").await.0, 404);
    }

    #[tokio::test]
    async fn without_heartbeats_the_gate_closes_by_itself_and_the_record_stays() {
        let gate = shared();
        beat(&gate, second(1));
        let late = at(&gate, second(9));
        let (status, headers, body) = call(late.clone(), Method::GET, "/active/ours").await;
        assert_eq!(status, 503);
        assert!(body.contains("fenced"), "{body}");
        assert!(!headers.contains_key("tandem-valid-for-ms"));
        assert_eq!(call(late.clone(), Method::GET, "/holder/ours").await.0, 200);
        assert_eq!(call(late, Method::GET, "/promotable/ours").await.0, 503);
    }

    #[tokio::test]
    async fn the_list_and_the_transitions_are_readable() {
        let gate = shared();
        beat(&gate, second(1));
        let (status, _, body) = call(at(&gate, second(2)), Method::GET, "/active").await;
        let list: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, list.as_array().unwrap().len()), (200, 2));
        let (_, _, body) = call(at(&gate, second(9)), Method::GET, "/transitions").await;
        let all: serde_json::Value = serde_json::from_str(&body).unwrap();
        let ours: Vec<bool> = all["transitions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|transition| transition["group"] == "ours")
            .map(|transition| transition["active"].as_bool().unwrap())
            .collect();
        assert_eq!(ours, [true, false], "{body}");
        let last = all["transitions"].as_array().unwrap().last().unwrap()["number"].as_u64().unwrap();
        let (_, _, body) = call(at(&gate, second(9)), Method::GET, &format!("/transitions?after={last}")).await;
        assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["transitions"], json!([]));
    }
}
