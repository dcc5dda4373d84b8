//! What becomes of a request, as it happens. An event's id is the same at both sites.

use super::super::events::{Sight, follow, last_event};
use super::super::extract::{Named, find};
use crate::authorise::{Action, authorise_named};
use crate::identity::Principal;
use crate::objects::{Objects, Owned};
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::EnvironmentRequestItem;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures::Stream;
use serde_json::json;
use std::convert::Infallible;

/// What becomes of a request, as it happens, by Server-Sent Events.
///
/// Each event `request` has the whole request. After `Provisioned`, `Rejected` or `Withdrawn` comes an event `end`, and the
/// stream ends. A stream lasts ten minutes: come back with `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/requests/{name}/events", tag = "requests", operation_id = "watchRequest",
    params(("name" = String, Path, description = "The name."),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received.")),
    responses((status = 200, description = "The events.", content_type = "text/event-stream", body = String)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let scope = authorise_named(&principal, Action::ReadRequests)?;
    follow(state, last_event(&headers), "request", move |objects: &dyn Objects| {
        let owned = Owned::within(&scope, objects)?;
        let Ok(request) = find(objects.requests()?, None, &name) else { return Ok(None) };
        let ended = request.status.as_ref().is_some_and(|status| status.phase.ended());
        let says = json!([request.spec, request.status]);
        let sight = || Sight::of(&says, &EnvironmentRequestItem::from(&*request), ended);
        Ok(owned.has_request(&request).then(sight))
    })
}
