use futures::StreamExt;
use serde_json::json;
use tandem_core::ledger::Change;
use tandem_core::sync::{Brake, Kind, ObjectKey, Record};

use super::super::{ActError, PublishError, Rider, StatusReport};
use super::{app, bury, environment, founded, lead, spec_key, spec_record, unit};
use crate::arbiter::{Arbiter, Publication};
use crate::records::{BrakeRecord, Confirmation, GroupRecord, Key, PLATFORM, Phase, StatusRecord, decode};
use crate::store::{Loss, SimStore, Store};
use crate::txn::{Op, Txn};

fn group(store: &SimStore, name: &str) -> GroupRecord {
    let get = Txn { then: vec![Op::get(Key::Group(name.into()))], ..Txn::default() };
    decode(&store.apply(&get).unwrap().one(0).unwrap().value).unwrap()
}

#[tokio::test]
async fn the_first_to_found_the_platform_stays() {
    let store = SimStore::default();
    let (a, b) = (Arbiter::new(store.clone(), "dc-a"), Arbiter::new(store.clone(), "dc-b"));
    assert_eq!(a.authority().await.unwrap(), None);
    let first = a.ensure_platform("dc-a").await.unwrap();
    let second = b.ensure_platform("dc-b").await.unwrap();
    assert_eq!(first, second);
    assert_eq!((first.record.active.as_str(), first.record.epoch), ("dc-a", 1));
    assert!(first.mandate("dc-b", 1).is_none());
}

#[tokio::test]
async fn a_mandate_ends_with_its_authority_and_with_its_leadership() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = arbiter.publish(&mandate, app("portal", 1, 0)).await.unwrap();
    // Another replica leads …
    let leader = lead(&store, "dc-a", mandate.leader);
    let refused = arbiter.publish(&mandate, app("portal", 2, first.revision)).await;
    assert!(matches!(refused, Err(PublishError::NotLeader)), "{refused:?}");
    // … and then the authority moves.
    let mandate = crate::txn::Mandate { leader, ..mandate };
    let moved = GroupRecord { active: "dc-b".into(), epoch: 2, ..GroupRecord::first("dc-b") };
    store.apply(&Txn { then: vec![Op::put(Key::Group(PLATFORM.into()), &moved)], ..Txn::default() }).unwrap();
    let refused = arbiter.publish(&mandate, app("portal", 2, first.revision)).await;
    assert!(matches!(refused, Err(PublishError::NotAuthority)), "{refused:?}");
    let refused = arbiter.collect_tombstones(&mandate, &["dc-a".into()]).await;
    assert_eq!(refused.unwrap(), 0, "nothing to collect, nothing to refuse");
    assert!(arbiter.authority().await.unwrap().unwrap().mandate("dc-a", leader).is_none());
    let released = GroupRecord { phase: Phase::Released { to: "dc-b".into() }, ..GroupRecord::first("dc-a") };
    assert!(!released.held_by("dc-a") && !released.held_by("dc-b"));
}

#[tokio::test]
async fn a_moved_record_is_a_conflict_and_never_overwritten() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = arbiter.publish(&mandate, app("portal", 1, 0)).await.unwrap();
    let second = arbiter.publish(&mandate, app("portal", 2, first.revision)).await.unwrap();
    for base in [0, first.revision] {
        let Err(PublishError::Conflict { current: Some(current) }) =
            arbiter.publish(&mandate, app("portal", 3, base)).await
        else {
            panic!("not refused")
        };
        assert_eq!((current.revision, current.value.origin().generation), (second.revision, 2));
    }
    let gone = arbiter.publish(&mandate, app("other", 1, 7)).await;
    assert!(matches!(gone, Err(PublishError::Conflict { current: None })), "{gone:?}");
}

#[tokio::test]
async fn a_lost_answer_is_read_back_and_nothing_happens_twice() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    store.lose_next_answer(Loss::After);
    let published = arbiter.publish(&mandate, app("portal", 1, 0)).await.unwrap();
    assert_eq!(published.revision, store.revision());
    // Lost on the way there: it may still be on its way, as far as anybody can know.
    store.lose_next_answer(Loss::Before);
    let edit = app("portal", 2, published.revision);
    let unknown = arbiter.publish(&mandate, edit.clone()).await;
    assert!(matches!(unknown, Err(PublishError::Unknown(_))), "{unknown:?}");
    assert_eq!(store.revision(), published.revision);
    // If what it compares has moved since, it cannot happen any more.
    store.lose_next_answer(Loss::Before);
    lead(&store, "dc-a", mandate.leader);
    let refused = arbiter.publish(&mandate, edit).await;
    assert!(matches!(refused, Err(PublishError::NotLeader)), "{refused:?}");
}

#[tokio::test]
async fn an_environment_takes_its_share_in_the_transaction_that_publishes_it() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let early = arbiter.publish(&mandate, environment("audit-prod", 4, 1, 0)).await;
    assert!(matches!(early, Err(PublishError::Refused(_))), "{early:?}");
    let budget = arbiter.publish(&mandate, unit(10, 1, 0)).await.unwrap();
    let prod = environment("audit-prod", 7, 1, 0);
    let published = arbiter.publish(&mandate, prod.clone()).await.unwrap();
    let ledger = arbiter.ledger("audit").await.unwrap().unwrap();
    assert_eq!(ledger.revision, published.revision);
    assert_eq!(ledger.value.ledger.taken["audit-prod"].id, prod.record.id);

    let before = store.revision();
    let refused = arbiter.publish(&mandate, environment("audit-test", 4, 1, 0)).await.unwrap_err();
    assert!(refused.to_string().contains("pods: asks 4, free 3 of 10"), "{refused}");
    let refused = arbiter.publish(&mandate, unit(6, 2, budget.revision)).await.unwrap_err();
    assert!(refused.to_string().contains("pods: new budget 6, held 7"), "{refused}");
    assert_eq!(store.revision(), before, "what is refused changes nothing");

    let change = Change::Release { environment: "audit-prod".into(), id: prod.record.id.clone() };
    let rider = Rider::Ledger { unit: "audit".into(), change };
    arbiter.tombstone(&mandate, bury(&prod, published.revision, rider)).await.unwrap();
    assert_eq!(arbiter.ledger("audit").await.unwrap().unwrap().value.ledger.free().pods, 10);
    let rider = Rider::Ledger { unit: "audit".into(), change: Change::Remove };
    arbiter.tombstone(&mandate, bury(&unit(10, 1, 0), budget.revision, rider)).await.unwrap();
    assert_eq!(arbiter.ledger("audit").await.unwrap(), None);
}

#[tokio::test]
async fn a_publication_without_its_ledger_is_a_mistake() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let bare = Publication { rider: Rider::None, ..environment("audit-prod", 1, 1, 0) };
    assert!(matches!(arbiter.publish(&mandate, bare).await, Err(PublishError::WrongRider(Kind::Environment))));
    let laden = Publication { rider: unit(1, 1, 0).rider, ..app("portal", 1, 0) };
    assert!(matches!(arbiter.publish(&mandate, laden).await, Err(PublishError::WrongRider(Kind::Application))));
}

#[tokio::test]
async fn a_group_keeps_its_epoch_over_deletion_and_return() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let publication = |generation, base, preferred: &str| Publication {
        base,
        record: spec_record(Kind::FailoverGroup, "city-app", generation, &json!({})),
        rider: Rider::Group { preferred: preferred.into() },
        edit: None,
    };
    let first = arbiter.publish(&mandate, publication(1, 0, "dc-a")).await.unwrap();
    assert_eq!(group(&store, "city-app"), GroupRecord::first("dc-a"));
    // Since then it failed over.
    let moved = GroupRecord { active: "dc-b".into(), epoch: 5, ..GroupRecord::first("dc-b") };
    store.apply(&Txn { then: vec![Op::put(Key::Group("city-app".into()), &moved)], ..Txn::default() }).unwrap();
    let second = arbiter.publish(&mandate, publication(2, first.revision, "dc-a")).await.unwrap();
    assert_eq!(group(&store, "city-app"), moved, "an edit of the group's specification moves nothing");
    let third =
        arbiter.tombstone(&mandate, bury(&publication(2, 0, "dc-a"), second.revision, Rider::Retire)).await.unwrap();
    assert!(group(&store, "city-app").retired);
    arbiter.publish(&mandate, publication(3, third.revision, "dc-a")).await.unwrap();
    assert_eq!(group(&store, "city-app"), moved);
}

#[tokio::test]
async fn the_authoritys_own_group_can_be_published_and_never_retired() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let record = spec_record(Kind::FailoverGroup, PLATFORM, 1, &json!({}));
    let publication = Publication { base: 0, record, rider: Rider::Group { preferred: "dc-b".into() }, edit: None };
    let published = arbiter.publish(&mandate, publication.clone()).await.unwrap();
    arbiter.tombstone(&mandate, bury(&publication, published.revision, Rider::Retire)).await.unwrap();
    assert_eq!(group(&store, PLATFORM), GroupRecord::first("dc-a"));
    assert_eq!(arbiter.authority().await.unwrap().unwrap().revision, mandate.authority);
}

#[tokio::test]
async fn a_tombstone_stays_until_every_site_has_applied_it() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let other = Arbiter::new(store.clone(), "dc-b");
    let leader = lead(&store, "dc-b", 0);
    let sites = ["dc-a".to_owned(), "dc-b".to_owned()];
    let published = arbiter.publish(&mandate, app("portal", 1, 0)).await.unwrap();
    let burial = bury(&app("portal", 1, 0), published.revision, Rider::None);
    let buried = arbiter.tombstone(&mandate, burial).await.unwrap();
    arbiter.set_applied(mandate.leader, buried.revision).await.unwrap();
    assert_eq!(arbiter.collect_tombstones(&mandate, &sites).await.unwrap(), 0, "dc-b has said nothing yet");
    other.set_applied(leader, buried.revision - 1).await.unwrap();
    assert_eq!(arbiter.collect_tombstones(&mandate, &sites).await.unwrap(), 0);
    assert!(matches!(arbiter.list_specs().await.unwrap().entries[0].value, Ok(Record::Tombstone(_))));
    other.set_applied(leader, buried.revision).await.unwrap();
    assert_eq!(arbiter.collect_tombstones(&mandate, &sites).await.unwrap(), 1);
    assert!(arbiter.list_specs().await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn applied_never_goes_back_and_is_written_by_the_leader_only() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    assert!(arbiter.set_applied(mandate.leader, 9).await.unwrap());
    assert!(!arbiter.set_applied(mandate.leader, 9).await.unwrap());
    assert!(!arbiter.set_applied(mandate.leader, 3).await.unwrap());
    assert_eq!(arbiter.applied("dc-a").await.unwrap(), Some(9));
    lead(&store, "dc-a", mandate.leader);
    assert!(matches!(arbiter.set_applied(mandate.leader, 10).await, Err(ActError::NotLeader)));
}

fn reports(count: usize, ready: bool) -> Vec<StatusReport> {
    let report = |n: usize| StatusReport {
        object: ObjectKey::cluster(Kind::Unit, format!("u{n}")),
        status: Some(StatusRecord {
            id: n.to_string(),
            spec_revision: 1,
            ready,
            conditions: Vec::new(),
            detail: json!(null),
        }),
    };
    (0..count).map(report).collect()
}

#[tokio::test]
async fn status_is_written_in_batches_and_only_where_it_changed() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let leader = mandate.leader;
    assert_eq!(arbiter.report_status(leader, reports(250, false)).await.unwrap(), 250);
    let before = store.revision();
    assert_eq!(arbiter.report_status(leader, reports(250, false)).await.unwrap(), 0);
    // Another process that comes to lead reads what is written and repeats none of it.
    let leader = lead(&store, "dc-a", leader);
    let fresh = Arbiter::new(store.clone(), "dc-a");
    assert_eq!(fresh.report_status(leader, reports(250, false)).await.unwrap(), 0);
    assert_eq!(store.revision(), before + 1, "a steady state writes nothing");
    assert!(matches!(arbiter.report_status(mandate.leader, reports(1, true)).await, Err(ActError::NotLeader)));
    let mut some = reports(3, true);
    some[2].status = None;
    assert_eq!(fresh.report_status(leader, some).await.unwrap(), 3);
    let listing = fresh.list_status("dc-a").await.unwrap();
    assert_eq!(listing.entries.len(), 249);
    assert_eq!(listing.entries.iter().filter(|seen| seen.value.as_ref().unwrap().ready).count(), 2);
    // A lost answer: what is written is read again, and what is missing is written.
    store.lose_next_answer(Loss::Before);
    assert!(matches!(fresh.report_status(leader, reports(250, true)).await, Err(ActError::Store(_))));
    assert_eq!(fresh.report_status(leader, reports(250, true)).await.unwrap(), 248);
}

#[tokio::test]
async fn one_unreadable_record_does_not_hide_the_others() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    arbiter.publish(&mandate, app("portal", 1, 0)).await.unwrap();
    let newer = Op::Put { key: spec_key(&app("newer", 1, 0)).to_string(), value: br#"{"schema": 2}"#.to_vec() };
    let kind = Op::Put { key: "/tandem/v1/specs/drills/-/d".into(), value: br#"{"schema": 1}"#.to_vec() };
    store.apply(&Txn { then: vec![newer, kind], ..Txn::default() }).unwrap();
    let listing = arbiter.list_specs().await.unwrap();
    let readable: Vec<bool> = listing.entries.iter().map(|seen| seen.value.is_ok()).collect();
    assert_eq!(readable, [false, true]);
    let refused = arbiter.publish(&mandate, app("newer", 1, 0)).await;
    assert!(matches!(refused, Err(PublishError::Read(_))), "{refused:?}");
}

#[tokio::test]
async fn the_brake_is_recorded_once_and_each_trip_needs_its_own_confirmation() {
    let store = SimStore::default();
    let (b, a) = (Arbiter::new(store.clone(), "dc-b"), Arbiter::new(store.clone(), "dc-a"));
    let mut brake = Brake::default();
    let now = std::time::Duration::ZERO;
    let tripped = (0..6).find_map(|n| brake.admit(now, Kind::Unit, &n.to_string(), 54, true).err()).unwrap();
    let at = jiff::Timestamp::UNIX_EPOCH;
    let record = BrakeRecord::new(&tripped, 7, at);
    let trip = b.trip_brake(&record).await.unwrap();
    assert_eq!(b.trip_brake(&record).await.unwrap(), trip, "already recorded");
    assert_eq!(tandem_core::sync::Tripped::from(trip.value.tripped.clone()), tripped);
    let word = || Confirmation { by: "ops".into(), at };
    assert!(!a.confirm_brake("dc-b", trip.revision - 1, word(), None).await.unwrap());
    assert!(a.confirm_brake("dc-b", trip.revision, word(), None).await.unwrap());
    let confirmed = b.brake("dc-b").await.unwrap().unwrap();
    assert_eq!(confirmed.value.confirmed, Some(word()));
    assert!(
        a.confirm_brake("dc-b", trip.revision, word(), None).await.unwrap(),
        "said twice, it is confirmed all the same"
    );
    let second = b.trip_brake(&record).await.unwrap();
    assert!(second.revision > confirmed.revision, "another trip takes the place of one that was confirmed");
    assert_eq!(second.value.confirmed, None);
    let mut states = b.watch_brake("dc-b", trip.revision).await.unwrap();
    for expected in [trip, confirmed, second] {
        assert_eq!(states.next().await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn an_unreadable_hold_still_holds() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    assert!(arbiter.holds().await.unwrap().is_empty());
    let unknown = Op::Put { key: "/tandem/v1/holds/planet/earth".into(), value: br#"{"schema": 1}"#.to_vec() };
    store.apply(&Txn { then: vec![unknown], ..Txn::default() }).unwrap();
    assert!(arbiter.holds().await.is_err());
    assert_eq!(store.range("/tandem/v1/holds/").await.unwrap().kvs.len(), 1);
}
