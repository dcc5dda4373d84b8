//! The other site's side: its objects are made from the records, and what was written without authority is put back.

use super::local::Local;
use super::{SyncError, settled};
use crate::audit::wrote;
use crate::cluster::{Cluster, reference};
use crate::context::Context;
use crate::queue::Outcome;
use crate::trace;
use kube::runtime::events::EventType;
use std::collections::BTreeSet;
use std::time::Duration;
use tandem_core::check::Problem;
use tandem_core::sync::{ConflictSeed, FollowPlan, ObjectKey, Record, SpecRecord, Versioned, plan_follow};
use tandem_crds::status::Reason;

/// Brings one object in line with its record.
pub(super) async fn follow(context: &Context, key: &ObjectKey) -> Result<Outcome, SyncError> {
    let mut local = Local::look(context, key);
    let record = context.index.record(key);
    let plan = plan_follow(&context.config.site, record.as_ref(), local.view().as_ref());
    if let Some(record) = &record {
        trace::belongs_to(context, "follow", record);
    }
    let mut problems = Vec::new();
    let live = record.as_ref().and_then(|held| match &held.value {
        Record::Live(live) => Some((live, held.revision)),
        Record::Tombstone(_) => None,
    });
    let ends = matches!(plan, FollowPlan::Delete { .. } | FollowPlan::Recreate { .. });
    if ends && !cleared(context, &local, live).await? {
        return Ok(Outcome::After(Duration::from_millis(500)));
    }
    match plan {
        FollowPlan::Nothing => {}
        FollowPlan::Create => {
            create(&mut local, live).await?;
            followed(record.as_ref(), "create");
        }
        FollowPlan::Update { conflict } => {
            keep(context, &local, conflict).await?;
            if let Some((live, revision)) = live {
                local.overwrite(live, revision).await?;
                followed(record.as_ref(), "update");
            }
        }
        FollowPlan::Delete { conflict } | FollowPlan::RemoveUnauthorised { conflict } => {
            keep(context, &local, conflict).await?;
            local.delete().await?;
            followed(record.as_ref(), "delete");
        }
        FollowPlan::Recreate { conflict } => {
            keep(context, &local, conflict).await?;
            local.release().await?;
            // With its definition or its namespace on the way out, the next look is for when that is back.
            if settled::restraint(context, key).await? == tandem_core::sync::Restraint::CrdUnsettled {
                return Ok(Outcome::After(Duration::from_secs(2)));
            }
            local.refresh().await?;
            if local.object.is_none() {
                create(&mut local, live).await?;
                followed(record.as_ref(), "recreate");
            }
        }
        FollowPlan::Quarantine { why } => problems.push(quarantined(&why)),
        FollowPlan::ReleaseFinalizer => local.release().await?,
    }
    if context.refusals.set(key, &problems) {
        context.queues.fold.add(key.clone());
    }
    Ok(Outcome::Done)
}

fn followed(record: Option<&Versioned<Record>>, verb: &str) {
    tracing::info!(revision = record.map(|record| record.revision), verb, "followed");
}

/// Takes away what was made for an object that is over, before the object itself: it is the last to know that id. Says
/// whether all is gone. Its key may have passed to a new object already, whose own things then bear the same names.
async fn cleared(context: &Context, local: &Local<'_>, live: Option<(&SpecRecord, i64)>) -> Result<bool, SyncError> {
    let Some(view) = local.view() else { return Ok(true) };
    // Only what bore the id while it was in step with the arbiter was ever provisioned.
    let (Some(id), Some(_)) = (view.id, view.arbiter_revision) else { return Ok(true) };
    if live.is_some_and(|(live, _)| live.id == id) {
        return Ok(true);
    }
    context.cluster.prune(&id, &BTreeSet::new()).await?;
    Ok(context.cluster.rendered.owned_by(&id).is_empty())
}

/// What is said of an object whose revision the arbiter does not know.
pub(super) fn quarantined(why: &str) -> Problem {
    let message = format!(
        "{why}. It is left alone and never published. To keep what it says, save it, delete the object and create it anew \
         without spec.id and without annotations of tandem.dev"
    );
    Problem { reason: Reason::Quarantined, path: String::new(), message }
}

/// Makes the object from its record, if there is one.
pub(super) async fn create(local: &mut Local<'_>, live: Option<(&SpecRecord, i64)>) -> Result<(), SyncError> {
    match live {
        Some((live, revision)) => local.create(live, revision).await,
        None => Ok(()),
    }
}

/// Saves an edit that is about to be overwritten, and tells people where it is.
pub(super) async fn keep(
    context: &Context,
    local: &Local<'_>,
    conflict: Option<ConflictSeed>,
) -> Result<(), SyncError> {
    let Some(seed) = conflict else { return Ok(()) };
    let (key, id) = (seed.key.clone(), seed.id.clone());
    let metadata = local.object.as_ref().map(|object| object.metadata.clone()).unwrap_or_default();
    context
        .link
        .record_conflict(seed, &wrote(context, &metadata))
        .await
        .map_err(|source| SyncError::Arbiter { key: key.clone(), source: Box::new(source) })?;
    context.cluster.metrics.conflicts.with_label_values(&[key.kind.name()]).inc();
    tracing::warn!(%key, conflict = id, "an edit made without authority was saved and is put back");
    if let Some(object) = &local.object {
        let authority = context.link.standing().authority_site.unwrap_or_default();
        let note = format!(
            "this edit was not published: {} has no authority. It is saved as conflict {id} and put back; make it in {authority}",
            context.config.site
        );
        let about = reference(object, &Cluster::own_resource(key.kind));
        context.cluster.tell(about, EventType::Warning, "ConflictSaved", note).await;
    }
    Ok(())
}
