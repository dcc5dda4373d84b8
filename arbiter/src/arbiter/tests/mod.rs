mod audit;
mod city;
mod claims;
mod data;
mod drift;
mod idempotency;
mod moves;
mod operations;
mod pending;
mod promises;
mod reports;
mod versions;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_core::ledger::{Amounts, Change};
use tandem_core::sync::{Kind, ObjectKey, Origin, SpecRecord, Tombstone, mint_id, with_id};

use super::{Arbiter, Burial, Publication, Rider};
use crate::records::{Key, LeaderRecord};
use crate::store::SimStore;
use crate::txn::{self, Mandate};

/// An arbiter in which `dc-a` is the authority, and a mandate of its leader.
async fn founded(store: &SimStore) -> (Arbiter<SimStore>, Mandate) {
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let authority = arbiter.ensure_platform("dc-a").await.unwrap();
    let leader = lead(store, "dc-a", 0);
    (arbiter, authority.mandate("dc-a", leader).unwrap())
}

/// Makes another process the site's leader; returns the revision of its leadership.
fn lead(store: &SimStore, site: &str, before: i64) -> i64 {
    let record = LeaderRecord { replica: "operator-0".into(), incarnation: "1".into() };
    let answer = store.apply(&txn::campaign(site, before, None, &record)).unwrap();
    assert!(answer.succeeded);
    answer.revision
}

fn spec_record(kind: Kind, name: &str, generation: i64, spec: &Value) -> SpecRecord {
    let uid = format!("uid-{kind}-{name}");
    let id = mint_id("dc-a", kind, &uid);
    let key = if kind.namespaced() {
        ObjectKey::namespaced(kind, "audit-prod", name)
    } else {
        ObjectKey::cluster(kind, name)
    };
    SpecRecord {
        spec: with_id(spec, &id),
        id,
        key,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        origin: Origin { site: "dc-a".into(), uid, generation },
        published_at: Timestamp::UNIX_EPOCH,
        trace: None,
    }
}

fn app(name: &str, generation: i64, base: i64) -> Publication {
    let record = spec_record(Kind::Application, name, generation, &json!({"generation": generation}));
    Publication { base, record, rider: Rider::None, edit: None }
}

fn bury(publication: &Publication, base: i64, rider: Rider) -> Burial {
    let SpecRecord { id, key, origin, .. } = publication.record.clone();
    let origin = Origin { generation: origin.generation + 1, ..origin };
    Burial { base, tombstone: Tombstone { id, key, origin, deleted_at: Timestamp::UNIX_EPOCH }, rider, edit: None }
}

fn pods(pods: u64) -> Amounts {
    Amounts { pods, environments: 1, ..Amounts::default() }
}

fn unit(budget: u64, generation: i64, base: i64) -> Publication {
    let budget = Amounts { environments: 100, ..pods(budget) };
    Publication {
        base,
        record: spec_record(Kind::Unit, "audit", generation, &json!({"budget": budget})),
        rider: Rider::Ledger { unit: "audit".into(), change: Change::Budget(budget) },
        edit: None,
    }
}

fn environment(name: &str, asks: u64, generation: i64, base: i64) -> Publication {
    let record = spec_record(Kind::Environment, name, generation, &json!({"pods": asks}));
    let change = Change::Claim { environment: name.into(), id: record.id.clone(), amounts: pods(asks) };
    Publication { base, record, rider: Rider::Ledger { unit: "audit".into(), change }, edit: None }
}

fn spec_key(publication: &Publication) -> Key {
    Key::Spec(publication.record.key.clone())
}
