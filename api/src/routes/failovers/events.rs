//! What becomes of a failover, as it happens.

use super::super::events::{Sight, follow, last_event};
use super::super::extract::{Named, find};
use crate::authorise::{Action, authorise_named};
use crate::identity::Principal;
use crate::objects::{Objects, Owned};
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::FailoverItem;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures::Stream;
use serde_json::json;
use std::convert::Infallible;

/// What becomes of a failover, as it happens, by Server-Sent Events. Agencies see their own part.
///
/// Each event `failover` has the whole failover. After `Completed`, `PartlyCompleted`, `RolledBack` or `Refused` comes an event
/// `end`, and the stream ends. A stream lasts ten minutes: come back with `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/failovers/{name}/events", tag = "failovers", operation_id = "watchFailover",
    params(("name" = String, Path, description = "The name."),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received.")),
    responses((status = 200, description = "The events.", content_type = "text/event-stream", body = String)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let scope = authorise_named(&principal, Action::ReadFailovers)?;
    follow(state, last_event(&headers), "failover", move |objects: &dyn Objects| {
        let Ok(failover) = find(objects.failovers()?, None, &name) else { return Ok(None) };
        let Some(part) = Owned::within(&scope, objects)?.part_of(&failover) else { return Ok(None) };
        let ended = part.status.as_ref().is_some_and(|status| status.phase.ended());
        Ok(Some(Sight::of(&json!([part.spec, part.status]), &FailoverItem::from(&part), ended)))
    })
}
