//! What becomes of an object, as it happens: Server-Sent Events.
//!
//! Each event has the whole object, so that none that was missed is needed. Its id is a digest of what it says: whoever comes
//! back with `Last-Event-ID` is sent nothing they have.

use crate::objects::Objects;
use crate::problem::Problem;
use crate::state::AppState;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use serde::Serialize;
use serde_json::Value;
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

/// The id of the last event that somebody received who comes back.
pub(super) fn last_event(headers: &HeaderMap) -> Option<String> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned)
}

/// What there is to say of an object.
pub(super) struct Sight {
    id: String,
    data: String,
    ended: bool,
}

impl Sight {
    /// Of an object that says this, and is shown as `item`; the stream ends after one that has `ended`.
    pub(super) fn of<T: Serialize>(says: &Value, item: &T, ended: bool) -> Self {
        Self { id: spec_hash(says)[..32].to_owned(), data: serde_json::to_string(item).unwrap_or_default(), ended }
    }
}

/// Follows an object: `look` gives what there is to say of it now to whoever asks, and `None` once there is nothing of it that
/// is theirs to see.
///
/// # Errors
/// [`Problem::NotFound`] where there is nothing to see now; [`Problem::Overloaded`] where too many follow something already.
pub(super) fn follow<L>(
    state: AppState,
    last: Option<String>,
    event: &'static str,
    look: L,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem>
where
    L: Fn(&dyn Objects) -> Result<Option<Sight>, Problem> + Send + 'static,
{
    look(&*state.objects)?.ok_or(Problem::NotFound)?;
    let place = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| Problem::Overloaded)?;
    let follower = Follower {
        event,
        look,
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

struct Follower<L> {
    event: &'static str,
    look: L,
    last: Option<String>,
    changes: watch::Receiver<u64>,
    objects: Arc<dyn Objects>,
    stopping: CancellationToken,
    until: Instant,
    next: Next,
    _place: OwnedSemaphorePermit,
}

impl<L: Fn(&dyn Objects) -> Result<Option<Sight>, Problem>> Follower<L> {
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
                    if let Some(event) = self.sight() {
                        return Some((Ok(event), self));
                    }
                }
            }
        }
    }

    /// What there is to say of the object now, if that is something new.
    fn sight(&mut self) -> Option<Event> {
        self.next = Next::Wait;
        let Ok(found) = (self.look)(&*self.objects) else { return None };
        let Some(sight) = found else {
            self.next = Next::End;
            return None;
        };
        if sight.ended {
            self.next = Next::End;
        }
        if self.last.as_ref() == Some(&sight.id) {
            return None;
        }
        self.last = Some(sight.id.clone());
        Some(Event::default().event(self.event).id(sight.id).retry(RETRY).data(sight.data))
    }
}
