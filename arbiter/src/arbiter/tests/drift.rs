//! What was put back: counted once each, with an entry for the audit chain in the same transaction.

use jiff::Timestamp;
use serde_json::json;
use tandem_core::audit::Actor;
use tandem_core::findings::Drift;

use super::pending::drained;
use super::{founded, lead};
use crate::Arbiter;
use crate::arbiter::ReadError;
use crate::records::Key;
use crate::store::{Loss, SimStore, StoreError};
use crate::txn::{Acting, Op, Txn};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn found(name: &str, second: i64) -> Drift {
    Drift {
        kind: "NetworkPolicy".into(),
        namespace: Some("health-prod".into()),
        name: name.into(),
        by: "kubectl-edit".into(),
        fields: vec!["spec.ingress".into()],
        first: at(second),
        last: at(second),
        times: 1,
    }
}

fn li() -> Actor {
    Actor { name: "kubectl:kubectl-edit".into(), roles: Vec::new(), via: "kubectl".into() }
}

#[tokio::test]
async fn what_was_put_back_is_recorded_counted_and_audited() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let other = Arbiter::new(store.clone(), "dc-b");
    assert!(arbiter.drifted(&found("deny", 5), &li()).await.unwrap());
    let again = Drift { times: 3, first: at(7), ..found("deny", 9) };
    assert!(arbiter.drifted(&again, &li()).await.unwrap());
    let namespace = Drift { kind: "Namespace".into(), namespace: None, ..found("health-prod", 6) };
    assert!(other.drifted(&namespace, &li()).await.unwrap());
    let wanted =
        [("dc-a".to_owned(), Drift { first: at(5), times: 4, ..found("deny", 9) }), ("dc-b".to_owned(), namespace)];
    assert_eq!(arbiter.drifts().await.unwrap(), wanted);
    let entries = drained(&arbiter).await;
    let said: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.object.as_str(), entry.at)).collect();
    let object = "NetworkPolicy health-prod/deny";
    assert_eq!(said, [("drift.put-back", object, at(5)), ("drift.put-back", object, at(9))]);
    assert!(entries.iter().all(|entry| entry.actor == li()));
    assert_eq!(entries[0].trace.as_deref(), Some("drift/dc-a/NetworkPolicy/health-prod/deny"));
    assert_eq!(drained(&other).await[0].object, "Namespace health-prod");
}

#[tokio::test]
async fn a_lost_answer_counts_once() {
    for loss in [Loss::Before, Loss::After] {
        let store = SimStore::default();
        let arbiter = Arbiter::new(store.clone(), "dc-a");
        arbiter.drifted(&found("deny", 5), &li()).await.unwrap();
        // The read is answered, the write is not.
        store.answer_next();
        store.lose_next_answer(loss);
        assert!(arbiter.drifted(&found("deny", 6), &li()).await.unwrap());
        assert!(arbiter.drifted(&found("deny", 6), &li()).await.unwrap(), "told again");
        assert_eq!(arbiter.drifts().await.unwrap()[0].1.times, 2, "{loss:?}");
        assert_eq!(drained(&arbiter).await.len(), 2, "{loss:?}");
    }
}

#[tokio::test]
async fn without_the_arbiter_nothing_is_written_and_what_is_newer_is_left_alone() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    store.set_down(true);
    let told = arbiter.drifted(&found("deny", 5), &li()).await;
    assert!(matches!(told, Err(ReadError::Store(StoreError::Unavailable(_)))), "{told:?}");
    store.set_down(false);
    let key = Key::drifts_of("dc-a") + "NetworkPolicy/health-prod/deny";
    let newer = Op::Put { key, value: json!({"schema": 2}).to_string().into() };
    store.apply(&Txn { then: vec![newer], ..Txn::default() }).unwrap();
    let told = arbiter.drifted(&found("deny", 5), &li()).await;
    assert!(matches!(told, Err(ReadError::Record { .. })), "{told:?}");
    assert!(arbiter.drifts().await.is_err());
    let acting = Acting::new("dc-a", mandate.leader);
    assert_eq!(arbiter.collect_drifts(acting, at(1_000)).await.unwrap(), 0);
}

#[tokio::test]
async fn what_stands_under_another_objects_key_is_refused() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let put = Op::put(Key::drifts_of("dc-a") + "NetworkPolicy/health-prod/deny", &found("allow", 5));
    store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    let read = arbiter.drifts().await;
    assert!(matches!(read, Err(ReadError::Record { .. })), "{read:?}");
}

#[tokio::test]
async fn what_is_long_past_is_collected_by_its_own_sites_leader() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    for name in ["deny", "dns"] {
        arbiter.drifted(&found(name, 5), &li()).await.unwrap();
    }
    arbiter.drifted(&found("dns", 50), &li()).await.unwrap();
    Arbiter::new(store.clone(), "dc-b").drifted(&found("deny", 5), &li()).await.unwrap();
    let acting = Acting::new("dc-a", mandate.leader);
    assert_eq!(arbiter.collect_drifts(acting, at(5)).await.unwrap(), 0);
    assert_eq!(arbiter.collect_drifts(Acting::new("dc-a", mandate.leader - 1), at(20)).await.unwrap(), 0);
    assert_eq!(arbiter.collect_drifts(acting, at(20)).await.unwrap(), 1);
    let left: Vec<_> = arbiter.drifts().await.unwrap().into_iter().map(|(site, drift)| (site, drift.name)).collect();
    assert_eq!(left, [("dc-a".into(), "dns".into()), ("dc-b".into(), "deny".to_owned())]);
    // It comes again, from nothing: another entry.
    arbiter.drifted(&found("deny", 90), &li()).await.unwrap();
    assert_eq!(drained(&arbiter).await.len(), 4);
    let leader = lead(&store, "dc-b", 0);
    let b = Arbiter::new(store, "dc-b");
    assert_eq!(b.collect_drifts(Acting::new("dc-b", leader), at(20)).await.unwrap(), 1);
}
