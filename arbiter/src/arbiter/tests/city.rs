//! A site follows the records through a watch that loses, repeats and reorders; conflicts are kept once.

use std::cell::Cell;
use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use serde_json::json;
use tandem_core::sync::{ConflictSeed, ObjectKey, Record, Versioned, conflict_id};

use super::super::{Arbiter, Moved, PublishError, Rider};
use super::{app, bury, founded};
use crate::records::ConflictRecord;
use crate::store::{Loss, SimStore, StoreError, WatchFaults};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

type Copy = BTreeMap<ObjectKey, Versioned<Record>>;

/// Keeps a copy of the records by watching from the beginning, whatever the watch does, until `done` and all is delivered.
async fn mirror(arbiter: &Arbiter<SimStore>, done: &Cell<bool>) -> Copy {
    let mut copy = Copy::new();
    let mut from = 1;
    loop {
        let mut watch = arbiter.watch_specs(from).await.unwrap();
        loop {
            match watch.next().now_or_never() {
                None if done.get() => return copy,
                None => tokio::task::yield_now().await,
                Some(Some(Ok(batch))) => {
                    for Moved { key, revision, value } in batch.changes {
                        if copy.get(&key).is_none_or(|before| before.revision < revision) {
                            let record = value.expect("nothing is collected here").unwrap();
                            copy.insert(key, Versioned::new(revision, record));
                        }
                    }
                }
                Some(_) => break,
            }
        }
        // The watch ended, or what it asked for was compacted.
        let listing = arbiter.list_specs().await.unwrap();
        from = listing.revision + 1;
        let entries = listing.entries.into_iter();
        copy = entries.map(|seen| (seen.key, Versioned::new(seen.revision, seen.value.unwrap()))).collect();
    }
}

#[derive(Clone, Debug)]
struct Step {
    name: u8,
    delete: bool,
    loss: Option<Loss>,
    compact: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let loss = prop_oneof![4 => Just(None), 1 => Just(Some(Loss::Before)), 1 => Just(Some(Loss::After))];
    (0u8..4, prop::bool::weighted(0.3), loss, prop::bool::weighted(0.1))
        .prop_map(|(name, delete, loss, compact)| Step { name, delete, loss, compact })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_follower_ends_with_what_was_published(
        seed in any::<u64>(),
        duplicate in 0u8..50,
        reorder in 0u8..50,
        end in 0u8..30,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        block_on(async {
            let store = SimStore::new(seed);
            store.set_watch_faults(WatchFaults { duplicate, reorder, end });
            let (arbiter, mandate) = founded(&store).await;
            let follower = Arbiter::new(store.clone(), "dc-b");
            let publisher = async {
                // What the publisher was told; and how often each object was edited.
                let mut told: BTreeMap<u8, i64> = BTreeMap::new();
                for (generation, step) in (1i64..).zip(&steps) {
                    if let Some(loss) = step.loss {
                        store.lose_next_answer(loss);
                    }
                    let base = told.get(&step.name).copied().unwrap_or(0);
                    let name = format!("app-{}", step.name);
                    let outcome = if step.delete && base > 0 {
                        arbiter.tombstone(&mandate, bury(&app(&name, generation, 0), base, Rider::None)).await
                    } else {
                        arbiter.publish(&mandate, app(&name, generation, base)).await
                    };
                    match outcome {
                        Ok(published) => drop(told.insert(step.name, published.revision)),
                        Err(PublishError::Unknown(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                    if step.compact {
                        store.compact(store.revision());
                    }
                }
                told
            };
            let done = Cell::new(false);
            let publisher = publisher.inspect(|_| done.set(true));
            let (told, copy) = futures::future::join(publisher, mirror(&follower, &done)).await;
            let followed: BTreeMap<String, i64> =
                copy.into_iter().map(|(key, record)| (key.name, record.revision)).collect();
            let published: BTreeMap<String, i64> =
                told.into_iter().map(|(name, revision)| (format!("app-{name}"), revision)).collect();
            prop_assert_eq!(followed, published);
            Ok(())
        })?;
    }

    /// The same edits found again and again, by several replicas at once, with answers lost: each is kept exactly once.
    #[test]
    fn each_conflict_is_kept_once(
        found in prop::collection::vec((0i64..4, 0u8..3), 1..30),
        losses in prop::collection::vec(prop::bool::ANY, 0..10),
    ) {
        block_on(async {
            let store = SimStore::default();
            let arbiter = Arbiter::new(store.clone(), "dc-a");
            for before in losses {
                store.lose_next_answer(if before { Loss::Before } else { Loss::After });
            }
            let keep = found.iter().map(|(generation, edit)| {
                let arbiter = arbiter.clone();
                async move {
                    let local = json!({"edit": edit});
                    let seed = ConflictSeed {
                        id: conflict_id("id-1", *generation, &local),
                        durable_id: "id-1".into(),
                        key: app("portal", 1, 0).record.key,
                        site: "dc-a".into(),
                        generation: *generation,
                        base: Some(3),
                        local,
                        published: Some(json!({"edit": "other"})),
                        published_revision: 9,
                    };
                    let record = ConflictRecord::new(seed, jiff::Timestamp::UNIX_EPOCH);
                    loop {
                        match arbiter.record_conflict(&record, None).await {
                            Ok(new) => return new,
                            Err(StoreError::Unknown(_)) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
            });
            futures::future::join_all(keep).await;
            let kept = arbiter.conflicts().await.unwrap();
            let mut wanted = found.clone();
            wanted.sort_unstable();
            wanted.dedup();
            prop_assert_eq!(kept.len(), wanted.len());
            for (generation, edit) in wanted {
                let same = |record: &ConflictRecord| record.generation == generation && record.local == json!({"edit": edit});
                prop_assert!(kept.iter().any(|record| same(&record.value)));
            }
            Ok(())
        })?;
    }
}
