//! The mass-change brake, between the arbiter's watch and the index: at the site without authority, records that would
//! delete or scale down much of the city at once are held back until a person confirms.

use crate::chain::Chain;
use crate::context::Context;
use crate::controllers::own_data_centre;
use crate::link::LinkError;
use crate::progress::Progress;
use std::collections::VecDeque;
use std::time::Duration;
use tandem_core::sync::{Brake, Record, Tripped, Versioned};
use tandem_crds::{Application, Kind};

/// The annotation on the site's DataCentre with which a person confirms. Its value is the number that the brake's message
/// gives: another trip needs another confirmation.
const CONFIRM: &str = "tandem.dev/confirm-mass-change";

/// Holds records back while the brake is tripped.
#[derive(Debug, Default)]
pub(super) struct Sluice {
    brake: Brake,
    held: VecDeque<Versioned<Record>>,
    /// What had been applied when this replica began: older records are no news.
    applied: i64,
    /// The arbiter's revision of the record that the brake is tripped: what a person confirms.
    record: Option<i64>,
}

impl Sluice {
    /// Starts from what the arbiter knows: how far this site has come, and whether the brake was tripped before.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub(super) async fn open(&mut self, context: &Context) -> Result<(), LinkError> {
        self.applied = context.link.applied().await?;
        self.held.clear();
        if let Some((revision, tripped)) = context.link.brake().await? {
            self.record = Some(revision);
            self.brake.restore(tripped);
        }
        self.show(context);
        Ok(())
    }

    /// The records that may pass now: this one, or none.
    pub(super) async fn pass(&mut self, context: &Context, record: Versioned<Record>) -> Option<Versioned<Record>> {
        let follows = context.link.standing().authority == Some(false);
        if !follows || record.revision <= self.applied {
            return Some(record);
        }
        let kind = record.value.key().kind;
        let total = context.index.count(kind);
        let admitted =
            self.brake.admit(context.link.uptime(), kind, record.value.id(), total, reduces(context, &record.value));
        match admitted {
            Ok(()) => Some(record),
            Err(tripped) => {
                if self.record.is_none() {
                    self.trip(context, &tripped).await;
                }
                self.hold(&context.progress, record);
                None
            }
        }
    }

    /// Keeps a record back. It counts as not applied, so that this site never says that it is past it: a tombstone that
    /// both sites claim to have applied is collected, and what it would have deleted could never go.
    fn hold(&mut self, progress: &Progress, record: Versioned<Record>) {
        progress.begun(record.value.key(), record.revision);
        self.held.push_back(record);
    }

    async fn trip(&mut self, context: &Context, tripped: &Tripped) {
        tracing::error!(%tripped, confirm = CONFIRM, "the mass-change brake is on: the follower has stopped");
        match context.link.trip_brake(tripped).await {
            Ok(revision) => self.record = Some(revision),
            // The brake holds all the same; it is recorded with the next record that it holds back.
            Err(error) => tracing::warn!(error = %Chain(&error), "the brake could not be recorded"),
        }
        self.show(context);
    }

    fn show(&self, context: &Context) {
        context.cluster.metrics.brake.set(i64::from(self.brake.tripped().is_some()));
        let message = self.brake.tripped().map(|tripped| {
            let site = &context.config.site;
            let record = self.record.unwrap_or_default();
            format!("{tripped}. To confirm: kubectl annotate --overwrite datacentre {site} {CONFIRM}={record}")
        });
        context.site.set_brake(message);
        context.queues.provision.add(own_data_centre(&context.config.site));
    }

    /// Waits until a person has confirmed; for ever while the brake is not tripped.
    pub(super) async fn confirmed(&self, context: &Context) {
        loop {
            if self.record.is_some() && confirmation(context) == self.record {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Lets go what was held back.
    ///
    /// # Errors
    /// When the arbiter does not take the confirmation; then the brake stays on.
    pub(super) async fn release(&mut self, context: &Context) -> Result<Vec<Versioned<Record>>, LinkError> {
        if let Some(record) = self.record.take() {
            context.link.clear_brake(record).await?;
        }
        self.brake.confirm(context.link.uptime());
        tracing::warn!(records = self.held.len(), "a person confirmed the mass change: the follower goes on");
        self.show(context);
        Ok(self.held.drain(..).collect())
    }
}

fn confirmation(context: &Context) -> Option<i64> {
    let name = crate::cluster::ObjectName {
        kind: Kind::DataCentre.name().to_owned(),
        namespace: None,
        name: context.config.site.clone(),
    };
    let object = context.cluster.own.get(&name);
    let annotations = object.as_ref().and_then(|object| object.metadata.annotations.as_ref());
    annotations?.get(CONFIRM)?.parse().ok()
}

/// Whether a record takes something away: deletes its object, or has fewer pods where it is active.
fn reduces(context: &Context, record: &Record) -> bool {
    let Record::Live(live) = record else { return true };
    if live.key.kind != Kind::Application {
        return false;
    }
    let before = context.index.record(&live.key);
    match before.as_ref().map(|held| &held.value) {
        Some(Record::Live(before)) => pods(live) < pods(before),
        _ => false,
    }
}

fn pods(record: &tandem_core::sync::SpecRecord) -> i64 {
    let Some(application) = crate::index::typed::<Application>(record) else { return 0 };
    let components = application.spec.components.iter().flatten().map(|c| i64::from(c.replicas.active));
    let adopted = application.spec.adopt.iter().flatten().map(|a| i64::from(a.replicas.active));
    components.chain(adopted).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::sync::{ObjectKey, Origin, Tombstone};

    #[test]
    fn what_is_held_back_is_not_said_to_be_applied() {
        let (mut sluice, progress) = (Sluice::default(), Progress::default());
        let key = ObjectKey::namespaced(Kind::Application, "finance-prod", "web");
        let tombstone = Tombstone {
            id: "1".to_owned(),
            key: key.clone(),
            origin: Origin { site: "dc-a".to_owned(), uid: "u".to_owned(), generation: 1 },
            deleted_at: jiff::Timestamp::UNIX_EPOCH,
        };
        sluice.hold(&progress, Versioned::new(11, Record::Tombstone(tombstone)));
        assert_eq!(progress.applied(20), 10, "the authority must not collect the tombstone");
        progress.done(&key, 11);
        assert_eq!(progress.applied(20), 20);
    }
}
