//! A small world: two sites, an arbiter, and events that come late, twice, out of order or never.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;

const SITES: [&str; 2] = ["dc-a", "dc-b"];

#[derive(Clone, Debug)]
enum Event {
    /// A person writes an object at a site: creates it or edits it.
    Write { site: usize, name: u8 },
    /// A person deletes an object at a site.
    Delete { site: usize, name: u8 },
    /// A person's tool strips the finalizer off an object and removes it.
    Vanish { site: usize, name: u8 },
    /// A version of a record reaches a site; how old it is says `back`.
    Deliver { site: usize, name: u8, back: u8 },
    /// A site looks at one object and acts; `crash` after so many of its writes.
    Step { site: usize, name: u8, crash: u8 },
    /// The authority moves to the other site.
    Move,
}

fn event() -> impl Strategy<Value = Event> {
    let (site, name) = (0usize..2, 0u8..3);
    prop_oneof![
        3 => (site.clone(), name.clone()).prop_map(|(site, name)| Event::Write { site, name }),
        2 => (site.clone(), name.clone()).prop_map(|(site, name)| Event::Delete { site, name }),
        1 => (site.clone(), name.clone()).prop_map(|(site, name)| Event::Vanish { site, name }),
        4 => (site.clone(), name.clone(), 0u8..3).prop_map(|(site, name, back)| Event::Deliver { site, name, back }),
        8 => (site, name, 0u8..4).prop_map(|(site, name, crash)| Event::Step { site, name, crash }),
        1 => Just(Event::Move),
    ]
}

#[derive(Default)]
struct Site {
    objects: BTreeMap<u8, LocalView>,
    copy: BTreeMap<u8, Versioned<Record>>,
}

struct World {
    sites: [Site; 2],
    authority: usize,
    revision: i64,
    /// Every version of every record.
    history: BTreeMap<u8, Vec<Versioned<Record>>>,
    conflicts: BTreeMap<String, ConflictSeed>,
    uids: u32,
    edits: u32,
}

fn object_key(name: u8) -> ObjectKey {
    ObjectKey::cluster(Kind::Unit, format!("u{name}"))
}

fn without_id(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec.as_object_mut().unwrap().remove("id");
    spec
}

impl World {
    fn new() -> Self {
        Self {
            sites: Default::default(),
            authority: 0,
            revision: 1,
            history: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            uids: 0,
            edits: 0,
        }
    }

    fn current(&self, name: u8) -> Option<&Versioned<Record>> {
        self.history.get(&name)?.last()
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Write { site, name } => self.write(site, name),
            Event::Delete { site, name } => {
                if let Some(local) = self.sites[site].objects.get_mut(&name) {
                    local.deleting = true;
                    self.reap(site, name);
                }
            }
            Event::Vanish { site, name } => drop(self.sites[site].objects.remove(&name)),
            Event::Deliver { site, name, back } => self.deliver(site, name, usize::from(back)),
            Event::Step { site, name, crash } => drop(self.step(site, name, usize::from(crash))),
            Event::Move => self.move_authority(),
        }
    }

    fn write(&mut self, site: usize, name: u8) {
        self.edits += 1;
        let edit = json!(self.edits);
        if let Some(local) = self.sites[site].objects.get_mut(&name) {
            local.spec["edit"] = edit;
            local.generation += 1;
        } else {
            let local = self.created(name, json!({"edit": edit}));
            self.sites[site].objects.insert(name, local);
        }
    }

    fn created(&mut self, name: u8, spec: Value) -> LocalView {
        self.uids += 1;
        LocalView { key: object_key(name), ..super::decisions::fresh(&format!("uid-{}", self.uids), spec) }
    }

    /// The API server: without finalizers a deleted object is gone.
    fn reap(&mut self, site: usize, name: u8) {
        let objects = &mut self.sites[site].objects;
        if objects.get(&name).is_some_and(|local| local.deleting && !local.has_finalizer) {
            objects.remove(&name);
        }
    }

    /// A site's copy takes a version only if it is newer: what is repeated or out of order changes nothing.
    fn deliver(&mut self, site: usize, name: u8, back: usize) {
        let Some(versions) = self.history.get(&name) else { return };
        let version = versions[versions.len().saturating_sub(1 + back)].clone();
        let copy = &mut self.sites[site].copy;
        if copy.get(&name).is_none_or(|before| before.revision < version.revision) {
            copy.insert(name, version);
        }
    }

    fn relist(&mut self, site: usize) {
        for name in self.history.keys().copied().collect::<Vec<_>>() {
            self.deliver(site, name, 0);
        }
    }

    /// A new authority first applies everything that the old one published.
    fn move_authority(&mut self) {
        let next = 1 - self.authority;
        self.relist(next);
        for _ in 0..6 {
            for name in 0..3 {
                self.follow(next, name, usize::MAX);
            }
        }
        self.authority = next;
    }

    /// The arbiter's transaction.
    fn put(&mut self, site: usize, name: u8, base: i64, record: Record) -> Option<i64> {
        if site != self.authority || self.current(name).map_or(0, |record| record.revision) != base {
            return None;
        }
        self.revision += 1;
        let version = Versioned::new(self.revision, record);
        self.history.entry(name).or_default().push(version);
        self.deliver(site, name, 0);
        Some(self.revision)
    }

    /// Returns whether there was anything to do.
    fn step(&mut self, site: usize, name: u8, crash: usize) -> bool {
        if site == self.authority { self.publish(site, name, crash) } else { self.follow(site, name, crash) }
    }

    fn publish(&mut self, site: usize, name: u8, crash: usize) -> bool {
        let local = self.sites[site].objects.get(&name).cloned();
        let copy = self.sites[site].copy.get(&name).cloned();
        let plan = plan_publish(SITES[site], local.as_ref(), copy.as_ref(), Restraint::None);
        match (plan, local) {
            (PublishPlan::Nothing, _) => return false,
            (PublishPlan::Publish { base, id }, Some(local)) => {
                if crash == 0 {
                    return true;
                }
                let record = Record::Live(SpecRecord {
                    id: id.clone(),
                    key: local.key.clone(),
                    labels: BTreeMap::new(),
                    annotations: BTreeMap::new(),
                    spec: with_id(&local.spec, &id),
                    origin: origin(site, &local),
                    published_at: Timestamp::UNIX_EPOCH,
                    trace: None,
                });
                if let Some(revision) = self.put(site, name, base, record)
                    && crash > 1
                {
                    self.in_step(site, name, &id, revision);
                }
            }
            (PublishPlan::Heal { id, revision }, _) => self.in_step(site, name, &id, revision),
            (PublishPlan::Tombstone { base, id }, Some(local)) => {
                assert!(local.deleting && local.has_finalizer, "a tombstone without a deletion: {local:?}");
                let (key, origin) = (local.key.clone(), origin(site, &local));
                let record = Record::Tombstone(Tombstone { id, key, origin, deleted_at: Timestamp::UNIX_EPOCH });
                self.put(site, name, base, record);
            }
            (PublishPlan::ReleaseFinalizer, _) => self.release(site, name),
            (PublishPlan::Restore { .. }, None) => self.apply(site, name),
            (PublishPlan::Conflict { seed }, Some(_)) => {
                self.keep(seed);
                return self.follow(site, name, crash);
            }
            (plan, local) => panic!("{plan:?} of {local:?} with {copy:?}"),
        }
        true
    }

    fn follow(&mut self, site: usize, name: u8, crash: usize) -> bool {
        let local = self.sites[site].objects.get(&name).cloned();
        let copy = self.sites[site].copy.get(&name).cloned();
        let plan = plan_follow(SITES[site], copy.as_ref(), local.as_ref());
        let conflict = match &plan {
            FollowPlan::Nothing => return false,
            FollowPlan::Create => {
                self.apply(site, name);
                return true;
            }
            FollowPlan::ReleaseFinalizer => {
                self.release(site, name);
                return true;
            }
            FollowPlan::Quarantine { .. } => panic!("{plan:?} of {local:?} with {copy:?}"),
            FollowPlan::Update { conflict }
            | FollowPlan::Delete { conflict }
            | FollowPlan::Recreate { conflict }
            | FollowPlan::RemoveUnauthorised { conflict } => conflict.clone(),
        };
        let local = local.expect("only what is there is changed");
        self.keep(conflict);
        if crash == 0 {
            return true;
        }
        self.assert_kept(name, &local);
        match plan {
            FollowPlan::Update { .. } => self.apply(site, name),
            FollowPlan::Delete { .. } => {
                assert!(copy.is_some(), "deleted because something is missing: {local:?}");
                self.sites[site].objects.remove(&name);
            }
            FollowPlan::Recreate { .. } => self.release(site, name),
            _ => {
                assert!(local.arbiter_revision.is_none(), "removed although it was once in step: {local:?}");
                self.sites[site].objects.remove(&name);
            }
        }
        true
    }

    /// Nothing that a person wrote goes without a trace: it was published once, or is kept as a conflict.
    fn assert_kept(&self, name: u8, local: &LocalView) {
        let lost = without_id(&local.spec);
        let published = self.history.get(&name).into_iter().flatten().any(|version| match &version.value {
            Record::Live(record) => without_id(&record.spec) == lost,
            Record::Tombstone(_) => false,
        });
        let kept = self.conflicts.values().any(|seed| without_id(&seed.local) == lost);
        assert!(published || kept, "lost in silence: {local:?}");
    }

    fn keep(&mut self, seed: Option<ConflictSeed>) {
        if let Some(seed) = seed {
            self.conflicts.entry(seed.id.clone()).or_insert(seed);
        }
    }

    fn in_step(&mut self, site: usize, name: u8, id: &str, revision: i64) {
        let Some(local) = self.sites[site].objects.get_mut(&name) else { return };
        let spec = with_id(&local.spec, id);
        if spec != local.spec {
            local.generation += 1;
        }
        local.synced_hash = Some(spec_hash(&spec));
        local.spec = spec;
        local.id = Some(id.to_owned());
        local.arbiter_revision = Some(revision);
        // The API server takes no new finalizer on what is being deleted.
        local.has_finalizer |= !local.deleting;
    }

    fn apply(&mut self, site: usize, name: u8) {
        let Some(Versioned { revision, value: Record::Live(record) }) = self.sites[site].copy.get(&name).cloned()
        else {
            panic!("applied without a record")
        };
        let before = self.sites[site].objects.remove(&name);
        let mut local = before.unwrap_or_else(|| self.created(name, record.spec.clone()));
        if local.spec != record.spec {
            local.generation += 1;
        }
        local.spec = record.spec;
        self.sites[site].objects.insert(name, local);
        self.in_step(site, name, &record.id, revision);
    }

    fn release(&mut self, site: usize, name: u8) {
        if let Some(local) = self.sites[site].objects.get_mut(&name) {
            local.has_finalizer = false;
        }
        self.reap(site, name);
    }

    /// Faults stop: both sites list anew and act until there is nothing to do.
    fn settle(&mut self) {
        for _ in 0..40 {
            let mut busy = false;
            for site in [self.authority, 1 - self.authority] {
                self.relist(site);
                for name in 0..3 {
                    busy |= self.step(site, name, usize::MAX);
                }
            }
            if !busy {
                return;
            }
        }
        panic!("still busy after 40 rounds: {:?}", self.sites[0].objects);
    }
}

fn origin(site: usize, local: &LocalView) -> Origin {
    Origin { site: SITES[site].to_owned(), uid: local.uid.clone(), generation: local.generation }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn publish_and_follow_converge(events in prop::collection::vec(event(), 0..60)) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        world.settle();
        let mut ids = BTreeSet::new();
        for name in 0..3 {
            let wanted = match world.current(name).map(|record| &record.value) {
                Some(Record::Live(record)) => Some(&record.spec),
                _ => None,
            };
            for site in &world.sites {
                prop_assert_eq!(site.objects.get(&name).map(|local| &local.spec), wanted);
            }
            // An id never changes while a record lives, and never comes back under a second birth.
            let mut last: Option<&Record> = None;
            for version in world.history.get(&name).into_iter().flatten() {
                match last {
                    Some(Record::Live(before)) => prop_assert_eq!(&before.id, version.value.id()),
                    _ => prop_assert!(ids.insert(version.value.id().to_owned())),
                }
                last = Some(&version.value);
            }
        }
    }

    #[test]
    fn nothing_is_deleted_because_something_is_missing(
        revision in prop::option::of(1i64..9),
        synced in any::<bool>(),
        deleting in any::<bool>(),
        has_finalizer in any::<bool>(),
        has_id in any::<bool>(),
    ) {
        let spec = if has_id { json!({"id": "id-1"}) } else { json!({}) };
        let local = LocalView {
            arbiter_revision: revision,
            synced_hash: synced.then(|| spec_hash(&spec)),
            deleting,
            has_finalizer,
            ..super::decisions::fresh("u1", spec)
        };
        let plan = plan_follow("dc-b", None, Some(&local));
        let deletes = matches!(plan, FollowPlan::Delete { .. } | FollowPlan::Recreate { .. } | FollowPlan::Update { .. });
        prop_assert!(!deletes, "{plan:?}");
        prop_assert!(revision.is_none() || !matches!(plan, FollowPlan::RemoveUnauthorised { .. }), "{plan:?}");
        let plan = plan_publish("dc-b", Some(&local), None, Restraint::None);
        prop_assert!(!matches!(plan, PublishPlan::Tombstone { .. } | PublishPlan::Conflict { .. }), "{plan:?}");
        prop_assert!(revision.is_none() || !matches!(plan, PublishPlan::Publish { .. }), "{plan:?}");
        prop_assert_eq!(plan_publish("dc-b", None, None, Restraint::None), PublishPlan::Nothing);
        prop_assert_eq!(plan_follow("dc-b", None, None), FollowPlan::Nothing);
    }
}
