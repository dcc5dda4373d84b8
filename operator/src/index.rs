//! The arbiter's records in memory: what is wanted, who is active, what the sites say.
//!
//! Everything that decides reads from here. Entries only move forward: an older revision than the one held is not taken.

use crate::shared::Shared;
use std::collections::{BTreeMap, BTreeSet};
use tandem_arbiter::records::{GroupRecord, StatusRecord};
use tandem_core::check::World;
use tandem_core::names::default_group;
use tandem_core::sync::{ObjectKey, Record, SpecRecord, Versioned};
use tandem_crds::{Application, Environment, FailoverGroup, Kind, SecurityProfile, TandemKind, Unit};
use tandem_logs::Chain;

/// What a site says of an object, and for which site.
pub type SiteReport = Versioned<StatusRecord>;

/// The arbiter's records in memory.
#[derive(Debug, Default)]
pub struct Index {
    inner: Shared<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<ObjectKey, Versioned<Record>>,
    by_id: BTreeMap<String, ObjectKey>,
    typed: Typed,
    groups: BTreeMap<String, Versioned<GroupRecord>>,
    reports: BTreeMap<ObjectKey, BTreeMap<String, SiteReport>>,
}

/// The wanted objects by kind, for the rules that need others than the one they judge.
#[derive(Debug, Default)]
struct Typed {
    units: BTreeMap<String, Unit>,
    environments: BTreeMap<String, Environment>,
    profiles: BTreeMap<String, SecurityProfile>,
    groups: BTreeMap<String, FailoverGroup>,
    applications: BTreeMap<(String, String), Application>,
    hosts: BTreeMap<String, (String, String)>,
}

#[allow(clippy::disallowed_methods)] // an edge: waivers end by the wall clock
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Builds a typed object from a record. `None` when the record does not decode, which a validated record never does.
#[must_use]
pub fn typed<K: TandemKind>(record: &SpecRecord) -> Option<K> {
    let value = serde_json::json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": record.key.name,
            "namespace": record.key.namespace,
            "labels": record.labels,
            "annotations": record.annotations,
            "generation": record.origin.generation,
        },
        "spec": record.spec,
    });
    match serde_json::from_value(value) {
        Ok(object) => Some(object),
        Err(error) => {
            tracing::error!(key = %record.key, error = %Chain(&error), "a record does not decode");
            None
        }
    }
}

impl Typed {
    fn forget(&mut self, key: &ObjectKey) {
        match key.kind {
            Kind::DataCentre | Kind::EnvironmentRequest => {}
            Kind::SecurityProfile => drop(self.profiles.remove(&key.name)),
            Kind::Unit => drop(self.units.remove(&key.name)),
            Kind::Environment => drop(self.environments.remove(&key.name)),
            Kind::FailoverGroup => drop(self.groups.remove(&key.name)),
            Kind::Application => {
                let name = application_name(key);
                self.applications.remove(&name);
                self.hosts.retain(|_, holder| *holder != name);
            }
        }
    }

    fn remember(&mut self, record: &SpecRecord) {
        let name = record.key.name.clone();
        match record.key.kind {
            Kind::DataCentre | Kind::EnvironmentRequest => {}
            Kind::SecurityProfile => insert(&mut self.profiles, name, typed(record)),
            Kind::Unit => insert(&mut self.units, name, typed(record)),
            Kind::Environment => insert(&mut self.environments, name, typed(record)),
            Kind::FailoverGroup => insert(&mut self.groups, name, typed(record)),
            Kind::Application => {
                let holder = application_name(&record.key);
                let Some(application) = typed::<Application>(record) else { return };
                let endpoints = application.spec.endpoints.iter().flatten();
                for host in endpoints.flat_map(|endpoint| &endpoint.hosts) {
                    self.hosts.entry(host.clone()).or_insert_with(|| holder.clone());
                }
                self.applications.insert(holder, application);
            }
        }
    }
}

fn insert<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    if let Some(value) = value {
        map.insert(key, value);
    }
}

fn application_name(key: &ObjectKey) -> (String, String) {
    (key.namespace.clone().unwrap_or_default(), key.name.clone())
}

impl Index {
    /// Takes in a record. Says whether it was news.
    pub fn enter(&self, record: Versioned<Record>) -> bool {
        let mut inner = self.inner.write();
        let key = record.value.key().clone();
        if inner.records.get(&key).is_some_and(|held| held.revision >= record.revision) {
            return false;
        }
        if let Some(before) = inner.records.get(&key).map(|held| held.value.id().to_owned())
            && before != record.value.id()
        {
            inner.by_id.remove(&before);
        }
        inner.by_id.insert(record.value.id().to_owned(), key.clone());
        inner.typed.forget(&key);
        if let Record::Live(live) = &record.value {
            inner.typed.remember(live);
        }
        inner.records.insert(key, record);
        true
    }

    /// Takes out a record whose key the arbiter has collected.
    pub fn remove(&self, key: &ObjectKey, revision: i64) -> bool {
        let mut inner = self.inner.write();
        match inner.records.get(key) {
            Some(held) if held.revision < revision => {}
            _ => return false,
        }
        if let Some(held) = inner.records.remove(key) {
            inner.by_id.remove(held.value.id());
        }
        inner.typed.forget(key);
        inner.reports.remove(key);
        true
    }

    /// The record of an object, alive or not.
    #[must_use]
    pub fn record(&self, key: &ObjectKey) -> Option<Versioned<Record>> {
        self.inner.read().records.get(key).cloned()
    }

    /// Every key there is a record for.
    #[must_use]
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.inner.read().records.keys().cloned().collect()
    }

    /// The object that bears a durable id.
    #[must_use]
    pub fn key_of(&self, id: &str) -> Option<ObjectKey> {
        self.inner.read().by_id.get(id).cloned()
    }

    /// How many objects of a kind are wanted.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let inner = self.inner.read();
        inner.records.iter().filter(|(key, held)| key.kind == kind && matches!(held.value, Record::Live(_))).count()
    }

    /// Looks at every object that is wanted, with what a site last said of it.
    pub fn each_live(&self, site: &str, mut look: impl FnMut(&ObjectKey, Option<&SiteReport>)) {
        let inner = self.inner.read();
        for (key, _) in inner.records.iter().filter(|(_, held)| matches!(held.value, Record::Live(_))) {
            look(key, inner.reports.get(key).and_then(|reports| reports.get(site)));
        }
    }

    /// Asks the rules about the world as it is published.
    pub fn with_world<R>(&self, ask: impl FnOnce(&World<'_>) -> R) -> R {
        let inner = self.inner.read();
        let typed = &inner.typed;
        ask(&World {
            units: &typed.units,
            environments: &typed.environments,
            profiles: &typed.profiles,
            groups: &typed.groups,
            applications: &typed.applications,
            hosts: &typed.hosts,
            now: now(),
        })
    }

    /// What has to be looked at again when an object changes: what names it, in the order of provisioning.
    #[must_use]
    pub fn dependents(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let inner = self.inner.read();
        let typed = &inner.typed;
        let mut environments: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        match key.kind {
            Kind::SecurityProfile => {
                let units: Vec<&String> = typed
                    .units
                    .iter()
                    .filter(|(_, unit)| unit.spec.security_profile == key.name)
                    .map(|(name, _)| name)
                    .collect();
                found.extend(units.iter().map(|name| ObjectKey::cluster(Kind::Unit, name.as_str())));
                environments.extend(typed.environments.iter().filter_map(|(name, environment)| {
                    let spec = &environment.spec;
                    let uses = spec.security_profile.as_ref() == Some(&key.name)
                        || spec.security_profile.is_none() && units.contains(&&spec.unit);
                    uses.then_some(name.as_str())
                }));
            }
            Kind::Unit => environments.extend(
                typed.environments.iter().filter(|(_, e)| e.spec.unit == key.name).map(|(name, _)| name.as_str()),
            ),
            Kind::Environment => {
                environments.insert(&key.name);
                if let Some(environment) = typed.environments.get(&key.name) {
                    found.push(ObjectKey::cluster(Kind::Unit, environment.spec.unit.as_str()));
                }
            }
            Kind::FailoverGroup => {
                drop(inner);
                return self.members(&key.name);
            }
            Kind::DataCentre | Kind::Application | Kind::EnvironmentRequest => return found,
        }
        if key.kind != Kind::Environment {
            found.extend(environments.iter().map(|name| ObjectKey::cluster(Kind::Environment, *name)));
        }
        for environment in environments {
            let of_environment = |(namespace, _): &&(String, String)| namespace == environment;
            found.extend(
                typed
                    .applications
                    .keys()
                    .filter(of_environment)
                    .map(|(namespace, name)| ObjectKey::namespaced(Kind::Application, namespace, name)),
            );
        }
        found
    }

    /// The applications that move with a group.
    #[must_use]
    pub fn members(&self, group: &str) -> Vec<ObjectKey> {
        let inner = self.inner.read();
        inner
            .typed
            .applications
            .iter()
            .filter(|((namespace, name), application)| group_of(application, namespace, name) == group)
            .map(|((namespace, name), _)| ObjectKey::namespaced(Kind::Application, namespace, name))
            .collect()
    }

    /// Whether there are tombstones that could be collected.
    #[must_use]
    pub fn has_tombstones(&self) -> bool {
        self.inner.read().records.values().any(|held| matches!(held.value, Record::Tombstone(_)))
    }

    /// The applications that adopt a workload of this name in a namespace.
    #[must_use]
    pub fn adopters(&self, namespace: &str, workload: &str) -> Vec<ObjectKey> {
        let inner = self.inner.read();
        let adopts =
            |application: &Application| application.spec.adopt.iter().flatten().any(|adopted| adopted.name == workload);
        inner
            .typed
            .applications
            .iter()
            .filter(|((space, _), application)| space == namespace && adopts(application))
            .map(|((space, name), _)| ObjectKey::namespaced(Kind::Application, space, name))
            .collect()
    }

    /// Takes in the record of who is active for a group. Says whether it was news.
    pub fn enter_group(&self, name: &str, record: Versioned<GroupRecord>) -> bool {
        let mut inner = self.inner.write();
        if inner.groups.get(name).is_some_and(|held| held.revision >= record.revision) {
            return false;
        }
        inner.groups.insert(name.to_owned(), record);
        true
    }

    /// Who is active for a group.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<Versioned<GroupRecord>> {
        self.inner.read().groups.get(name).cloned()
    }

    /// The highest epoch of the groups that are active at a site.
    #[must_use]
    pub fn highest_epoch(&self, site: &str) -> u64 {
        let inner = self.inner.read();
        inner.groups.values().filter(|g| g.value.active == site).map(|g| g.value.epoch).max().unwrap_or(0)
    }

    /// Takes in what a site says of an object. Says whether it was news.
    pub fn enter_report(&self, site: &str, key: &ObjectKey, report: SiteReport) -> bool {
        let mut inner = self.inner.write();
        let reports = inner.reports.entry(key.clone()).or_default();
        if reports.get(site).is_some_and(|held| held.revision >= report.revision) {
            return false;
        }
        reports.insert(site.to_owned(), report);
        true
    }

    /// What the sites say of an object, by site.
    #[must_use]
    pub fn reports(&self, key: &ObjectKey) -> BTreeMap<String, SiteReport> {
        self.inner.read().reports.get(key).cloned().unwrap_or_default()
    }
}

/// The failover group that an application moves with: the one it names, or one of its own.
#[must_use]
pub fn group_of(application: &Application, namespace: &str, name: &str) -> String {
    application.spec.failover_group.clone().unwrap_or_else(|| default_group(namespace, name))
}
