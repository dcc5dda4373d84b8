//! The mass-change brake, between the arbiter's watch and the index: at the site without authority, records that would
//! delete or scale down much of the city at once are held back until a person confirms.
//!
//! Every replica counts for itself, and may count less than another: it started later. What binds them is the brake's record
//! in the arbiter, which all of them watch.

use crate::audit::wrote;
use crate::cluster::ObjectName;
use crate::context::Context;
use crate::controllers::own_data_centre;
use crate::link::LinkError;
use crate::progress::Progress;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::records::BrakeRecord;
use tandem_core::sync::{Brake, ObjectKey, Record, Tripped, Versioned};
use tandem_crds::ApplicationSpec;
use tandem_logs::Chain;

/// The annotation on the site's DataCentre with which a person confirms. Its value is the number that the brake's message
/// gives: another trip needs another confirmation.
const CONFIRM: &str = "tandem.dev/confirm-mass-change";

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// This replica let something pass that another holds back: what it knows can't be taken back, and it has to start anew.
#[derive(Debug, thiserror::Error)]
#[error("another replica's brake holds back what this one let pass (revision {passed}); starting anew")]
pub(super) struct Overtaken {
    passed: i64,
}

/// The objects whose newest records are held back.
#[derive(Clone, Debug, Default)]
pub struct HeldBack {
    keys: Arc<Mutex<BTreeSet<ObjectKey>>>,
}

impl HeldBack {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<ObjectKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an object's newest record is held back. After a restart nothing older is known of it either.
    #[must_use]
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.lock().contains(key)
    }

    /// Whether nothing is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

/// Holds records back while the brake is tripped.
#[derive(Debug, Default)]
pub(super) struct Sluice {
    brake: Brake,
    held: VecDeque<Versioned<Record>>,
    /// What had been applied when this replica began, or was confirmed since: records up to here are no news.
    applied: i64,
    /// The newest record that took something away and was let pass.
    passed: i64,
    /// The first record that is held back, while the brake is tripped.
    from: i64,
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
        context.held.lock().clear();
        match context.link.brake().await? {
            Some(Versioned { revision, value: BrakeRecord { confirmed: Some(_), .. } }) => {
                self.confirmed(context.link.uptime(), revision);
            }
            Some(Versioned { revision, value }) => self.restore(revision, value),
            None => {}
        }
        self.show(context);
        Ok(())
    }

    /// The record if it may pass now, or none.
    pub(super) async fn pass(&mut self, context: &Context, record: Versioned<Record>) -> Option<Versioned<Record>> {
        let key = record.value.key();
        let known = context.index.record(key).is_some_and(|held| held.revision >= record.revision);
        if known || record.revision <= self.applied || !follows(context).await {
            return Some(record);
        }
        let reduces = reduces(context, &record.value).await;
        let (kind, id) = (key.kind, record.value.id());
        match self.brake.admit(context.link.uptime(), kind, id, context.index.count(kind), reduces) {
            Ok(()) => {
                if reduces {
                    self.passed = self.passed.max(record.revision);
                }
                Some(record)
            }
            Err(tripped) => {
                if self.record.is_none() {
                    self.trip(context, &tripped, record.revision).await;
                }
                self.hold(&context.progress, &context.held, record);
                None
            }
        }
    }

    /// Keeps a record back. It counts as not applied, so that this site never says that it is past it: a tombstone that
    /// both sites claim to have applied is collected, and what it would have deleted could never go.
    fn hold(&mut self, progress: &Progress, held: &HeldBack, record: Versioned<Record>) {
        progress.begun(record.value.key(), record.revision);
        held.lock().insert(record.value.key().clone());
        self.held.push_back(record);
    }

    async fn trip(&mut self, context: &Context, tripped: &Tripped, from: i64) {
        tracing::error!(%tripped, confirm = CONFIRM, "the mass-change brake is on: the follower has stopped");
        self.from = from;
        self.write_down(context, tripped).await;
        self.show(context);
    }

    async fn write_down(&mut self, context: &Context, tripped: &Tripped) {
        match context.link.trip_brake(tripped, self.from).await {
            Ok(revision) => self.record = Some(revision),
            // The brake holds all the same; it is tried again, see `attend`.
            Err(error) => tracing::warn!(error = %Chain(&error), "the brake could not be recorded"),
        }
    }

    fn restore(&mut self, revision: i64, record: BrakeRecord) {
        self.record = Some(revision);
        self.from = record.from;
        self.brake.restore(record.tripped.into());
    }

    /// A confirmation covers every record up to its own revision. Says whether it ended a trip here.
    fn confirmed(&mut self, now: Duration, revision: i64) -> bool {
        self.applied = self.applied.max(revision);
        let ends = self.brake.tripped().is_some() && self.from <= revision;
        if ends {
            self.record = None;
            self.brake.confirm(now);
        }
        ends
    }

    /// Takes in what the arbiter says of this site's brake. Gives back what was held back and may pass now.
    ///
    /// # Errors
    /// [`Overtaken`] when another replica holds back what this one let pass.
    pub(super) fn recorded(
        &mut self,
        context: &Context,
        state: Versioned<BrakeRecord>,
    ) -> Result<Vec<Versioned<Record>>, Overtaken> {
        let Versioned { revision, value } = state;
        let mut released = Vec::new();
        if value.confirmed.is_some() {
            if self.confirmed(context.link.uptime(), revision) {
                tracing::warn!(records = self.held.len(), "a person confirmed the mass change: the follower goes on");
                released.extend(self.held.drain(..));
                context.held.lock().clear();
            }
        } else if self.brake.tripped().is_some() {
            self.record = Some(revision);
        } else if self.passed >= value.from {
            return Err(Overtaken { passed: self.passed });
        } else {
            self.restore(revision, value);
        }
        self.show(context);
        Ok(released)
    }

    fn show(&self, context: &Context) {
        context.cluster.metrics.brake.set(i64::from(self.brake.tripped().is_some()));
        let message = self.brake.tripped().map(|tripped| match self.record {
            Some(record) => {
                let site = &context.config.site;
                format!("{tripped}. To confirm: kubectl annotate --overwrite datacentre {site} {CONFIRM}={record}")
            }
            None => format!("{tripped}. It can be confirmed once the arbiter answers"),
        });
        context.site.set_brake(message);
        context.queues.provision.add(own_data_centre(&context.config.site));
    }

    /// Sees to a tripped brake for ever: that the arbiter knows of it, and of a person's confirmation. What follows from
    /// that comes back by [`recorded`](Self::recorded), to this replica as to the others.
    pub(super) async fn attend(&mut self, context: &Context) {
        loop {
            match (self.brake.tripped().cloned(), self.record) {
                (Some(tripped), None) => {
                    self.write_down(context, &tripped).await;
                    self.show(context);
                }
                (Some(_), Some(record)) if confirmation(context) == Some(record) => {
                    let by = format!("annotation on datacentre/{}", context.config.site);
                    let object = own(context, &own_data_centre(&context.config.site));
                    let actor = wrote(context, &object.map(|object| object.metadata.clone()).unwrap_or_default());
                    if let Err(error) = context.link.confirm_brake(record, &by, &actor).await {
                        tracing::warn!(error = %Chain(&error), "the confirmation could not be recorded; trying again");
                    }
                }
                _ => {}
            }
            tokio::time::sleep(5 * LOOK).await;
        }
    }
}

/// Whether this site follows another. Not to know is no reason to let anything pass, so it is waited for.
async fn follows(context: &Context) -> bool {
    loop {
        match context.link.standing().authority {
            Some(authority) => return !authority,
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

fn confirmation(context: &Context) -> Option<i64> {
    let object = own(context, &own_data_centre(&context.config.site));
    let annotations = object.as_ref().and_then(|object| object.metadata.annotations.as_ref());
    annotations?.get(CONFIRM)?.parse().ok()
}

fn own(context: &Context, key: &ObjectKey) -> Option<Arc<kube::api::DynamicObject>> {
    let name =
        ObjectName { kind: key.kind.name().to_owned(), namespace: key.namespace.clone(), name: key.name.clone() };
    context.cluster.own.get(&name)
}

/// Whether a record takes something away here: deletes its object, or has fewer pods where it is active.
async fn reduces(context: &Context, record: &Record) -> bool {
    let Some((id, pods)) = before(context, record.key()).await else { return false };
    match record {
        Record::Tombstone(_) => true,
        Record::Live(live) => id.is_some_and(|id| id != live.id) || self::pods(&live.spec) < pods,
    }
}

/// The durable id and the pods of an object as it is here, where it is.
async fn before(context: &Context, key: &ObjectKey) -> Option<(Option<String>, i64)> {
    if let Some(held) = context.index.record(key) {
        return match held.value {
            Record::Live(live) => Some((Some(live.id), pods(&live.spec))),
            Record::Tombstone(_) => None,
        };
    }
    // After a restart the newest record is all that the arbiter has; what stood before it stands in the cluster.
    while !context.cluster.own.is_synced(key.kind.name()) {
        tokio::time::sleep(LOOK).await;
    }
    let spec = &own(context, key)?.data["spec"];
    Some((spec["id"].as_str().map(str::to_owned), pods(spec)))
}

/// Pods of an application at its active site; none for other kinds.
fn pods(spec: &serde_json::Value) -> i64 {
    let Ok(application) = serde_json::from_value::<ApplicationSpec>(spec.clone()) else { return 0 };
    let components = application.components.iter().flatten().map(|c| i64::from(c.replicas.active));
    let adopted = application.adopt.iter().flatten().map(|a| i64::from(a.replicas.active));
    components.chain(adopted).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::sync::{Origin, Tombstone};
    use tandem_crds::Kind;

    const NOW: Duration = Duration::from_secs(100);

    fn tombstone(number: i64) -> Versioned<Record> {
        let tombstone = Tombstone {
            id: number.to_string(),
            key: ObjectKey::namespaced(Kind::Application, "finance-prod", format!("app-{number}")),
            origin: Origin { site: "dc-a".to_owned(), uid: "u".to_owned(), generation: 1 },
            deleted_at: jiff::Timestamp::UNIX_EPOCH,
        };
        Versioned::new(number, Record::Tombstone(tombstone))
    }

    fn trip(brake: &mut Brake) -> Tripped {
        (0..20).find_map(|n| brake.admit(NOW, Kind::Application, &n.to_string(), 20, true).err()).unwrap()
    }

    #[test]
    fn what_is_held_back_is_not_said_to_be_applied() {
        let (mut sluice, progress, held) = (Sluice::default(), Progress::default(), HeldBack::default());
        let record = tombstone(11);
        let key = record.value.key().clone();
        sluice.hold(&progress, &held, record);
        assert_eq!(progress.applied(20), 10, "the authority must not collect the tombstone");
        assert!(held.contains(&key));
        progress.done(&key, 11);
        assert_eq!(progress.applied(20), 20);
    }

    #[test]
    fn a_confirmation_holds_for_a_replica_that_starts_after_it() {
        // The first replica released and went on; the second starts now and finds the confirmed record.
        let mut second = Sluice::default();
        assert!(!second.confirmed(NOW, 30), "there is no trip here to end");
        assert_eq!(second.applied, 30, "and what it covers is no news, so that it does not trip anew");
    }

    #[test]
    fn a_confirmation_does_not_end_a_later_trip() {
        let mut sluice = Sluice::default();
        trip(&mut sluice.brake);
        sluice.from = 31;
        assert!(!sluice.confirmed(NOW, 30));
        assert!(sluice.brake.tripped().is_some());
        assert!(sluice.confirmed(NOW, 40));
        assert!(sluice.brake.tripped().is_none());
    }

    #[test]
    fn pods_are_counted_from_the_specification_alone() {
        let spec = serde_json::json!({
            "displayName": {"zh": "x"}, "tier": 2, "standbyClass": "Warm",
            "components": [
                {"name": "a", "image": "i", "replicas": {"active": 2}, "resources": {"cpu": "1", "memory": "1Gi"}},
                {"name": "b", "image": "i", "replicas": {"active": 3}, "resources": {"cpu": "1", "memory": "1Gi"}},
            ],
        });
        assert_eq!(pods(&spec), 5);
        assert_eq!(pods(&serde_json::json!({"level": "City"})), 0);
    }
}
