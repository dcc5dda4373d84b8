//! A site in memory, for tests: its objects, its API server, and an operator that publishes at once to a simulated arbiter, and
//! takes failovers in there.

use super::testing::Memory;
use super::writer::{Answer, ObjectRef, Version, WriteError, Writer};
use super::{Objects, Read};
use futures::FutureExt;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tandem_arbiter::records::{Key, LedgerRecord, RequestRecord};
use tandem_arbiter::store::SimStore;
use tandem_arbiter::txn::{self, Op, Txn};
use tandem_core::check::budget_amounts;
use tandem_core::failover::Approval;
use tandem_core::ledger::Ledger;
use tandem_core::sync::{ObjectKey, Origin, Record, SpecRecord, Tombstone, mint_id, with_id};
use tandem_crds::{
    Application, DataCentre, Environment, EnvironmentRequest, Failover, FailoverGroup, Kind, SecurityProfile, Unit, Why,
};

/// Does something with the objects of a kind in memory.
macro_rules! of_kind {
    ($kind:expr, $memory:expr, $objects:ident => $do:expr) => {
        match $kind {
            "Unit" => {
                let $objects = &mut $memory.units;
                $do
            }
            "Environment" => {
                let $objects = &mut $memory.environments;
                $do
            }
            "EnvironmentRequest" => {
                let $objects = &mut $memory.requests;
                $do
            }
            "Application" => {
                let $objects = &mut $memory.applications;
                $do
            }
            "DataCentre" => {
                let $objects = &mut $memory.data_centres;
                $do
            }
            "FailoverGroup" => {
                let $objects = &mut $memory.failover_groups;
                $do
            }
            "SecurityProfile" => {
                let $objects = &mut $memory.security_profiles;
                $do
            }
            "Failover" => {
                let $objects = &mut $memory.failovers;
                $do
            }
            other => panic!("no {other} is kept here"),
        }
    };
}

/// A site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) memory: Mutex<Memory>,
    pub(crate) store: SimStore,
    /// Whether the operator publishes, and takes failovers in.
    pub(crate) publishes: AtomicBool,
    /// Why the operator refuses new failovers, where it does.
    pub(crate) refuses: Mutex<Option<Why>>,
    /// The site's name.
    name: &'static str,
    /// How many of the next writes find that another came in between.
    pub(crate) moved: AtomicUsize,
    /// Whether the next write is carried out and its answer lost.
    pub(crate) loses: AtomicBool,
    version: AtomicI64,
}

impl Site {
    /// A site with these objects; `dc-a` has authority, and every unit its ledger.
    pub(crate) fn with(memory: Memory) -> Self {
        let store = SimStore::new(7);
        store.apply(&txn::create_platform("dc-a")).unwrap();
        for unit in &memory.units {
            let name = unit.metadata.name.clone().unwrap();
            let ledger = Ledger::new(budget_amounts(unit).unwrap());
            let record = LedgerRecord { unit: name.clone(), ledger };
            let put = Op::put(Key::Ledger(name), &record);
            store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
        }
        Self {
            memory: Mutex::new(memory),
            store,
            publishes: AtomicBool::new(true),
            refuses: Mutex::default(),
            name: "dc-a",
            moved: AtomicUsize::new(0),
            loses: AtomicBool::new(false),
            version: AtomicI64::new(100),
        }
    }

    /// The other site, with objects of its own and the same arbiter.
    pub(crate) fn beside(&self, memory: Memory) -> Self {
        Self { store: self.store.clone(), name: "dc-b", ..Self::with(memory) }
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// How much of a unit's pods is held.
    pub(crate) fn held(&self, unit: &str) -> u64 {
        let key = Key::Ledger(unit.to_owned());
        let answer = self.store.apply(&Txn { then: vec![Op::get(&key)], ..Txn::default() }).unwrap();
        let record: LedgerRecord = serde_json::from_slice(&answer.one(0).unwrap().value).unwrap();
        record.ledger.sum().pods
    }

    /// The operator publishes what it has not.
    pub(crate) fn publish_all(&self) {
        self.publishes.store(true, Ordering::SeqCst);
        let mut memory = self.now();
        for request in memory.requests.clone() {
            let metadata = &request.metadata;
            let key = ObjectKey::cluster(Kind::EnvironmentRequest, metadata.name.clone().unwrap());
            let object = serde_json::to_value(&*request).unwrap();
            self.publish(&key, &object, metadata.uid.as_deref().unwrap_or("?"), metadata.generation.unwrap_or(1));
            stamp(&mut memory, &ObjectRef::from(&key), &object);
        }
        let deleted = memory.applications.iter().filter(|there| there.metadata.deletion_timestamp.is_some());
        let deleted: Vec<(ObjectRef, Version)> = deleted
            .map(|there| {
                let (namespace, name) = (there.namespace().unwrap(), there.name_any());
                let key = ObjectKey::namespaced(Kind::Application, namespace, name);
                (ObjectRef::from(&key), Version::from(&there.metadata))
            })
            .collect();
        drop(memory);
        for (key, version) in deleted {
            self.bury(&key, &version).unwrap();
        }
    }

    /// The operator publishes all that binds an agency, as it stands.
    pub(crate) fn publish_bound(&self) {
        fn objects<K: Resource<DynamicType = ()> + serde::Serialize>(
            kind: Kind,
            all: &[Arc<K>],
        ) -> Vec<(ObjectKey, Value)> {
            let key = |object: &Arc<K>| {
                let metadata = object.meta();
                ObjectKey { kind, namespace: metadata.namespace.clone(), name: metadata.name.clone().unwrap() }
            };
            all.iter().map(|object| (key(object), serde_json::to_value(&**object).unwrap())).collect()
        }
        let memory = self.now();
        let mut all = objects(Kind::Unit, &memory.units);
        all.extend(objects(Kind::Environment, &memory.environments));
        all.extend(objects(Kind::SecurityProfile, &memory.security_profiles));
        all.extend(objects(Kind::Application, &memory.applications));
        for (key, object) in all {
            self.publish(&key, &object, "?", 1);
        }
    }

    /// The operator takes in the failovers that it has not.
    pub(crate) fn take_all(&self) {
        self.publishes.store(true, Ordering::SeqCst);
        let mut memory = self.now();
        let names: Vec<String> =
            memory.failovers.iter().filter_map(|failover| failover.metadata.name.clone()).collect();
        for name in names {
            self.take(&mut memory, &name);
        }
        memory.changed.send_modify(|changes| *changes += 1);
    }

    /// The operator shows how the request or the failover at this path stands.
    pub(crate) fn show(&self, path: &str, status: Value) {
        fn stands<K: Resource + Clone>(all: &mut [Arc<K>], name: &str, change: impl FnOnce(&mut K)) {
            let shown = all.iter_mut().find(|there| there.meta().name.as_deref() == Some(name)).unwrap();
            change(Arc::make_mut(shown));
        }
        let mut memory = self.now();
        let name = path.rsplit('/').next().unwrap();
        if path.starts_with("/v1/failovers/") {
            stands(&mut memory.failovers, name, |there| there.status = Some(serde_json::from_value(status).unwrap()));
        } else {
            stands(&mut memory.requests, name, |there| there.status = Some(serde_json::from_value(status).unwrap()));
        }
        memory.changed.send_modify(|changes| *changes += 1);
    }

    /// What both sites read of a failover.
    pub(crate) fn asked(&self, id: &str) -> Option<RequestRecord> {
        let key = Key::Request(id.to_owned());
        let answer = self.store.apply(&Txn { then: vec![Op::get(&key)], ..Txn::default() }).unwrap();
        answer.one(0).map(|found| serde_json::from_slice(&found.value).unwrap())
    }

    /// The operator brings a failover into the arbiter, or refuses it.
    fn take(&self, memory: &mut Memory, name: &str) {
        let mut failovers = memory.failovers.iter_mut();
        let found = failovers.find(|failover| failover.metadata.name.as_deref() == Some(name)).unwrap();
        let failover = Arc::make_mut(found);
        let spec = &failover.spec;
        let id = spec.idempotency_key.clone().or(failover.metadata.name.clone()).unwrap();
        let approvals: Vec<Approval> =
            spec.approvals.iter().map(|given| Approval { by: given.by.clone(), at: given.at.0 }).collect();
        let known = self.asked(&id);
        if let (Some(why), None) = (&*self.refuses.lock().unwrap(), &known) {
            let status =
                json!({"phase": "Refused", "reason": why.reason, "message": why.message, "messageZh": why.message_zh});
            failover.status = Some(serde_json::from_value(status).unwrap());
            return;
        }
        let record = known.unwrap_or_else(|| RequestRecord {
            kind: spec.kind.into(),
            from: "dc-a".to_owned(),
            to: spec.to.clone().unwrap_or_else(|| "dc-b".to_owned()),
            groups: spec.selector.groups.iter().map(|group| (group.clone(), 3)).collect(),
            max_parallel: None,
            by: spec.requested_by.clone().unwrap_or_default(),
            site: self.name.to_owned(),
            reason: spec.reason.clone(),
            at: Timestamp::UNIX_EPOCH,
            approvals_wanted: 0,
            approvals: Vec::new(),
            accept_data_loss: None,
            despite_not_ready: spec.despite_not_ready,
            paused_at: BTreeSet::new(),
            abort: false,
            drill: Default::default(),
        });
        let record = record.with(self.name, &approvals, spec.pause, spec.abort);
        let put = Op::put(Key::Request(id), &record);
        self.store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    }

    fn write(&self, key: &ObjectRef, mut object: Value, new: bool) -> Result<Value, WriteError> {
        let mut memory = self.now();
        let standing = held(&memory, key);
        let (uid, generation) = match &standing {
            Some(_) if new => return Err(WriteError::Exists),
            None if !new => return Err(WriteError::Moved),
            Some(there) => {
                let metadata = &there["metadata"];
                if object["metadata"]["resourceVersion"] != metadata["resourceVersion"] {
                    return Err(WriteError::Moved);
                }
                let uid = metadata["uid"].as_str().map_or_else(|| format!("uid-{}", key.name), str::to_owned);
                (uid, metadata["generation"].as_i64().unwrap_or(1) + 1)
            }
            None => (format!("uid-{}", key.name), 1),
        };
        if self.moved.load(Ordering::SeqCst) > 0 {
            self.moved.fetch_sub(1, Ordering::SeqCst);
            return Err(WriteError::Moved);
        }
        let version = self.version.fetch_add(1, Ordering::SeqCst);
        object["metadata"]["uid"] = json!(uid);
        object["metadata"]["generation"] = json!(generation);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        put(&mut memory, key, &object);
        if self.publishes.load(Ordering::SeqCst) {
            match published(key) {
                Some(published) => {
                    self.publish(&published, &object, &uid, generation);
                    stamp(&mut memory, key, &object);
                }
                None => self.take(&mut memory, &key.name),
            }
        }
        memory.changed.send_modify(|changes| *changes += 1);
        if self.loses.swap(false, Ordering::SeqCst) { Err(WriteError::Unknown) } else { Ok(object) }
    }

    /// Deletes an object; the operator buries it, or it stands there, marked, until it does.
    fn bury(&self, key: &ObjectRef, version: &Version) -> Result<(), WriteError> {
        let mut memory = self.now();
        let mut object = held(&memory, key).ok_or(WriteError::Moved)?;
        if self.moved.load(Ordering::SeqCst) > 0 {
            self.moved.fetch_sub(1, Ordering::SeqCst);
            return Err(WriteError::Moved);
        }
        let metadata: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
        if *version != Version::from(&metadata) {
            return Err(WriteError::Moved);
        }
        let published = published(key).unwrap();
        if self.publishes.load(Ordering::SeqCst) {
            of_kind!(key.kind, memory, objects => objects.retain(|there| !is(there, key)));
            let uid = metadata.uid.unwrap_or_default();
            let record = Record::Tombstone(Tombstone {
                id: mint_id("dc-a", published.kind, &uid),
                key: published.clone(),
                origin: Origin { site: "dc-a".to_owned(), uid, generation: metadata.generation.unwrap_or(1) },
                deleted_at: Timestamp::UNIX_EPOCH,
            });
            let put = Op::put(Key::Spec(published), &record);
            self.store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
        } else {
            object["metadata"]["deletionTimestamp"] = json!(Timestamp::UNIX_EPOCH);
            put(&mut memory, key, &object);
        }
        memory.changed.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn publish(&self, key: &ObjectKey, object: &Value, uid: &str, generation: i64) {
        let id = mint_id("dc-a", key.kind, uid);
        let record = Record::Live(SpecRecord {
            spec: with_id(&object["spec"], &id),
            id,
            key: key.clone(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            origin: Origin { site: "dc-a".to_owned(), uid: uid.to_owned(), generation },
            published_at: Timestamp::UNIX_EPOCH,
            trace: None,
        });
        let put = Op::put(Key::Spec(key.clone()), &record);
        self.store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    }
}

/// The key under which an object is published, where it is of a kind that is.
fn published(key: &ObjectRef) -> Option<ObjectKey> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == key.kind)?;
    Some(ObjectKey { kind, namespace: key.namespace.clone(), name: key.name.clone() })
}

/// The operator's own mark on what it has published: the id, and with it one generation more.
fn stamp(memory: &mut Memory, key: &ObjectRef, object: &Value) {
    let mut stamped = object.clone();
    let uid = object["metadata"]["uid"].as_str().unwrap_or("?");
    let id = published(key).map(|key| mint_id("dc-a", key.kind, uid));
    if stamped["spec"].get("id") != Some(&json!(id)) {
        stamped["spec"]["id"] = json!(id);
        stamped["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap_or(1) + 1);
        let version = stamped["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        stamped["metadata"]["resourceVersion"] = json!(format!("{version}-stamped"));
        put(memory, key, &stamped);
    }
}

fn is<K: Resource>(object: &Arc<K>, key: &ObjectRef) -> bool {
    object.meta().name.as_ref() == Some(&key.name) && object.meta().namespace == key.namespace
}

fn held(memory: &Memory, key: &ObjectRef) -> Option<Value> {
    let mut memory = memory.clone();
    of_kind!(key.kind, memory, objects => {
        objects.iter().find(|there| is(there, key)).map(|there| serde_json::to_value(&**there).unwrap())
    })
}

fn put(memory: &mut Memory, key: &ObjectRef, object: &Value) {
    of_kind!(key.kind, memory, objects => {
        let next = Arc::new(serde_json::from_value(object.clone()).unwrap());
        match objects.iter().position(|there| is(there, key)) {
            Some(at) => objects[at] = next,
            None => objects.push(next),
        }
    });
}

impl Writer for Site {
    fn get<'a>(&'a self, key: &'a ObjectRef) -> Answer<'a, Option<Value>> {
        let found = held(&self.now(), key);
        async { Ok(found) }.boxed()
    }

    fn create<'a>(&'a self, key: &'a ObjectRef, object: Value) -> Answer<'a, Value> {
        async { self.write(key, object, true) }.boxed()
    }

    fn replace<'a>(&'a self, key: &'a ObjectRef, object: Value) -> Answer<'a, Value> {
        async { self.write(key, object, false) }.boxed()
    }

    fn delete<'a>(&'a self, key: &'a ObjectRef, version: Version) -> Answer<'a, ()> {
        async move { self.bury(key, &version) }.boxed()
    }
}

impl Objects for Site {
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.now().changes()
    }
    fn units(&self) -> Read<Unit> {
        self.now().units()
    }
    fn environments(&self) -> Read<Environment> {
        self.now().environments()
    }
    fn requests(&self) -> Read<EnvironmentRequest> {
        self.now().requests()
    }
    fn applications(&self) -> Read<Application> {
        self.now().applications()
    }
    fn data_centres(&self) -> Read<DataCentre> {
        self.now().data_centres()
    }
    fn failover_groups(&self) -> Read<FailoverGroup> {
        self.now().failover_groups()
    }
    fn failovers(&self) -> Read<Failover> {
        self.now().failovers()
    }
    fn security_profiles(&self) -> Read<SecurityProfile> {
        self.now().security_profiles()
    }
}
