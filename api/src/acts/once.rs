//! Doing something once, however often it is asked: by a key that both sites read alike.

use super::key::Call;
use crate::problem::Problem;
use crate::state::AppState;
use crate::trace;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use serde::Serialize;
use tandem_arbiter::arbiter::Claimed;
use tandem_arbiter::records::{AnswerRecord, IdempotencyRecord};

/// For how long an answer is kept: 24 hours.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// For how long nobody takes over the work of a replica that is silent.
const ALONE: SignedDuration = SignedDuration::from_mins(2);

/// Where something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only at the site with authority.
    Authority,
    /// At either site, also while the other is lost.
    Anywhere,
}

/// What is answered, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    status: StatusCode,
    location: Option<String>,
    body: String,
}

impl Done {
    /// Something was made, and is found there.
    pub(crate) fn created<T: Serialize>(location: String, body: &T) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), body: text(body) }
    }

    /// Something was taken on; what becomes of it is to be watched.
    pub(crate) fn accepted<T: Serialize>(location: String, body: &T) -> Self {
        Self { status: StatusCode::ACCEPTED, location: Some(location), body: text(body) }
    }

    /// Something is there no more; there is nothing to show.
    pub(crate) fn gone() -> Self {
        Self { status: StatusCode::NO_CONTENT, location: None, body: String::new() }
    }

    fn record(&self) -> AnswerRecord {
        let location = self.location.iter().map(|place| ("location".to_owned(), place.clone()));
        AnswerRecord { status: self.status.as_u16(), headers: location.collect(), body: self.body.clone() }
    }
}

fn text<T: Serialize>(body: &T) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// Does the work, or gives the answer of when it was done. The work is told the revision of the record by which this site has
/// authority, where that was asked for; else 0. It goes on to its end also when whoever asked has gone: what was
/// begun in the audit chain is completed.
///
/// # Errors
/// What the work says, and then the key is free again; [`Problem::Misdirected`] at a site without authority; what the key
/// makes impossible.
pub(crate) async fn once<F, W>(state: &AppState, place: Place, call: Call<()>, work: W) -> Result<Response, Problem>
where
    W: FnOnce(Call<()>, i64) -> F + Send + 'static,
    F: Future<Output = Result<Done, Problem>> + Send + 'static,
{
    let authority = match place {
        Place::Authority => authority(state).await?,
        Place::Anywhere => 0,
    };
    let own = state.clone();
    let task = state.running.spawn(trace::carried_on(async move { claimed(&own, call, authority, work).await }));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "what was to be done ended early");
        Err(Problem::Internal)
    })
}

/// The revision of the record by which this site has authority.
async fn authority(state: &AppState) -> Result<i64, Problem> {
    let authority = state.coordination.authority().await?;
    match authority.site {
        Some(site) if *site == *state.site => Ok(authority.revision),
        None => Err(Problem::AuthorityMoved),
        Some(site) => {
            let address = state.addresses.get(&site).cloned();
            Err(Problem::Misdirected { site, address })
        }
    }
}

async fn claimed<F, W>(state: &AppState, call: Call<()>, authority: i64, work: W) -> Result<Response, Problem>
where
    W: FnOnce(Call<()>, i64) -> F,
    F: Future<Output = Result<Done, Problem>>,
{
    let now = state.now();
    let id = call.id.clone();
    let record = IdempotencyRecord {
        request: call.digest.clone(),
        claim: state.random_id(),
        until: now + ALONE,
        expires: now + KEPT,
        taken_over: false,
        answer: None,
    };
    let revision = match state.coordination.claim(&id, &record, now).await? {
        // Who was at work and died may have written. The work looks at what there is, in either case.
        Claimed::Ours { revision } | Claimed::TakenOver { revision } => revision,
        Claimed::Running { .. } => return Err(Problem::InProgress),
        Claimed::Answered(answer) => return Ok(respond(&answer, true)),
        Claimed::OtherRequest => return Err(Problem::KeyReused),
    };
    match work(call, authority).await {
        Ok(done) => {
            let answer = done.record();
            if state.coordination.keep(&id, revision, &record, &answer).await.is_err() {
                tracing::warn!("an answer is not kept: asked again, it is looked for what was made");
            }
            Ok(respond(&answer, false))
        }
        Err(problem) => {
            // Where that fails the key is free in two minutes.
            let _ = state.coordination.release(&id, revision).await;
            Err(problem)
        }
    }
}

/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

fn respond(answer: &AnswerRecord, again: bool) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body.clone()).into_response();
    let headers = response.headers_mut();
    if answer.body.is_empty() {
        headers.remove(header::CONTENT_TYPE);
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(location) = answer.headers.get("location").and_then(|place| HeaderValue::from_str(place).ok()) {
        headers.insert(header::LOCATION, location);
    }
    if again {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
