//! Moves whose answers are lost.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use tandem_core::audit::{Actor, Entry as AuditEntry, operator};
use tandem_core::failover::{ExecutionKind, Journal, Step};
use tandem_core::sync::spec_hash;

use super::super::{Arbiter, GroupMoved, MoveError};
use super::lead;
use super::pending::{drained, history};
use crate::membership::Timing;
use crate::peers::PeerWatch;
use crate::records::{Entry, GroupRecord, JournalSeen, Key, Versioned, decode};
use crate::store::{Event, Loss, SimStore};
use crate::testing::{at, journal};
use crate::txn::{self, Acting, Move, NotAllowed, Op, Scribe, Txn};

struct World {
    store: SimStore,
    a: Arbiter<SimStore>,
    b: Arbiter<SimStore>,
    leaders: (i64, i64),
}

fn world() -> World {
    let store = SimStore::default();
    let leaders = (lead(&store, "dc-a", 0), lead(&store, "dc-b", 0));
    let put = Op::put(Key::Group("g".into()), &GroupRecord::first("dc-a"));
    store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    World { a: Arbiter::new(store.clone(), "dc-a"), b: Arbiter::new(store.clone(), "dc-b"), store, leaders }
}

static OPERATOR: LazyLock<Actor> = LazyLock::new(|| operator("op-0"));

impl World {
    fn a(&self) -> Acting<'static> {
        Acting::new("dc-a", self.leaders.0).by(Scribe { actor: &OPERATOR, at: jiff::Timestamp::UNIX_EPOCH })
    }

    fn b(&self) -> Acting<'static> {
        Acting::new("dc-b", self.leaders.1).by(Scribe { actor: &OPERATOR, at: jiff::Timestamp::UNIX_EPOCH })
    }

    async fn begun(&self) -> GroupMoved {
        self.a.begin_execution(self.a(), journal("x1", "g"), None).await.unwrap()
    }
}

fn next(seen: &JournalSeen, step: Step) -> Entry {
    seen.next(at(&seen.journal, step)).unwrap()
}

#[tokio::test]
async fn an_answer_lost_on_the_way_back_is_found() {
    let world = world();
    world.store.lose_next_answer(Loss::After);
    let begun = world.begun().await;
    assert_eq!(begun.journal.created, begun.journal.revision);
    world.store.lose_next_answer(Loss::After);
    let entry = next(&begun.journal, Step::Quiescing);
    let change = Move { record: &begun.record, entry: &entry };
    let put = world.a.put_journal(world.a(), change).await.unwrap();
    assert_eq!((put.journal.journal.entry, put.journal.created), (2, begun.journal.created));
    world.store.lose_next_answer(Loss::After);
    let entry = next(&put.journal, Step::Fencing);
    let change = Move { record: &put.record, entry: &entry };
    let released = world.a.release(world.a(), change).await.unwrap();
    assert_eq!(released.record.value.released_to(), Some("dc-b"));
    assert_eq!(world.a.group_and_journal("g", "x1").await.unwrap(), (Some(released.record), Some(released.journal)));
}

#[tokio::test]
async fn a_transaction_that_never_arrived_is_not_known_and_may_be_sent_again_as_it_was() {
    let world = world();
    let begun = world.begun().await;
    let entry = next(&begun.journal, Step::Fencing);
    let change = Move { record: &begun.record, entry: &entry };
    world.store.lose_next_answer(Loss::Before);
    let lost = world.a.release(world.a(), change).await;
    assert!(matches!(lost, Err(MoveError::Unknown(_))), "{lost:?}");
    let released = world.a.release(world.a(), change).await.unwrap();
    // Had the first one arrived after all, the second would have changed nothing.
    let again = world.a.release(world.a(), change).await;
    assert!(matches!(again, Err(MoveError::Conflict { .. })), "{again:?}");
    assert_eq!(world.a.journal("x1", "g").await.unwrap().unwrap(), released.journal);
}

#[tokio::test]
async fn what_another_did_meanwhile_is_not_taken_for_ones_own() {
    let world = world();
    let begun = world.begun().await;
    let entry = next(&begun.journal, Step::Quiescing);
    let change = Move { record: &begun.record, entry: &entry };
    // A predecessor under the same leadership wrote an entry of the same number before the answer was lost.
    let other = next(&begun.journal, Step::AwaitingApproval);
    world.a.put_journal(world.a(), Move { record: &begun.record, entry: &other }).await.unwrap();
    world.store.lose_next_answer(Loss::Before);
    let lost = world.a.put_journal(world.a(), change).await;
    assert!(matches!(lost, Err(MoveError::Conflict { .. })), "{lost:?}");
}

#[test]
fn what_is_not_allowed_is_not_even_built() {
    let (a, b) = (Acting::new("dc-a", 1), Acting::new("dc-b", 2));
    let held = Versioned::new(9, GroupRecord { execution: Some("x1".into()), ..GroupRecord::first("dc-a") });
    let seen = JournalSeen { revision: 8, created: 7, journal: journal("x1", "g") };
    let mut watch = PeerWatch::new("dc-a", Timing::from_heartbeat(Duration::from_secs(2)).unwrap());
    let list = crate::peers::MembersRead { site: "dc-a".into(), revision: 9, members: Vec::new() };
    watch.read(Duration::ZERO, &list);
    let silence = watch.take_over_ready(Duration::from_secs(10)).unwrap();
    let committed = next(&seen, Step::EpochCommitted);
    let take = |acting, record: &Versioned<GroupRecord>, entry: &Entry| {
        txn::take_over(acting, &Move { record, entry }, &silence, false)
    };
    assert!(take(b, &held, &committed).is_ok());
    assert_eq!(take(a, &held, &committed), Err(NotAllowed::Record), "from itself");
    assert_eq!(take(b, &held, &next(&seen, Step::Promoting)), Err(NotAllowed::Step(Step::Promoting)));
    let with = |change: &dyn Fn(&mut GroupRecord)| {
        let mut record = held.clone();
        change(&mut record.value);
        record
    };
    assert_eq!(take(b, &with(&|r| r.retired = true), &committed), Err(NotAllowed::Retired));
    assert_eq!(take(b, &with(&|r| r.execution = None), &committed), Err(NotAllowed::Journal));
    assert_eq!(take(b, &with(&|r| r.phase = crate::records::Phase::Unconfirmed), &committed), Err(NotAllowed::Record));
    assert_eq!(take(b, &with(&|r| r.active = "dc-c".into()), &committed), Err(NotAllowed::Proof));
    let drill = JournalSeen { journal: Journal { kind: ExecutionKind::Drill, ..seen.journal.clone() }, ..seen };
    assert_eq!(take(b, &held, &next(&drill, Step::EpochCommitted)), Err(NotAllowed::Journal));

    let release =
        |acting, record: &Versioned<GroupRecord>, entry: &Entry| txn::release(acting, &Move { record, entry });
    let fencing = next(&seen, Step::Fencing);
    assert!(release(a, &held, &fencing).is_ok());
    assert_eq!(release(b, &held, &fencing), Err(NotAllowed::Record));
    assert_eq!(release(a, &with(&|r| r.epoch = 2), &fencing), Err(NotAllowed::Record), "moved since it began");
    assert_eq!(release(a, &held, &next(&drill, Step::Fencing)), Err(NotAllowed::Journal));
    assert_eq!(release(a, &held, &Entry::first(at(&seen.journal, Step::Fencing)).unwrap()), Err(NotAllowed::Journal));
    // Released: neither ended nor begun.
    let released = with(&|r| r.phase = crate::records::Phase::Released { to: "dc-b".into() });
    let done = next(&seen, Step::RolledBack);
    assert_eq!(txn::finish(a, &Move { record: &released, entry: &done }), Err(NotAllowed::Record));
    let first = Entry::first(journal("x2", "g")).unwrap();
    assert_eq!(txn::begin(a, &Move { record: &released, entry: &first }, None), Err(NotAllowed::Record));
    assert!(txn::reclaim(a, &Move { record: &released, entry: &done }).is_ok());
    assert_eq!(txn::reclaim(a, &Move { record: &held, entry: &done }), Err(NotAllowed::Record));
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Release,
    Reclaim,
    Claim,
    TakeOver,
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Both sites try what they like, with answers lost: the epoch only grows, by one at a time; no two records share an
    /// epoch and differ in who is active; record and journal never disagree. And every entry of every journal stands in the
    /// audit chain of one site, once.
    #[test]
    fn epochs_only_grow_whoever_tries_what(
        deeds in prop::collection::vec(prop_oneof![
            3 => Just(Deed::Release), 2 => Just(Deed::Reclaim), 3 => Just(Deed::Claim), 1 => Just(Deed::TakeOver),
        ], 1..40),
        losses in prop::collection::vec(prop_oneof![
            3 => Just(None), 1 => Just(Some(Loss::Before)), 1 => Just(Some(Loss::After)),
        ], 0..60),
    ) {
        block_on(async {
            let world = world();
            for loss in losses {
                match loss {
                    Some(loss) => world.store.lose_next_answer(loss),
                    None => world.store.answer_next(),
                }
            }
            let timing = Timing::from_heartbeat(Duration::from_secs(2)).unwrap();
            let mut last = (1, "dc-a".to_owned());
            for (n, deed) in deeds.into_iter().enumerate() {
                let record = world.a.read_groups().await.unwrap().1.remove("g").unwrap();
                let (from, to) = if record.value.active == "dc-a" { ("dc-a", "dc-b") } else { ("dc-b", "dc-a") };
                let (source, target) = if from == "dc-a" { (&world.a, &world.b) } else { (&world.b, &world.a) };
                let (acts, takes) = if from == "dc-a" { (world.a(), world.b()) } else { (world.b(), world.a()) };
                if record.value.execution.is_none() {
                    let journal = Journal {
                        from: from.into(), to: to.into(), epoch: record.value.epoch, ..journal(&format!("x{n}"), "g")
                    };
                    let _ = source.begin_execution(acts, journal, None).await;
                    continue;
                }
                let execution = record.value.execution.clone().unwrap();
                let seen = source.journal(&execution, "g").await.unwrap().unwrap();
                let moved = match deed {
                    Deed::Release => {
                        let entry = next(&seen, Step::Fencing);
                        source.release(acts, Move { record: &record, entry: &entry }).await
                    }
                    Deed::Reclaim => {
                        let entry = next(&seen, Step::RolledBack);
                        source.reclaim(acts, Move { record: &record, entry: &entry }).await
                    }
                    Deed::Claim => {
                        let mut watch = crate::peers::ClaimWatch::new(to, timing);
                        watch.observe(Duration::ZERO, &[("g".to_owned(), record.clone())].into());
                        let entry = next(&seen, Step::EpochCommitted);
                        match watch.ready("g", timing.t(), 1, None) {
                            Some(proof) => target.claim(takes, Move { record: &record, entry: &entry }, &proof).await,
                            None => continue,
                        }
                    }
                    Deed::TakeOver => {
                        let mut watch = PeerWatch::new(from, timing);
                        watch.read(Duration::ZERO, &target.members(from).await.unwrap());
                        let silence = watch.take_over_ready(timing.t()).unwrap();
                        let entry = next(&seen, Step::EpochCommitted);
                        target.take_over(takes, Move { record: &record, entry: &entry }, &silence, true).await
                    }
                };
                let (now, seen) = world.a.group_and_journal("g", &execution).await.unwrap();
                let (now, seen) = (now.unwrap(), seen.unwrap());
                if let Ok(moved) = moved {
                    prop_assert_eq!(&moved.record, &now);
                    prop_assert_eq!(&moved.journal, &seen);
                }
                prop_assert!(now.value.epoch == last.0 && now.value.active == last.1 || now.value.epoch == last.0 + 1);
                last = (now.value.epoch, now.value.active.clone());
                let committed = seen.journal.step == Step::EpochCommitted;
                prop_assert_eq!(committed, now.value.active == seen.journal.to && now.value.epoch > seen.journal.epoch);
                let ended = matches!(seen.journal.step, Step::EpochCommitted | Step::RolledBack);
                if ended {
                    let driver = if committed { (target, takes) } else { (source, acts) };
                    let entry = next(&seen, if committed { Step::Completed } else { Step::RolledBack });
                    let _ = driver.0.finish(driver.1, Move { record: &now, entry: &entry }).await;
                }
                if n % 5 == 0 {
                    let _ = target.audit_chain_pending(3).await;
                }
            }
            let mut audited: Vec<String> = Vec::new();
            for site in [&world.a, &world.b] {
                audited.extend(drained(site).await.into_iter().filter_map(|entry: AuditEntry| entry.after));
            }
            let mut written: Vec<String> = history(&world.store, &Key::executions()).iter().filter_map(|event| match event {
                Event::Put(kv) => Some(spec_hash(&serde_json::to_value(decode::<Journal>(&kv.value).unwrap()).unwrap())),
                Event::Delete { .. } => None,
            }).collect();
            audited.sort_unstable();
            written.sort_unstable();
            prop_assert_eq!(audited, written);
            Ok(())
        })?;
    }
}
