//! What waits for its place in the audit chain: written with the action or not at all, and entered exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures::executor::block_on;
use futures::future::{join, join_all};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use proptest::prelude::*;
use tandem_core::audit::{Actor, Draft, Entry, Flaw, Outcome, operator};

use super::audit::{draft, whole};
use super::{app, bury, founded};
use crate::Arbiter;
use crate::arbiter::{AuditError, Publication, PublishError, Rider};
use crate::records::{BrakeRecord, Confirmation, Hold, HoldRecord, Key, PendingRecord, TrippedRecord, decode};
use crate::store::{Event, Loss, SimStore, Store};
use crate::txn::{Edit, Op, Scribe, Txn};

/// Everything that was ever done to keys with this prefix.
pub(super) fn history(store: &SimStore, prefix: &str) -> Vec<Event> {
    let mut watch = store.watch(prefix, 1).now_or_never().unwrap().unwrap();
    let mut events = Vec::new();
    while let Some(Some(batch)) = watch.next().now_or_never() {
        events.extend(batch.unwrap().events);
    }
    events
}

/// What was ever put to wait at a site, by revision.
fn put(store: &SimStore, site: &str) -> Vec<(i64, Draft)> {
    let puts = history(store, &Key::audit_pending(site)).into_iter().filter_map(|event| match event {
        Event::Put(kv) => Some((kv.mod_revision, decode::<PendingRecord>(&kv.value).unwrap().draft)),
        Event::Delete { .. } => None,
    });
    puts.collect()
}

/// Drains until nothing waits, whatever is lost.
pub(super) async fn drained(arbiter: &Arbiter<SimStore>) -> Vec<Entry> {
    loop {
        match arbiter.audit_chain_pending(1_000).await {
            Ok(found) if found.left == 0 => return whole(arbiter).await,
            Ok(_) | Err(AuditError::Store(_) | AuditError::Contended) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn hold(by: &str, second: i64) -> HoldRecord {
    HoldRecord { by: by.into(), reason: "works".into(), since: Timestamp::from_second(second).unwrap() }
}

fn edit(actor: &Actor) -> Option<Edit> {
    let at = Timestamp::UNIX_EPOCH;
    Some(Edit { actor: actor.clone(), at, verb: "update", before: None, trace: Some("health-1".into()), version: None })
}

#[tokio::test]
async fn what_is_done_waits_in_its_own_transaction_and_is_entered_in_order() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let actor = Actor { name: "kubectl:kubectl-edit".into(), roles: Vec::new(), via: "kubectl".into() };
    let scribe = Some(Scribe { actor: &actor, at: Timestamp::UNIX_EPOCH });
    let set = arbiter.set_hold(&Hold::All, &hold("dc-a", 1), scribe).await.unwrap();
    let again = arbiter.set_hold(&Hold::All, &hold("dc-a", 2), scribe).await.unwrap();
    assert_eq!(again.revision, set.revision, "it is set, and nothing else is written down");
    let publication = Publication { edit: edit(&actor), ..app("portal", 1, 0) };
    let published = arbiter.publish(&mandate, publication.clone()).await.unwrap();
    let refused = arbiter.publish(&mandate, publication.clone()).await;
    assert!(matches!(refused, Err(PublishError::Conflict { .. })), "{refused:?}");
    let mut burial = bury(&publication, published.revision, Rider::None);
    burial.edit = edit(&actor);
    let buried = arbiter.tombstone(&mandate, burial).await.unwrap();
    assert!(arbiter.clear_hold(&Hold::All, set.revision, scribe).await.unwrap());
    let cleared = store.revision();
    let waits: Vec<i64> = put(&store, "dc-a").iter().map(|(revision, _)| *revision).collect();
    assert_eq!(waits, [set.revision, published.revision, buried.revision, cleared], "each in its action's revision");
    let first = arbiter.audit_chain_pending(1).await.unwrap();
    assert_eq!((first.entered, first.left, first.oldest), (1, 3, Some(published.revision)));
    let entries = drained(&arbiter).await;
    let said: Vec<(&str, &str)> = entries.iter().map(|entry| (entry.action.as_str(), entry.object.as_str())).collect();
    let wanted = [
        ("holds.set", "holds/all"),
        ("applications.update", "applications/audit-prod/portal"),
        ("applications.update", "applications/audit-prod/portal"),
        ("holds.clear", "holds/all"),
    ];
    assert_eq!(said, wanted);
    assert!(entries.iter().all(|entry| entry.actor == actor && entry.outcome == Outcome::Done));
    assert_eq!(entries[1].after, Some(tandem_core::sync::spec_hash(&publication.record.spec)));
    assert_eq!((entries[2].after.clone(), entries[2].trace.as_deref()), (None, Some("health-1")));
    let nothing = arbiter.audit_chain_pending(1_000).await.unwrap();
    assert_eq!((nothing.entered, nothing.left, nothing.oldest), (0, 0, None));
}

/// The same name comes again, under other revisions: other ids. The same transaction sent twice: one.
#[tokio::test]
async fn no_id_is_used_twice() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let actor = operator("op-0");
    let scribe = Some(Scribe { actor: &actor, at: Timestamp::UNIX_EPOCH });
    for second in 0..3 {
        let set = arbiter.set_hold(&Hold::All, &hold("dc-a", second), scribe).await.unwrap();
        arbiter.clear_hold(&Hold::All, set.revision, scribe).await.unwrap();
    }
    let mut base = 0;
    for _ in 0..3 {
        // The labels alone change: the same object in the same generation.
        let publication = Publication { edit: edit(&actor), ..app("portal", 1, base) };
        base = arbiter.publish(&mandate, publication).await.unwrap().revision;
    }
    let tripped = TrippedRecord {
        kind: tandem_core::sync::Kind::Application,
        count: 9,
        total: 10,
        per_cent: 10,
        window_seconds: 300,
    };
    let at = Timestamp::UNIX_EPOCH;
    for _ in 0..2 {
        let record = BrakeRecord { tripped: tripped.clone(), message: String::new(), from: 1, at, confirmed: None };
        let trip = arbiter.trip_brake(&record).await.unwrap();
        for _ in 0..2 {
            let word = Confirmation { by: "annotation".into(), at };
            assert!(arbiter.confirm_brake("dc-a", trip.revision, word, scribe).await.unwrap());
        }
    }
    let ids: Vec<String> = drained(&arbiter).await.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 11);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 11);
}

#[tokio::test]
async fn each_thing_that_people_say_of_a_move_is_an_entry() {
    use crate::records::RequestRecord;
    let arbiter = Arbiter::new(SimStore::default(), "dc-a");
    let actor = Actor { name: "kubectl:tandem-cli".into(), roles: Vec::new(), via: "kubectl".into() };
    let scribe = Some(Scribe { actor: &actor, at: Timestamp::UNIX_EPOCH });
    let fields = serde_json::json!({
        "kind": "Switchover", "from": "dc-a", "to": "dc-b", "groups": {"g": 1}, "by": "wang", "site": "dc-a",
        "at": Timestamp::UNIX_EPOCH, "approvals": [{"by": "li", "at": Timestamp::UNIX_EPOCH}],
    });
    let first: RequestRecord = serde_json::from_value(fields).unwrap();
    let asked = arbiter.put_request("home", None, &first, scribe).await.unwrap();
    let zhao = serde_json::json!([{"by": "zhao", "at": Timestamp::UNIX_EPOCH}]);
    let second = first.with("dc-a", &serde_json::from_value::<Vec<_>>(zhao).unwrap(), true, false);
    let paused = arbiter.put_request("home", Some(&asked), &second, scribe).await.unwrap();
    let third = second.with("dc-a", &[], false, true);
    let aborted = arbiter.put_request("home", Some(&paused), &third, scribe).await.unwrap();
    // A drill begins, goes on, and ends.
    let (mut fourth, mut held) = (third.clone(), aborted);
    for step in ["Preparing", "Cloning", "Completed"] {
        let drill = serde_json::json!({"groups": {"g": {"step": step, "epoch": 1, "began": Timestamp::UNIX_EPOCH}}});
        fourth.drill = serde_json::from_value(drill).unwrap();
        held = arbiter.put_request("home", Some(&held), &fourth, scribe).await.unwrap();
    }
    // Too late: another wrote meanwhile.
    arbiter.put_request("home", Some(&paused), &second, scribe).await.unwrap();
    let entries = drained(&arbiter).await;
    let said: Vec<(&str, &str)> = entries.iter().map(|entry| (entry.action.as_str(), entry.object.as_str())).collect();
    let wanted = [
        ("failovers.request", "failovers/home"),
        ("failovers.approve", "failovers/home/approvals/li"),
        ("failovers.approve", "failovers/home/approvals/zhao"),
        ("failovers.pause", "failovers/home"),
        ("failovers.resume", "failovers/home"),
        ("failovers.abort", "failovers/home"),
        ("failovers.drill.begin", "failovers/home/groups/g"),
        ("failovers.drill.end", "failovers/home/groups/g"),
    ];
    assert_eq!(said, wanted);
    assert!(entries.iter().all(|entry| entry.trace.as_deref() == Some("home") && entry.actor == actor));
    assert_eq!(entries[2].before, entries[0].after);
}

#[tokio::test]
async fn what_cannot_be_read_waits_and_holds_nothing_up() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let key = |id: &str| Key::AuditPending { site: "dc-a".into(), id: id.into() };
    let newer = PendingRecord { version: 2, ..PendingRecord::new(draft("1")) };
    let large = Draft { object: "x".repeat(40_000), ..draft("3") };
    let large = PendingRecord { version: 1, draft: large };
    let misplaced = PendingRecord::new(draft("4"));
    let good = PendingRecord::new(draft("5"));
    let then = vec![
        Op::put(key("1"), &newer),
        Op::Put { key: key("2").to_string(), value: b"{".to_vec() },
        Op::put(key("3"), &large),
        Op::put(key("other"), &misplaced),
        Op::put(key("5"), &good),
    ];
    let revision = store.apply(&Txn { then, ..Txn::default() }).unwrap().revision;
    let found = arbiter.audit_chain_pending(10).await.unwrap();
    assert_eq!((found.entered, found.left, found.unreadable, found.oldest), (1, 4, 4, Some(revision)));
    assert_eq!(whole(&arbiter).await[0].id, "5");
}

#[tokio::test]
async fn a_city_is_entered_below_the_stores_limits() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    for n in 0..300 {
        // Each near the largest that may wait.
        let mut draft = draft(&format!("{n:03}"));
        draft.object = "\u{1}".repeat(5_000);
        draft.actor.roles = vec!["\u{1}".repeat(5_000); 3];
        let record = PendingRecord::new(draft);
        let key = Key::AuditPending { site: "dc-a".into(), id: record.draft.id.clone() };
        store.apply(&Txn { then: vec![Op::put(key, &record)], ..Txn::default() }).unwrap();
    }
    let found = arbiter.audit_chain_pending(250).await.unwrap();
    assert_eq!((found.entered, found.left), (250, 50));
    assert_eq!(drained(&arbiter).await.len(), 300);
}

/// A site that was lost keeps what waits, and enters it itself once it is back.
#[tokio::test]
async fn a_site_enters_its_own_and_no_others() {
    let store = SimStore::default();
    let (a, b) = (Arbiter::new(store.clone(), "dc-a"), Arbiter::new(store.clone(), "dc-b"));
    let actor = operator("op-0");
    let scribe = Some(Scribe { actor: &actor, at: Timestamp::UNIX_EPOCH });
    a.set_hold(&Hold::Group("g".into()), &hold("dc-a", 1), scribe).await.unwrap();
    b.set_hold(&Hold::All, &hold("dc-b", 1), scribe).await.unwrap();
    assert_eq!(b.audit_chain_pending(10).await.unwrap().entered, 1);
    assert_eq!((whole(&b).await.len(), whole(&a).await.len()), (1, 0));
    assert_eq!(a.audit_chain_pending(10).await.unwrap().entered, 1);
    assert_eq!(whole(&a).await[0].object, "holds/group/g");
}

#[tokio::test]
async fn what_stands_behind_the_end_is_told_and_nothing_is_entered() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    arbiter.audit_append(&draft("1")).await.unwrap();
    for (n, place) in [(0, 2), (1, 3)] {
        let mut beyond = whole(&arbiter).await[0].clone();
        beyond.seq = place;
        let key = Key::AuditEntry { site: "dc-a".into(), seq: place };
        let mut then = vec![Op::put(&key, &beyond)];
        for id in ["a", "b", "c"] {
            let record = PendingRecord::new(draft(id));
            then.push(Op::put(Key::AuditPending { site: "dc-a".into(), id: id.into() }, &record));
        }
        store.apply(&Txn { then, ..Txn::default() }).unwrap();
        let broken = arbiter.audit_chain_pending(10).await;
        assert!(matches!(broken, Err(AuditError::Broken(ref at)) if at.why == Flaw::BehindTheEnd), "{n} {broken:?}");
        store.apply(&Txn { then: vec![Op::delete(&key)], ..Txn::default() }).unwrap();
    }
    assert_eq!(drained(&arbiter).await.len(), 4);
}

/// Runs for so many steps, and then dies.
async fn dying<T>(steps: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Several write at once, several drain at once and die, the API appends, and answers are lost: what was done waits with
    /// it in one revision, and stands in the chain exactly once; the chain holds.
    #[test]
    fn everything_done_is_entered_exactly_once(
        writers in prop::collection::vec(1usize..12, 1..4),
        drains in prop::collection::vec((0usize..4, 1usize..80, 0usize..40), 0..12),
        appended in 0usize..6,
        losses in prop::collection::vec(prop_oneof![
            4 => Just(None), 1 => Just(Some(Loss::Before)), 1 => Just(Some(Loss::After)),
        ], 0..80),
    ) {
        block_on(async {
            let store = SimStore::default();
            for loss in losses {
                match loss {
                    Some(loss) => store.lose_next_answer(loss),
                    None => store.answer_next(),
                }
            }
            let write = writers.iter().enumerate().map(|(writer, deeds)| {
                let arbiter = Arbiter::new(store.clone(), "dc-a");
                async move {
                    let actor = operator(&format!("op-{writer}"));
                    let scribe = Some(Scribe { actor: &actor, at: Timestamp::UNIX_EPOCH });
                    for deed in 0..*deeds {
                        // They meet on two holds; whose answer is lost looks again, as the operator does.
                        let group = Hold::Group(format!("g-{}", (deed + writer) % 2));
                        let second = i64::try_from(writer * 100 + deed).unwrap();
                        if let Ok(held) = arbiter.set_hold(&group, &hold(&actor.name, second), scribe).await {
                            let _ = arbiter.clear_hold(&group, held.revision, scribe).await;
                        }
                    }
                }
            });
            let drain = async {
                for chunk in drains.chunks(2) {
                    let drains = chunk.iter().map(|(later, steps, limit)| {
                        let arbiter = Arbiter::new(store.clone(), "dc-a");
                        async move {
                            // Not in step with each other: what one has read, the other may have entered.
                            for _ in 0..*later {
                                tokio::task::yield_now().await;
                            }
                            dying(*steps, arbiter.audit_chain_pending(*limit)).await
                        }
                    });
                    for found in join_all(drains).await.into_iter().flatten() {
                        assert!(!matches!(found, Err(AuditError::Broken(_) | AuditError::TooLarge(_))), "{found:?}");
                    }
                }
            };
            let api = async {
                let arbiter = Arbiter::new(store.clone(), "dc-a");
                for n in 0..appended {
                    while arbiter.audit_append(&draft(&format!("api-{n}"))).await.is_err() {}
                }
            };
            join(join_all(write), join(drain, api)).await;
            // What else is lost is nobody's any more: the rest of the plan is used up.
            let entries = drained(&Arbiter::new(store.clone(), "dc-a")).await;
            let done: BTreeMap<i64, usize> = history(&store, &Key::holds()).iter().fold(BTreeMap::new(), |mut done, event| {
                *done.entry(event.revision()).or_default() += 1;
                done
            });
            let put = put(&store, "dc-a");
            let waited: BTreeMap<i64, usize> = put.iter().map(|(revision, _)| (*revision, 1)).collect();
            prop_assert_eq!(&done, &waited, "an action without its record, or a record without its action");
            let mut wanted: Vec<&str> = put.iter().map(|(_, draft)| draft.id.as_str()).collect();
            let mut entered: Vec<&str> =
                entries.iter().map(|entry| entry.id.as_str()).filter(|id| !id.starts_with("api-")).collect();
            let order: Vec<&str> = entered.clone();
            wanted.sort_unstable();
            entered.sort_unstable();
            prop_assert_eq!(&wanted, &entered);
            prop_assert_eq!(wanted.iter().collect::<BTreeSet<_>>().len(), wanted.len(), "an id was used twice");
            // One after the other as they were done.
            let by_revision: Vec<&str> = put.iter().map(|(_, draft)| draft.id.as_str()).collect();
            prop_assert_eq!(order, by_revision);
            let api: BTreeSet<&str> =
                entries.iter().map(|entry| entry.id.as_str()).filter(|id| id.starts_with("api-")).collect();
            prop_assert_eq!(api.len(), appended);
            Ok(())
        })?;
    }
}
