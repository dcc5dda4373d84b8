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

use crate::chain::Chain;
use crate::cluster::ApplyError;
use crate::context::Context;
use crate::link::LinkError;
use crate::queue::Outcome;
use crate::trace;
use std::time::Duration;
use tandem_core::sync::ObjectKey;
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
