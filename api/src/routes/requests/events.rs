//! What becomes of a request, as it happens: Server-Sent Events.
//!
//! Each event has the whole request, so that none that was missed is needed. Its id is a digest of what it says, the same at
//! both sites: whoever comes back with `Last-Event-ID` is sent nothing they have.

use super::super::extract::{Named, find};
use crate::authorise::{Action, authorise_named};
use crate::identity::Principal;
use crate::objects::{Objects, Owned};
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::EnvironmentRequestItem;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::sync::spec_hash;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often something is sent where nothing happens, so that both ends know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream lasts. Whoever comes back signs in anew, so that who may no longer look does not.
const LASTS: Duration = Duration::from_secs(600);
/// After how long a client should come back.
const RETRY: Duration = Duration::from_secs(2);
/// Changes within this time are one event.
const TOGETHER: Duration = Duration::from_millis(100);

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
    let owned = Owned::within(&authorise_named(&principal, Action::ReadRequests)?, &*state.objects)?;
    let request = find(state.objects.requests()?, None, &name)?;
    if !owned.has_request(&request) {
        return Err(Problem::NotFound);
    }
    let place = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| Problem::Overloaded)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let follower = Follower {
        name,
        last,
        changes: state.objects.changes(),
        objects: state.objects,
        stopping: state.stopping,
        until: Instant::now() + LASTS,
        next: Next::Look,
        _place: place,
    };
    Ok(Sse::new(unfold(follower, Follower::step)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

enum Next {
    Look,
    Wait,
    End,
    Over,
}

struct Follower {
    name: String,
    last: Option<String>,
    changes: watch::Receiver<u64>,
    objects: Arc<dyn Objects>,
    stopping: CancellationToken,
    until: Instant,
    next: Next,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    async fn step(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            match self.next {
                Next::Over => return None,
                Next::End => {
                    self.next = Next::Over;
                    return Some((Ok(Event::default().event("end").data("{}")), self));
                }
                Next::Wait => {
                    let changed = tokio::select! {
                        changed = self.changes.changed() => changed.is_ok(),
                        () = self.stopping.cancelled() => false,
                        () = sleep_until(self.until) => false,
                    };
                    if !changed {
                        return None;
                    }
                    sleep(TOGETHER).await;
                    self.next = Next::Look;
                }
                Next::Look => {
                    self.changes.mark_unchanged();
                    if let Some(event) = self.look() {
                        return Some((Ok(event), self));
                    }
                }
            }
        }
    }

    /// What there is to say of the request now, if that is something new.
    fn look(&mut self) -> Option<Event> {
        self.next = Next::Wait;
        let Ok(all) = self.objects.requests() else { return None };
        let Ok(request) = find(all, None, &self.name) else {
            self.next = Next::End;
            return None;
        };
        if request.status.as_ref().is_some_and(|status| status.phase.ended()) {
            self.next = Next::End;
        }
        let id = spec_hash(&json!([request.spec, request.status]))[..32].to_owned();
        if self.last.as_ref() == Some(&id) {
            return None;
        }
        let data = serde_json::to_string(&EnvironmentRequestItem::from(&*request)).unwrap_or_default();
        self.last = Some(id.clone());
        Some(Event::default().event("request").id(id).retry(RETRY).data(data))
    }
}
