//! Provisioning: from the arbiter's records to what runs in this site. One controller a kind.
//!
//! Every controller is the same short pipeline: observe what it needs, have the objects rendered, apply them, prune what
//! is left over, and say how things stand. A record that the arbiter holds is what counts, never a local object: an edit
//! that has not been published changes nothing, and a local object that is missing takes nothing with it.

mod application;
mod blocked;
mod data_centre;
mod environment;
mod failover_group;
mod unit;

pub(crate) use application::missing_secrets;
pub use blocked::Blocked;
pub use data_centre::{is_shared_namespace, own_data_centre};

use crate::cluster::ApplyError;
use crate::context::Context;
use crate::index::typed;
use crate::queue::Outcome;
use crate::status::Report;
use crate::sync;
use crate::trace;
use std::collections::BTreeSet;
use std::time::Duration;
use tandem_core::render::RenderError;
use tandem_core::sync::{ObjectKey, Record, SpecRecord};
use tandem_crds::status::Reason;
use tandem_crds::{Application, Environment, Kind, TandemKind};
use tandem_logs::Chain;
use tracing::Instrument;

/// How soon to look again at what only time or somebody else can mend.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How soon to look again for a Secret: only its presence may be asked, so there is nothing to watch.
const LOOK_FOR_SECRET: Duration = Duration::from_secs(10);

/// Why a reconcile did not come to a report.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// An object could not be applied.
    #[error("an object could not be applied")]
    Apply(#[from] ApplyError),
    /// The objects could not be rendered.
    #[error("the objects could not be rendered")]
    Render(#[from] RenderError),
    /// The record does not decode.
    #[error("the record of {0} does not decode")]
    Record(ObjectKey),
}

/// Brings this site in line with the record of one object, and reports.
pub async fn provision(context: Context, key: ObjectKey) -> Outcome {
    let work = trace::work_on(&context, "apply", &key);
    bring_in_line(context, key).instrument(work).await
}

async fn bring_in_line(context: Context, key: ObjectKey) -> Outcome {
    // Put to rest, a site has no leader; see `at_rest`.
    let rests = key.kind == Kind::Application && context.at_rest();
    if !context.link.standing().leads && !rests {
        context.dropped.note();
        return Outcome::Done;
    }
    if !context.cluster.is_synced() {
        return Outcome::After(Duration::from_millis(500));
    }
    if key.kind != Kind::DataCentre && context.link.unconfirmed() {
        // The records are a backup's. What runs stays as it is until somebody with authority has brought them up to date.
        return Outcome::After(LOOK_AGAIN);
    }
    let Some(record) = context.index.record(&key) else { return Outcome::Done };
    let result = match &record.value {
        Record::Tombstone(tombstone) => return tear_down(&context, &key, &tombstone.id, record.revision).await,
        Record::Live(live) => reconcile(&context, live).await,
    };
    match result {
        Ok(report) if !context.held.is_empty() && matches!(report.reason, Reason::NotFound | Reason::Progressing) => {
            // What it waits for may be held back by the brake; that is told of the data centre, not of each object.
            Outcome::After(LOOK_AGAIN)
        }
        Ok(report) => {
            let again = match report.reason {
                _ if report.ready => None,
                Reason::SecretMissing => Some(LOOK_FOR_SECRET),
                _ => Some(LOOK_AGAIN),
            };
            context.reporter.report(&key, &record, report);
            context.progress.done(&key, record.revision);
            again.map_or(Outcome::Done, Outcome::After)
        }
        Err(error) => {
            let passing = matches!(&error, ProvisionError::Apply(error) if error.is_passing());
            if passing {
                tracing::debug!(%key, error = %Chain(&error), "not provisioned yet");
                return Outcome::Retry;
            }
            if let ProvisionError::Apply(ApplyError::NotOurs { object, .. }) = &error {
                context.blocked.wait(object.clone(), key.clone());
                if context.cluster.rendered.get(object).is_none() {
                    // Gone in between, before anybody waited for that.
                    return Outcome::Retry;
                }
            }
            tracing::warn!(%key, error = %Chain(&error), "not provisioned");
            context.reporter.report(&key, &record, refusal(&error));
            context.progress.done(&key, record.revision);
            Outcome::After(LOOK_AGAIN)
        }
    }
}

/// Says how many objects were made, changed or taken away, where any were.
fn applied(changed: usize, pruned: usize) {
    if changed + pruned > 0 {
        tracing::info!(changed, pruned, "applied");
    }
}

fn refusal(error: &ProvisionError) -> Report {
    let (reason, message) = match error {
        ProvisionError::Apply(error @ ApplyError::NotOurs { .. }) => (Reason::NotOurs, error.to_string()),
        ProvisionError::Apply(error @ ApplyError::Missing { .. }) => (Reason::WorkloadMissing, error.to_string()),
        ProvisionError::Apply(error) => (Reason::ApplyFailed, error.to_string()),
        ProvisionError::Render(error) => (Reason::Invalid, error.to_string()),
        ProvisionError::Record(_) => (Reason::Invalid, error.to_string()),
    };
    Report::not_ready(reason, message)
}

async fn reconcile(context: &Context, live: &SpecRecord) -> Result<Report, ProvisionError> {
    match live.key.kind {
        Kind::DataCentre => data_centre::reconcile(context, &live.key).await,
        // Nothing is rendered from these.
        Kind::SecurityProfile | Kind::EnvironmentRequest => Ok(Report::ready()),
        Kind::Unit => Ok(unit::reconcile(context, &decoded(live)?)),
        Kind::FailoverGroup => Ok(failover_group::reconcile(context, &live.key.name)),
        Kind::Environment => environment::reconcile(context, &decoded::<Environment>(live)?).await,
        Kind::Application => application::reconcile(context, &decoded::<Application>(live)?).await,
    }
}

fn decoded<K: TandemKind>(live: &SpecRecord) -> Result<K, ProvisionError> {
    typed(live).ok_or_else(|| ProvisionError::Record(live.key.clone()))
}

/// Takes away what was rendered for an object that was deleted, by its durable id alone.
async fn tear_down(context: &Context, key: &ObjectKey, id: &str, revision: i64) -> Outcome {
    context.reporter.forget(key);
    match context.cluster.prune(id, &BTreeSet::new()).await {
        Ok(0) if context.cluster.rendered.owned_by(id).is_empty() => {
            if sync::stands_before(context, key, revision) {
                // The tombstone has to stay until the object itself is gone: without it the object would be quarantined.
                context.queues.sync.add(key.clone());
                return Outcome::After(Duration::from_secs(1));
            }
            if let Err(error) = context.link.retract_status(key.clone()).await {
                tracing::debug!(%key, error = %Chain(&error), "what was said of it is not taken back yet");
                return Outcome::Retry;
            }
            context.progress.done(key, revision);
            // The object's finalizer waits for this.
            context.queues.sync.add(key.clone());
            Outcome::Done
        }
        Ok(_) => Outcome::After(Duration::from_millis(500)),
        Err(error) => {
            tracing::warn!(%key, error = %Chain(&error), "not taken away yet");
            Outcome::Retry
        }
    }
}
