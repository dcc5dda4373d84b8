//! One published object: what people edit at either site, published by the site with authority and followed by the other, by
//! the rules of `core::sync` and the arbiter's own transactions.
//!
//! A leader looks at it about as often as at everything else. It reads the record instead of watching it; what it decides may
//! be out of date all the same when it arrives, and then the comparisons refuse it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_arbiter::records::{ConflictRecord, Key, PLATFORM, decode_spec};
use tandem_arbiter::txn::{self, Kv, Mandate, Op, SpecChange, Txn, TxnAnswer};
use tandem_core::failover::Request;
use tandem_core::sync::{
    ConflictSeed, FollowPlan, Kind, LocalView, ObjectKey, Origin, PublishPlan, Record, Restraint, SpecRecord,
    Versioned, mint_id, plan_follow, plan_publish, spec_hash, with_id,
};

use super::Msg;
use super::driver::wall;
use super::replica::{Asked, Replica};
use crate::etcd::Request as Etcd;
use crate::net::Place;
use crate::world::Ctx;

/// What the API servers of both sites hold.
#[derive(Debug)]
pub(super) struct Objects {
    /// What people asked for.
    pub(super) orders: BTreeMap<(Place, String), Request>,
    /// The object at each site.
    shelves: [Shelf; 2],
    /// How many edits there were; each bears its number. Before the first one nobody looks at the object.
    edits: u64,
    /// Edits that were overwritten by a replica, to be accounted for.
    pub(super) lost: Vec<(Place, u64)>,
}

#[derive(Debug)]
struct Shelf {
    view: LocalView,
    /// `resourceVersion`.
    version: u64,
}

/// A publication under way.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    version: u64,
    spec: Value,
    id: String,
}

/// A record that shall replace the object as it was seen.
#[derive(Clone, Debug)]
pub(super) struct Overwrite {
    version: u64,
    record: Versioned<SpecRecord>,
}

pub(super) fn key() -> ObjectKey {
    ObjectKey::cluster(Kind::Unit, "audit")
}

/// The number of an edit.
pub(super) fn number(spec: &Value) -> Option<u64> {
    spec.get("edit")?.as_u64()
}

fn uid(place: Place) -> String {
    format!("uid-{}", place.site())
}

/// The record with which a world begins: published by the first site.
pub(super) fn first() -> SpecRecord {
    let site = Place::A.site();
    let id = mint_id(site, Kind::Unit, &uid(Place::A));
    let spec = with_id(&json!({ "edit": 0 }), &id);
    let origin = Origin { site: site.to_owned(), uid: uid(Place::A), generation: 1 };
    let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
    SpecRecord { id, key: key(), labels, annotations, spec, origin, published_at: wall(), trace: None }
}

impl Objects {
    /// Both sites have the first record, which stands at this revision.
    pub(super) fn new(revision: i64) -> Self {
        let record = first();
        let shelf = |place: Place| Shelf {
            version: 1,
            view: LocalView {
                key: key(),
                uid: uid(place),
                generation: 1,
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                id: Some(record.id.clone()),
                arbiter_revision: Some(revision),
                synced_hash: Some(spec_hash(&record.spec)),
                spec: record.spec.clone(),
                deleting: false,
                has_finalizer: true,
            },
        };
        Self { orders: BTreeMap::new(), shelves: [shelf(Place::A), shelf(Place::B)], edits: 0, lost: Vec::new() }
    }

    /// The number of the edit that a site's object has.
    pub(super) fn has(&self, place: Place) -> Option<u64> {
        number(&self.shelves[place.index()].view.spec)
    }

    /// People edit the object at a site, whether that site has authority or not.
    pub(super) fn edit(&mut self, place: Place) {
        self.edits += 1;
        let Shelf { view, version } = &mut self.shelves[place.index()];
        view.spec["edit"] = json!(self.edits);
        view.generation += 1;
        *version += 1;
    }

    /// The answer to a publication. One that was refused is decided anew from what there is.
    pub(super) fn published(&mut self, place: Place, publication: &Publication, answer: &TxnAnswer) {
        let Publication { version, spec, id } = publication;
        if answer.succeeded {
            self.in_step(place, *version, spec, id, answer.revision);
        }
    }

    /// Writes into the object to which record it corresponds, unless it was changed meanwhile.
    fn in_step(&mut self, place: Place, version: u64, spec: &Value, id: &str, revision: i64) {
        let shelf = &mut self.shelves[place.index()];
        if shelf.version != version {
            return;
        }
        shelf.view.spec = with_id(spec, id);
        shelf.view.synced_hash = Some(spec_hash(&shelf.view.spec));
        shelf.view.id = Some(id.to_owned());
        shelf.view.arbiter_revision = Some(revision);
        shelf.version += 1;
    }

    /// Replaces the object by the record, unless it was changed meanwhile.
    pub(super) fn overwrite(&mut self, place: Place, overwrite: &Overwrite) {
        let Overwrite { version, record } = overwrite;
        let shelf = &self.shelves[place.index()];
        if shelf.version != *version {
            return;
        }
        if shelf.view.spec["edit"] != record.value.spec["edit"] {
            self.lost.extend(number(&shelf.view.spec).map(|edit| (place, edit)));
            self.shelves[place.index()].view.generation += 1;
        }
        self.in_step(place, *version, &record.value.spec, &record.value.id, record.revision);
    }
}

impl Replica {
    /// Looks at the object's record, if anybody ever edited the object.
    pub(super) fn synchronise(&mut self, ctx: &mut Ctx<Msg>, objects: &Objects) {
        let busy = |asked: &Asked| matches!(asked, Asked::Spec | Asked::Publish(_) | Asked::Conflict(_));
        if objects.edits > 0 && !self.pending.values().any(busy) {
            let read = Txn { then: vec![Op::get(Key::Spec(key()))], ..Txn::default() };
            self.send(ctx, Asked::Spec, Etcd::Txn(read));
        }
    }

    /// Compares the object with its record, and does what the rules say.
    pub(super) fn compare(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects, found: Option<&Kv>) {
        let Some(leader) = self.leads(ctx) else { return };
        let Some(platform) = self.board.groups.get(PLATFORM).map(|held| held.record.clone()) else { return };
        let Some(kv) = found else { return };
        let Ok(record) = decode_spec(&key(), &kv.value) else { return };
        let record = Versioned::new(kv.mod_revision, record);
        let site = self.place.site();
        let Shelf { view, version } = &objects.shelves[self.place.index()];
        let version = *version;
        if !platform.value.held_by(site) {
            if let FollowPlan::Update { conflict } = plan_follow(site, Some(&record), Some(view)) {
                self.give_way(ctx, objects, version, record, conflict);
            }
            return;
        }
        match plan_publish(site, Some(view), Some(&record), Restraint::None) {
            PublishPlan::Publish { base, id } => {
                let spec = view.spec.clone();
                let origin = Origin { site: site.to_owned(), uid: view.uid.clone(), generation: view.generation };
                let next = SpecRecord { id: id.clone(), spec: with_id(&spec, &id), origin, ..first() };
                let mandate = Mandate { authority: platform.revision, leader: leader.mod_revision };
                let change = SpecChange { base, record: Record::Live(next) };
                let txn = txn::publish(site, &mandate, &change, None, None);
                let publication = Publication { version, spec, id };
                self.send(ctx, Asked::Publish(Box::new(publication)), Etcd::Txn(txn));
            }
            PublishPlan::Heal { id, revision } => {
                let spec = view.spec.clone();
                objects.in_step(self.place, version, &spec, &id, revision);
            }
            PublishPlan::Conflict { seed } => self.give_way(ctx, objects, version, record, seed),
            _ => {}
        }
    }

    /// The record replaces the object; an edit that was never published is recorded first.
    fn give_way(
        &mut self,
        ctx: &mut Ctx<Msg>,
        objects: &mut Objects,
        version: u64,
        record: Versioned<Record>,
        conflict: Option<ConflictSeed>,
    ) {
        let Versioned { revision, value: Record::Live(spec) } = record else { return };
        let overwrite = Overwrite { version, record: Versioned::new(revision, spec) };
        match conflict {
            None => objects.overwrite(self.place, &overwrite),
            Some(seed) => {
                let txn = txn::conflict(&ConflictRecord::new(seed, wall()));
                self.send(ctx, Asked::Conflict(Box::new(overwrite)), Etcd::Txn(txn));
            }
        }
    }
}

/// What became of edits, from the arbiter's own history.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// The edits that were published, in the order of their records.
    pub published: Vec<u64>,
    /// The edits that are kept as conflicts.
    pub conflicts: BTreeSet<u64>,
}
