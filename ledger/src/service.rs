//! What clients are answered.

use crate::database::{Database, Written};
use crate::log::{Line, Log, boot_nanos};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The header of an answer after which nothing was written. A 503 without it may come from somebody else on the way, and says nothing.
pub const REFUSED: &str = "tandem-refused";

/// How long a writer's name may be, in bytes.
const LONGEST_WRITER: usize = 64;
/// How many entries are read at once, where nothing is said and at most.
const USUAL_LIMIT: i64 = 1_000;
const HIGHEST_LIMIT: i64 = 10_000;

#[derive(Debug)]
struct Service {
    database: Database,
    log: Log,
}

type Of = State<Arc<Service>>;

/// The routes.
pub fn router(database: Database) -> Router {
    Router::new()
        .route("/v1/entries", get(entries).post(write))
        .route("/v1/log", get(log))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(Service { database, log: Log::default() }))
}

/// What is to be written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    writer: String,
    number: i64,
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

async fn write(State(service): Of, Json(Entry { writer, number }): Json<Entry>) -> Response {
    let asked_nanos = boot_nanos();
    if writer.is_empty() || writer.len() > LONGEST_WRITER {
        let error = format!("writer has {} bytes; give it 1 to {LONGEST_WRITER}", writer.len());
        return failure(StatusCode::BAD_REQUEST, &error);
    }
    // A client that hangs up must not leave a transaction between COMMIT and the log.
    let carried_out = tokio::spawn(async move {
        let written = service.database.append(&writer, number).await;
        let (outcome, why) = match &written {
            Written::Accepted { .. } => ("accepted", String::new()),
            Written::Refused(why) => ("refused", why.clone()),
            Written::Unknown(why) => ("unknown", why.clone()),
        };
        let (id, epoch) = match &written {
            Written::Accepted { id, epoch, .. } => (Some(*id), *epoch),
            Written::Refused(_) | Written::Unknown(_) => (None, None),
        };
        let answered_nanos = boot_nanos();
        service.log.add(Line { line: 0, asked_nanos, answered_nanos, writer, number, outcome, id, epoch, why });
        written
    });
    match carried_out.await {
        Ok(Written::Accepted { id, epoch, now }) => {
            let status = if now { StatusCode::CREATED } else { StatusCode::OK };
            (status, Json(json!({"id": id, "epoch": epoch}))).into_response()
        }
        Ok(Written::Refused(why)) => {
            ([(REFUSED, "ledger")], failure(StatusCode::SERVICE_UNAVAILABLE, &why)).into_response()
        }
        Ok(Written::Unknown(why)) => failure(StatusCode::GATEWAY_TIMEOUT, &why),
        Err(error) => failure(StatusCode::GATEWAY_TIMEOUT, &error.to_string()),
    }
}

/// Which entries are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    writer: Option<String>,
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

async fn entries(State(service): Of, Query(Wanted { writer, after, limit }): Query<Wanted>) -> Response {
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if !(1..=HIGHEST_LIMIT).contains(&limit) {
        return failure(StatusCode::BAD_REQUEST, &format!("limit is {limit}; write 1 to {HIGHEST_LIMIT}"));
    }
    match service.database.entries(writer.as_deref(), after, limit).await {
        Ok(entries) => Json(entries).into_response(),
        Err(why) => failure(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// From where on the log is wanted.
#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn log(State(service): Of, Query(After { after }): Query<After>) -> Response {
    Json(service.log.after(after)).into_response()
}

/// Ready where entries can be read: at a standby too, which cannot write.
async fn ready(State(service): Of) -> Response {
    match service.database.entries(None, 0, 1).await {
        Ok(_) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}
