//! Between this site's objects and the arbiter's records: the authority publishes, the other site follows.

mod brake;
mod feed;
mod follow;
mod local;
mod opening;
mod publish;
mod settled;

pub use brake::HeldBack;
pub use feed::{group_changed, run_feed};
pub use local::stands_before;
pub use opening::run_opening;

use crate::cluster::{ApplyError, Mirror, ObjectName};
use crate::context::Context;
use crate::index::Index;
use crate::link::LinkError;
use crate::queue::{Outcome, Queue};
use crate::status::Refusals;
use crate::trace;
use std::time::Duration;
use tandem_core::sync::{ObjectKey, PublishPlan, Restraint, plan_publish};
use tandem_logs::Chain;
use tracing::Instrument;

/// Why an object and its record were not brought together.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// This replica may not write.
    #[error("this replica may not write")]
    MayNotWrite(#[from] ApplyError),
    /// The API server did not take a write, or did not answer.
    #[error("the API server did not take {key}")]
    Cluster {
        /// Which object.
        key: ObjectKey,
        /// Why not.
        source: kube::Error,
    },
    /// The API server took too long.
    #[error("the API server took too long for {0}")]
    TooSlow(ObjectKey),
    /// The arbiter did not take a write, or did not answer.
    #[error("the arbiter did not take {key}")]
    Arbiter {
        /// Which object.
        key: ObjectKey,
        /// Why not.
        source: Box<LinkError>,
    },
    /// An object or a record is not of the form it must have.
    #[error("{0} does not decode")]
    Decode(ObjectKey),
}

/// Brings one object and its record together, in the direction that this site's authority gives.
pub async fn sync(context: Context, key: ObjectKey) -> Outcome {
    let work = trace::work("sync", &key);
    bring_together(context, key).instrument(work).await
}

async fn bring_together(context: Context, key: ObjectKey) -> Outcome {
    let standing = context.link.standing();
    if !standing.leads {
        context.dropped.note();
        return Outcome::Done;
    }
    if context.held.contains(&key) && context.index.record(&key).is_none() {
        // All that is known of it waits for a person: that is not the same as there being nothing.
        return Outcome::Done;
    }
    if !context.cluster.own.is_synced(key.kind.name()) || context.link.seen().is_none() {
        return Outcome::After(Duration::from_millis(500));
    }
    let result = match standing.authority {
        // Not known: neither published nor put back.
        None => return Outcome::After(Duration::from_secs(1)),
        // A new authority first takes in everything that the one before published, and applies that before it judges edits.
        Some(true) if !context.link.open_for_writes() => return Outcome::After(Duration::from_millis(200)),
        Some(true) => publish::publish(&context, &key).await,
        Some(false) => follow::follow(&context, &key).await,
    };
    match result {
        Ok(outcome) => outcome,
        Err(SyncError::MayNotWrite(_)) => Outcome::Retry,
        Err(SyncError::Cluster { source: kube::Error::Api(status), .. }) if status.code == 409 => {
            // Somebody wrote in between: everyday, and looked at anew.
            Outcome::After(Duration::from_millis(100))
        }
        Err(error) => {
            tracing::warn!(%key, error = %Chain(&error), "not brought together yet");
            Outcome::Retry
        }
    }
}

/// For how long the edit that has waited longest is to be published and is not; zero where none waits. What is refused does not
/// wait for anything that passes.
pub fn unpublished_for(
    site: &str,
    own: &Mirror,
    index: &Index,
    refusals: &Refusals,
    queue: &Queue<ObjectKey>,
) -> Duration {
    let to_publish = |key: &ObjectKey| {
        let kind = key.kind.name().to_owned();
        let object = own.get(&ObjectName { kind, namespace: key.namespace.clone(), name: key.name.clone() });
        let view = object.as_deref().map(|object| local::view(key, object));
        let plan = plan_publish(site, view.as_ref(), index.record(key).as_ref(), Restraint::None);
        matches!(plan, PublishPlan::Publish { .. }) && refusals.get(key).is_empty()
    };
    let mut waiting = queue.waiting();
    waiting.sort_by_key(|(_, since)| *since);
    waiting.into_iter().find(|(key, _)| to_publish(key)).map_or(Duration::ZERO, |(_, since)| since.elapsed())
}
