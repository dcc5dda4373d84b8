//! What every store promises, tried on the simulated store and on a real etcd over mutual TLS.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "contract/audit.rs"]
mod audit;
#[path = "contract/etcd.rs"]
mod etcd;
#[path = "contract/moves.rs"]
mod moves;
#[path = "contract/restore.rs"]
mod restore;
#[path = "contract/suite.rs"]
mod suite;

use std::time::Duration;

use etcd::Etcd;
use futures::StreamExt;
use suite::{next, put};
use tandem_arbiter::store::{EtcdStore, SimStore, Store, StoreError};
use tandem_arbiter::txn::{Compare, Op, Txn};

#[tokio::test]
async fn the_simulated_store() {
    let store = SimStore::default();
    suite::run(&store).await;
    store.compact(store.revision());
    suite::compacted(&store).await;
}

#[tokio::test]
async fn etcd_over_mutual_tls() {
    let etcd = Etcd::start().await;
    let store = etcd.store(&[etcd.endpoint()]).await;
    suite::run(&store).await;
    let revision = store.range("/contract/").await.unwrap().revision;
    etcd.compact(revision).await;
    suite::compacted(&store).await;
}

#[tokio::test]
async fn moves_in_the_simulated_store() {
    let store = SimStore::default();
    restore::identity(&store).await;
    moves::run(&store).await;
    restore::run(&store).await;
}

#[tokio::test]
async fn moves_in_etcd() {
    let etcd = Etcd::start().await;
    let store = etcd.store(&[etcd.endpoint()]).await;
    restore::identity(&store).await;
    moves::run(&store).await;
    restore::run(&store).await;
}

#[tokio::test]
async fn the_audit_chain_in_the_simulated_store() {
    audit::run(&SimStore::default()).await;
}

#[tokio::test]
async fn the_audit_chain_in_etcd() {
    let etcd = Etcd::start().await;
    audit::run(&etcd.store(&[etcd.endpoint()]).await).await;
}

/// Nobody listens at the first endpoint: the transaction certainly did not arrive, and goes to the second.
#[tokio::test]
async fn a_dead_endpoint_is_passed_over() {
    let etcd = Etcd::start().await;
    let store = etcd.store(&[etcd.dead_endpoint(), etcd.endpoint()]).await;
    assert!(put(&store, "/contract/a", "1").await > 0);
    let only = etcd.store(&[etcd.dead_endpoint()]).await;
    let error = only.txn(&Txn { then: vec![Op::delete("/contract/a")], ..Txn::default() }).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// etcd is stopped (SIGSTOP) after the connection stands: the transaction may have arrived, and is not sent elsewhere.
#[tokio::test]
async fn a_lost_answer_is_unknown_and_not_repeated() {
    let etcd = Etcd::start().await;
    let store = etcd.store(&[etcd.endpoint(), etcd.endpoint()]).await;
    let first = put(&store, "/contract/a", "1").await;
    etcd.pause().await;
    let again = Txn {
        compare: vec![Compare::unchanged("/contract/a", first)],
        then: vec![Op::Put { key: "/contract/a".to_owned(), value: b"2".to_vec() }],
        ..Txn::default()
    };
    let error = store.txn(&again).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
    etcd.resume();
    // It may have been carried out after all, or given up with the request: nobody can know. With what it compares, a second
    // one takes effect exactly where the first did not.
    suite::eventually(async || {
        let answer = store.txn(&again).await;
        assert!(matches!(answer, Ok(_) | Err(StoreError::Unknown(_) | StoreError::Unavailable(_))), "{answer:?}");
        answer.ok()
    })
    .await;
    assert!(!store.txn(&again).await.unwrap().succeeded);
    let last = put(&store, "/contract/z", "end").await;
    let mut watch = store.watch("/contract/", first + 1).await.unwrap();
    let mut written = Vec::new();
    loop {
        let batch = next(&mut watch).await.unwrap();
        written.extend(batch.events.into_iter().map(|event| event.key().to_owned()));
        if batch.revision >= last {
            break;
        }
    }
    assert_eq!(written, ["/contract/a", "/contract/z"], "written once");
}

#[tokio::test]
async fn a_watch_leaves_an_endpoint_that_does_not_answer() {
    let etcd = Etcd::start().await;
    let store = etcd.store(&[etcd.endpoint(), etcd.endpoint()]).await;
    let revision = put(&store, "/contract/a", "1").await;
    let mut watch = store.watch("/contract/", revision).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().events.len(), 1);
    store.next_endpoint();
    let ended = tokio::time::timeout(Duration::from_secs(5), watch.next()).await.unwrap();
    assert!(matches!(ended, Some(Err(StoreError::Unavailable(_)))), "{ended:?}");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_stranger_is_not_let_in() {
    let etcd = Etcd::start().await;
    let store = EtcdStore::new(etcd.config_of_stranger()).await.unwrap();
    let answer = store.range("/contract/").await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn plain_text_is_refused() {
    let etcd = Etcd::start().await;
    let mut config = etcd.config(&[etcd.endpoint()]);
    config.endpoints = vec![etcd.endpoint().replace("https", "http")];
    assert!(matches!(EtcdStore::new(config).await, Err(StoreError::Configuration(_))));
}
