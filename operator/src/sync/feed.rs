//! The arbiter's records as they change, taken into the index; at the site without authority past the mass-change brake.

use crate::chain::Chain;
use crate::context::Context;
use crate::link::{Change, LinkError};
use crate::sync::brake::Sluice;
use std::time::Duration;
use tandem_core::sync::{ObjectKey, Record, Versioned};
use tandem_crds::Kind;

/// How soon to start again after the arbiter failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Keeps the index in step with the arbiter for ever.
///
/// Starts from a full list and goes on from its revision. When the watch breaks, or the revision has been compacted away,
/// it starts again; nothing is taken out of the index because a list does not have it, only because a later deletion was
/// seen, or because the full list is newer than the entry.
pub async fn run_feed(context: Context) {
    let mut sluice = Sluice::default();
    loop {
        if let Err(error) = feed(&context, &mut sluice).await {
            tracing::warn!(
                error = %Chain(&error),
                "the arbiter's records cannot be followed; trying again"
            );
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn feed(context: &Context, sluice: &mut Sluice) -> Result<(), LinkError> {
    let start = context.link.list(&context.config.sites).await?;
    for (name, group) in start.groups {
        group_changed(context, &name, group);
    }
    for (site, key, report) in start.reports {
        if context.index.enter_report(&site, &key, report) {
            context.queues.fold.add(key);
        }
    }
    let listed: std::collections::BTreeSet<ObjectKey> =
        start.records.iter().map(|record| record.value.key().clone()).collect();
    sluice.open(context).await?;
    for record in start.records {
        if let Some(record) = sluice.pass(context, record).await {
            record_changed(context, record);
        }
    }
    for key in context.index.keys() {
        // Collected by the arbiter while this replica did not look. Only tombstones are ever collected.
        let collected = !listed.contains(&key)
            && context.index.record(&key).is_some_and(|held| matches!(held.value, Record::Tombstone(_)));
        if collected {
            context.index.remove(&key, start.revision);
        }
    }
    context.link.caught_up(start.revision);
    tracing::info!(revision = start.revision, records = listed.len(), "in step with the arbiter");
    let mut changes = context.link.watch(start.revision + 1).await?;
    loop {
        let batch = tokio::select! {
            batch = changes.next() => batch?,
            () = sluice.confirmed(context) => {
                for record in sluice.release(context).await? {
                    record_changed(context, record);
                }
                continue;
            }
        };
        let Some(batch) = batch else { break };
        for change in batch.changes {
            match change {
                Change::Record(record) => {
                    if let Some(record) = sluice.pass(context, record).await {
                        record_changed(context, record);
                    }
                }
                Change::Collected { key, revision } => {
                    if context.index.remove(&key, revision) {
                        context.queues.sync.add(key);
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

fn group_changed(context: &Context, name: &str, group: Versioned<tandem_arbiter::records::GroupRecord>) {
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
