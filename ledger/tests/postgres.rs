//! The ledger on a real PostgreSQL, with a stand-in for the switch that the agent installs.
#![allow(clippy::unwrap_used)]

mod postgres {
    pub(crate) mod server;
}

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use postgres::server::{Gate, Server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tandem_ledger::database::{Database, Limits};
use tandem_ledger::service::router;
use tandem_ledger::settings::Settings;
use tower::ServiceExt;

/// How long anything may take that has no bound of its own.
const LONG: Duration = Duration::from_secs(60);
/// What a busy machine adds to a bound.
const SLACK: Duration = Duration::from_secs(2);

/// Patient with a busy machine, on which a program that is not optimised needs long to sign in.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    before_commit: Duration::from_secs(3),
    commit: Duration::from_secs(20),
    check: Duration::from_secs(20),
    read: Duration::from_secs(20),
};

fn ledger(settings: &Settings) -> Router {
    router(Database::new(settings, LIMITS).unwrap())
}

struct Answer {
    status: u16,
    refused: bool,
    body: Value,
}

async fn call(routes: &Router, request: Request<Body>) -> Answer {
    let response = routes.clone().oneshot(request).await.unwrap();
    let (status, refused) = (response.status().as_u16(), response.headers().contains_key("tandem-refused"));
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    Answer { status, refused, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

async fn write(routes: &Router, writer: &str, number: i64) -> Answer {
    let body = json!({"writer": writer, "number": number}).to_string();
    let request = Request::post("/v1/entries").header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
    call(routes, request.unwrap()).await
}

async fn get(routes: &Router, path: &str) -> Answer {
    call(routes, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn numbers(routes: &Router, query: &str) -> Vec<i64> {
    let answer = get(routes, &format!("/v1/entries{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.as_array().unwrap().iter().map(|entry| entry["number"].as_i64().unwrap()).collect()
}

/// Writes until it is accepted.
async fn until_accepted(routes: &Router, number: i64) -> Duration {
    let started = Instant::now();
    while write(routes, "again", number).await.status != 201 {
        assert!(started.elapsed() < LONG, "never accepted again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_is_told_what_is_true() {
    let server = Server::start();
    let routes = ledger(&server.settings());
    assert_eq!(get(&routes, "/healthz").await.status, 200);
    assert_eq!(get(&routes, "/readyz").await.status, 200);

    // Accepted, and once only.
    let first = write(&routes, "w1", 1).await;
    assert_eq!((first.status, &first.body["epoch"]), (201, &json!(7)), "{}", first.body);
    let again = write(&routes, "w1", 1).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(write(&routes, "w2", 1).await.status, 201, "another writer's number");
    assert_eq!(write(&routes, "w1", 2).await.status, 201);
    assert_eq!(numbers(&routes, "").await, [1, 1, 2]);
    assert_eq!(numbers(&routes, "?writer=w1").await, [1, 2]);
    assert_eq!(numbers(&routes, &format!("?writer=w1&after={}", first.body["id"])).await, [2]);
    assert_eq!(numbers(&routes, "?limit=1").await, [1]);
    let at = get(&routes, "/v1/entries?limit=1").await.body[0]["at"].as_str().unwrap().to_owned();
    assert!(at.starts_with("20") && at.contains('T') && at.ends_with('Z'), "{at}");

    // Refused before anything is written, and refused by the deferred check while it is committed.
    for gate in [Gate::Closed, Gate::ClosedAtCommit] {
        server.gate(gate);
        let refused = write(&routes, "w1", 3).await;
        assert_eq!((refused.status, refused.refused), (503, true), "{gate:?}: {}", refused.body);
        assert!(refused.body["error"].as_str().unwrap().contains("TD001"), "{}", refused.body);
        assert_eq!(numbers(&routes, "?writer=w1").await, [1, 2], "reads go on");
        assert_eq!(get(&routes, "/readyz").await.status, 200);
    }
    // Closed between COMMIT and the answer: it is there, and nobody is told so.
    server.gate(Gate::ClosedAfterCommit);
    let late = write(&routes, "w1", 4).await;
    assert_eq!((late.status, late.refused), (504, false), "{}", late.body);
    assert_eq!(numbers(&routes, "?writer=w1").await, [1, 2, 4]);
    // Another epoch by the time of the answer.
    server.gate(Gate::MovedAfterCommit);
    let moved = write(&routes, "w1", 5).await;
    assert_eq!((moved.status, moved.refused), (504, false), "{}", moved.body);
    // The session is ended while it commits.
    server.gate(Gate::EndedAtCommit);
    let ended = write(&routes, "w1", 6).await;
    assert_eq!((ended.status, ended.refused), (504, false), "{}", ended.body);
    // A repeat is told no more than the first call may be: the check decides.
    server.gate(Gate::Closed);
    assert_eq!(write(&routes, "w1", 4).await.status, 503);
    server.gate(Gate::Open);
    assert_eq!(write(&routes, "w1", 4).await.status, 200);
    assert_eq!(write(&routes, "w1", 6).await.status, 201, "it was not there");

    let log = get(&routes, "/v1/log").await.body;
    let outcomes: Vec<&str> = log.as_array().unwrap().iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    let wanted =
        "accepted accepted accepted accepted refused refused unknown unknown unknown refused accepted accepted";
    assert_eq!(outcomes.join(" "), wanted);
    for line in log.as_array().unwrap() {
        assert!(line["askedNanos"].as_u64().unwrap() < line["answeredNanos"].as_u64().unwrap(), "{line}");
    }
    assert_eq!(get(&routes, "/v1/log?after=11").await.body.as_array().unwrap().len(), 1);

    // What makes no sense is said so, and never reaches the database.
    assert_eq!(write(&routes, "", 1).await.status, 400);
    assert_eq!(write(&routes, &"w".repeat(65), 1).await.status, 400);
    assert_eq!(get(&routes, "/v1/entries?limit=0").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_and_comes_back() {
    let mut server = Server::start();
    let routes = ledger(&server.settings());
    assert_eq!(write(&routes, "w1", 1).await.status, 201);

    server.stop();
    let asked = Instant::now();
    let refused = write(&routes, "w1", 2).await;
    assert_eq!((refused.status, refused.refused), (503, true), "{}", refused.body);
    assert!(asked.elapsed() < SLACK, "refused after {:?}", asked.elapsed());
    assert_eq!(get(&routes, "/readyz").await.status, 503);
    assert_eq!(get(&routes, "/healthz").await.status, 200, "nothing is wrong with the ledger itself");

    server.run();
    until_accepted(&routes, 3).await;
    assert_eq!(numbers(&routes, "?writer=w1").await, [1]);
    assert_eq!(get(&routes, "/readyz").await.status, 200);

    // Somebody holds a lock: nothing can be written, and the writer is told by its time all the same.
    let lock = server.hold_lock();
    let asked = Instant::now();
    let refused = write(&routes, "w1", 4).await;
    assert_eq!((refused.status, refused.refused), (503, true), "{}", refused.body);
    assert!(asked.elapsed() < LIMITS.before_commit + SLACK, "refused after {:?}", asked.elapsed());
    drop(lock);
    until_accepted(&routes, 5).await;
    assert_eq!(numbers(&routes, "?writer=w1").await, [1], "what was refused is not written later");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_database_of_the_right_authority_and_name_is_believed() {
    let server = Server::start();
    let right = server.settings();
    let mut other_authority = right.clone();
    other_authority.authority = postgres::server::authority().pem();
    let mut other_name = right.clone();
    other_name.host = "localhost".to_owned();
    for settings in [other_authority, other_name] {
        let routes = ledger(&settings);
        let refused = write(&routes, "w1", 1).await;
        assert_eq!((refused.status, refused.refused), (503, true), "{}", refused.body);
        assert!(refused.body["error"].as_str().unwrap().contains("certificate"), "{}", refused.body);
        assert_eq!(get(&routes, "/readyz").await.status, 503);
    }
    let mut nonsense = right;
    nonsense.authority = "no certificate".to_owned();
    assert!(Database::new(&nonsense, LIMITS).is_err());
}
