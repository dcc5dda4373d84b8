//! The arbiter's records as they change, taken into the index; at the site without authority past the mass-change brake.

use crate::context::Context;
use crate::link::{Change, LinkError};
use crate::sync::brake::{Overtaken, Sluice};
use std::collections::BTreeSet;
use std::time::Duration;
use tandem_core::sync::{ObjectKey, Record, Versioned};
use tandem_crds::Kind;
use tandem_logs::Chain;

/// How soon to start again after the arbiter failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Why the arbiter's records are not followed any more.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    /// The arbiter did not answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The index holds what it must not.
    #[error(transparent)]
    Overtaken(#[from] Overtaken),
}

/// Keeps the index in step with the arbiter. Ends only where the index can't be used any more; the replica has to start anew.
///
/// Starts from a full list and goes on from its revision. When the watch breaks, or the revision has been compacted away,
/// it starts again. A key that a later full list does not have was buried and collected meanwhile, and leaves the index;
/// no object is deleted for that.
pub async fn run_feed(context: Context) {
    let mut sluice = Sluice::default();
    loop {
        match feed(&context, &mut sluice).await {
            Ok(()) => {}
            Err(FeedError::Link(error)) => {
                tracing::warn!(error = %Chain(&error), "the arbiter's records cannot be followed; trying again");
            }
            Err(FeedError::Overtaken(error)) => {
                tracing::error!(%error, "the index can't be used any more");
                return;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn feed(context: &Context, sluice: &mut Sluice) -> Result<(), FeedError> {
    let start = context.link.list(&context.config.sites).await?;
    for (name, group) in start.groups {
        group_changed(context, &name, group);
    }
    for (site, key, report) in start.reports {
        if context.index.enter_report(&site, &key, report) {
            context.queues.fold.add(key);
        }
    }
    let mut listed: BTreeSet<ObjectKey> = start.records.iter().map(|record| record.value.key().clone()).collect();
    listed.extend(start.unreadable);
    sluice.open(context).await?;
    for record in start.records {
        if let Some(record) = sluice.pass(context, record).await {
            record_changed(context, record);
        }
    }
    for key in context.index.keys() {
        if !listed.contains(&key) {
            collected(context, key, start.revision + 1);
        }
    }
    context.link.caught_up(start.revision);
    tracing::info!(revision = start.revision, records = listed.len(), "in step with the arbiter");
    let mut changes = context.link.watch(start.revision + 1).await?;
    loop {
        let batch = tokio::select! {
            batch = changes.next() => batch?,
            () = sluice.attend(context) => continue,
        };
        let Some(batch) = batch else { break };
        for change in batch.changes {
            match change {
                Change::Record(record) => {
                    if let Some(record) = sluice.pass(context, record).await {
                        record_changed(context, record);
                    }
                }
                Change::Collected { key, revision } => collected(context, key, revision),
                Change::Brake(state) => {
                    for record in sluice.recorded(context, state)? {
                        record_changed(context, record);
                    }
                }
                Change::Group { name, group } => group_changed(context, &name, group),
                Change::Report { site, key, report } => {
                    if context.index.enter_report(&site, &key, report) {
                        context.queues.fold.add(key);
                    }
                }
            }
        }
        if let Some(revision) = batch.revision {
            context.link.caught_up(revision);
        }
    }
    Ok(())
}

/// A record is gone from the arbiter as of this revision.
fn collected(context: &Context, key: ObjectKey, revision: i64) {
    if context.index.remove(&key, revision) {
        // Who leads has applied it, else it would not have been collected; this replica may not have been the one.
        context.progress.forget(&key);
        context.queues.sync.add(key);
    }
}

pub(super) fn record_changed(context: &Context, record: Versioned<Record>) {
    let key = record.value.key().clone();
    let revision = record.revision;
    if !context.index.enter(record) {
        return;
    }
    context.progress.begun(&key, revision);
    context.queues.add(&key);
    for dependent in context.index.dependents(&key) {
        if dependent.kind != Kind::Unit {
            context.queues.provision.add(dependent.clone());
        }
        context.queues.fold.add(dependent);
    }
    // What was refused for want of this may pass now.
    for refused in context.refusals.keys() {
        context.queues.sync.add_after(refused, Duration::from_millis(300));
    }
    for site in &context.config.sites {
        context.queues.fold.add_after(ObjectKey::cluster(Kind::DataCentre, site.as_str()), Duration::from_secs(2));
    }
}

/// Takes in who is active for a group, wherever that was seen, and has the group's applications looked at.
pub fn group_changed(context: &Context, name: &str, group: Versioned<tandem_arbiter::records::GroupRecord>) {
    if !context.index.enter_group(name, group) {
        return;
    }
    let key = ObjectKey::cluster(Kind::FailoverGroup, name);
    context.queues.provision.add(key.clone());
    context.queues.fold.add(key);
    for member in context.index.members(name) {
        context.queues.provision.add(member.clone());
        context.queues.fold.add(member);
    }
}
