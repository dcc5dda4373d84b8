//! Versions of what binds: written with what is published or not at all, and collected no further than anybody may ask.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tandem_core::audit::operator;
use tandem_core::policy::Version;
use tandem_core::sync::{Kind, ObjectKey, Versioned};

use super::pending::history;
use super::{app, bury, founded, lead};
use crate::Arbiter;
use crate::arbiter::{ActError, PublishError, ReadError, Rider};
use crate::records::Key;
use crate::store::{Loss, SimStore};
use crate::txn::{Acting, Edit, Mandate, Op, Txn};

fn day(day: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day)
}

/// An edit of that day; `says` is `None` for a deletion.
fn edit(on: i64, says: Option<Value>) -> Option<Edit> {
    let version = Some(Version { by: format!("li {on}"), at: day(on), says });
    Some(Edit { actor: operator("op-0"), at: day(on), verb: "update", before: None, trace: None, version })
}

fn portal() -> ObjectKey {
    app("portal", 1, 0).record.key
}

/// Publishes `portal` on that day in place of what was published at `base`.
async fn publish(arbiter: &Arbiter<SimStore>, mandate: &Mandate, base: i64, on: i64) -> i64 {
    let mut publication = app("portal", on, base);
    publication.edit = edit(on, Some(json!({"day": on})));
    arbiter.publish(mandate, publication).await.unwrap().revision
}

async fn delete(arbiter: &Arbiter<SimStore>, mandate: &Mandate, base: i64, on: i64) -> i64 {
    let mut burial = bury(&app("portal", on, base), base, Rider::None);
    burial.edit = edit(on, None);
    arbiter.tombstone(mandate, burial).await.unwrap().revision
}

fn revisions(versions: &[Versioned<Version>]) -> Vec<i64> {
    versions.iter().map(|version| version.revision).collect()
}

#[tokio::test]
async fn a_version_bears_the_records_revision_and_comes_with_it_alone() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = publish(&arbiter, &mandate, 0, 1).await;
    // What binds nobody has changed.
    let renamed = arbiter.publish(&mandate, app("portal", 2, first)).await.unwrap().revision;
    let mut stale = app("portal", 3, first);
    stale.edit = edit(3, Some(json!({})));
    let refused = arbiter.publish(&mandate, stale).await;
    assert!(matches!(refused, Err(PublishError::Conflict { .. })), "{refused:?}");
    store.lose_next_answer(Loss::After);
    let second = publish(&arbiter, &mandate, renamed, 4).await;
    let gone = delete(&arbiter, &mandate, second, 5).await;
    let versions = arbiter.versions(&portal()).await.unwrap();
    assert_eq!(revisions(&versions), [first, second, gone]);
    assert_eq!(arbiter.spec(&portal()).await.unwrap().unwrap().revision, gone);
    let said: Vec<_> = versions.into_iter().map(|version| (version.value.by, version.value.says)).collect();
    let wanted = [("li 1", Some(json!({"day": 1}))), ("li 4", Some(json!({"day": 4}))), ("li 5", None)];
    assert_eq!(said, wanted.map(|(by, says)| (by.to_owned(), says)));
}

#[tokio::test]
async fn a_name_that_is_taken_anew_overwrites_nothing() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = publish(&arbiter, &mandate, 0, 1).await;
    let gone = delete(&arbiter, &mandate, first, 2).await;
    for (site, leader) in [("dc-a", mandate.leader), ("dc-b", lead(&store, "dc-b", 0))] {
        Arbiter::new(store.clone(), site).set_applied(leader, gone).await.unwrap();
    }
    assert_eq!(arbiter.collect_tombstones(&mandate, &["dc-a".into(), "dc-b".into()]).await.unwrap(), 1);
    let mut anew = app("portal", 3, 0);
    anew.record.id = "another".into();
    anew.edit = edit(3, Some(json!({"day": 3})));
    let anew = arbiter.publish(&mandate, anew).await.unwrap().revision;
    assert_eq!(revisions(&arbiter.versions(&portal()).await.unwrap()), [first, gone, anew]);
    let puts = history(&store, &Key::versions(&portal()));
    let keys: std::collections::BTreeSet<&str> = puts.iter().map(crate::store::Event::key).collect();
    assert_eq!((puts.len(), keys.len()), (3, 3), "no key was written twice");
}

#[tokio::test]
async fn versions_are_of_one_object_or_of_a_kind() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    publish(&arbiter, &mandate, 0, 1).await;
    for name in ["portal-b", "hall"] {
        let mut other = app(name, 1, 0);
        other.edit = edit(1, Some(json!({})));
        arbiter.publish(&mandate, other).await.unwrap();
    }
    assert_eq!(arbiter.versions(&portal()).await.unwrap().len(), 1);
    let all = arbiter.versions_of(Kind::Application).await.unwrap();
    let names: Vec<&str> = all.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["hall", "portal", "portal-b"]);
    assert!(arbiter.versions_of(Kind::Unit).await.unwrap().is_empty());
    assert!(arbiter.versions(&ObjectKey::cluster(Kind::Unit, "audit")).await.unwrap().is_empty());
}

fn put(store: &SimStore, key: &Key, record: &Value) {
    store
        .apply(&Txn {
            then: vec![Op::Put { key: key.to_string(), value: record.to_string().into() }],
            ..Txn::default()
        })
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_refuses_and_is_not_collected() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = publish(&arbiter, &mandate, 0, 1).await;
    publish(&arbiter, &mandate, first, 2).await;
    let newer = Key::Version { object: portal(), base: 900, id: "a".into() };
    put(&store, &newer, &json!({"schema": 2, "says": {}}));
    let read = arbiter.versions(&portal()).await;
    assert!(matches!(read, Err(ReadError::Record { .. })), "{read:?}");
    assert!(arbiter.versions_of(Kind::Application).await.is_err());
    let acting = Acting::new("dc-a", mandate.leader);
    assert_eq!(arbiter.collect_versions(acting, day(500)).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_in_force_is_kept_however_old_it_is() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = publish(&arbiter, &mandate, 0, 1).await;
    let second = publish(&arbiter, &mandate, first, 2).await;
    let third = publish(&arbiter, &mandate, second, 300).await;
    let acting = Acting::new("dc-a", mandate.leader);
    assert_eq!(arbiter.collect_versions(acting, day(1)).await.unwrap(), 0);
    let lapsed = Acting::new("dc-a", mandate.leader - 1);
    let refused = arbiter.collect_versions(lapsed, day(100)).await;
    assert!(matches!(refused, Err(ActError::NotLeader)), "{refused:?}");
    assert_eq!(arbiter.collect_versions(acting, day(100)).await.unwrap(), 1);
    assert_eq!(revisions(&arbiter.versions(&portal()).await.unwrap()), [second, third]);
    assert_eq!(arbiter.collect_versions(acting, day(5_000)).await.unwrap(), 1);
    assert_eq!(revisions(&arbiter.versions(&portal()).await.unwrap()), [third]);
    delete(&arbiter, &mandate, third, 400).await;
    assert_eq!(arbiter.collect_versions(acting, day(399)).await.unwrap(), 0);
    assert_eq!(arbiter.collect_versions(acting, day(400)).await.unwrap(), 2);
    assert!(arbiter.versions(&portal()).await.unwrap().is_empty());
}

/// An older release publishes and keeps no versions.
#[tokio::test]
async fn the_newest_of_what_is_wanted_stays_also_where_it_says_that_it_was_deleted() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let first = publish(&arbiter, &mandate, 0, 1).await;
    let gone = delete(&arbiter, &mandate, first, 2).await;
    let acting = Acting::new("dc-a", mandate.leader);
    arbiter.publish(&mandate, app("portal", 3, gone)).await.unwrap();
    assert_eq!(arbiter.collect_versions(acting, day(100)).await.unwrap(), 1);
    assert_eq!(revisions(&arbiter.versions(&portal()).await.unwrap()), [gone]);
}

#[tokio::test]
async fn many_are_collected_in_several_transactions() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let mut base = 0;
    for on in 1..=230 {
        base = publish(&arbiter, &mandate, base, on).await;
    }
    let acting = Acting::new("dc-a", mandate.leader);
    assert_eq!(arbiter.collect_versions(acting, day(500)).await.unwrap(), 229);
    assert_eq!(revisions(&arbiter.versions(&portal()).await.unwrap()), [base]);
}
