use futures::future::join_all;
use jiff::Timestamp;
use tandem_core::audit::{Actor, Draft, Entry, Flaw, Head, Outcome, unfinished, verify};

use super::{founded, lead};
use crate::Arbiter;
use crate::arbiter::{AuditError, Audited, Completion};
use crate::records::{Hold, HoldRecord, Key};
use crate::store::{Loss, SimStore, Store, StoreError};
use crate::txn::{self, Compare, Op, Txn};

pub(super) fn draft(id: &str) -> Draft {
    Draft {
        id: id.into(),
        at: Timestamp::UNIX_EPOCH,
        actor: Actor { name: "wang".into(), roles: vec!["Platform".into()], via: "api".into() },
        action: "requests.approve".into(),
        object: "environmentrequests/health-1".into(),
        before: None,
        after: None,
        outcome: Outcome::Done,
        begun: None,
        trace: None,
    }
}

pub(super) async fn whole(arbiter: &Arbiter<SimStore>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut from = Some(1);
    while let Some(at) = from {
        let page = arbiter.audit_page(arbiter.site(), at, 7).await.unwrap();
        entries.extend(page.entries);
        from = page.next;
    }
    let head = verify(&Head::genesis(arbiter.site()), arbiter.site(), &entries).unwrap();
    assert_eq!(head, arbiter.audit_head(arbiter.site()).await.unwrap().value);
    entries
}

fn hold(by: &str) -> HoldRecord {
    HoldRecord { by: by.into(), reason: "maintenance".into(), since: Timestamp::UNIX_EPOCH }
}

#[tokio::test]
async fn an_action_stands_between_two_entries() {
    let arbiter = Arbiter::new(SimStore::default(), "dc-a");
    let receipt = arbiter.audit_begin(draft("1")).await.unwrap();
    assert_eq!(unfinished(&whole(&arbiter).await), [1]);
    let end = Completion { id: "2".into(), at: Timestamp::UNIX_EPOCH, done: true, after: Some("ab".repeat(32)) };
    let entry = arbiter.audit_complete(&receipt, end).await.unwrap();
    assert_eq!((entry.seq, entry.begun, entry.outcome), (2, Some(1), Outcome::Done));
    assert_eq!(entry.action, "requests.approve", "it says of what");
    assert_eq!(unfinished(&whole(&arbiter).await), [0u64; 0]);
}

#[tokio::test]
async fn without_an_entry_there_is_no_action() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    store.set_down(true);
    assert!(matches!(arbiter.audit_begin(draft("1")).await, Err(AuditError::Read(_))));
    store.set_down(false);
    let large = Draft { object: "x".repeat(40_000), ..draft("1") };
    assert!(matches!(arbiter.audit_begin(large).await, Err(AuditError::TooLarge(_))));
    assert_eq!(store.revision(), SimStore::default().revision(), "nothing was written");
}

/// Four replicas, each with ten writers: every entry stands once, without a gap and without a fork.
#[tokio::test]
async fn writers_at_once_make_one_chain() {
    let store = SimStore::default();
    let replicas: Vec<Arbiter<SimStore>> = (0..4).map(|_| Arbiter::new(store.clone(), "dc-a")).collect();
    let writers = replicas.iter().enumerate().flat_map(|(n, arbiter)| {
        (0..10).map(move |m| async move {
            // They do not go one after the other: each looks away before it writes.
            for _ in 0..(m * 7 + n) % 5 {
                tokio::task::yield_now().await;
            }
            arbiter.audit_append(&draft(&format!("{n}-{m}"))).await.unwrap().seq
        })
    });
    let mut numbers = join_all(writers).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
    let entries = whole(&replicas[0]).await;
    let ids: std::collections::BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!((entries.len(), ids.len()), (40, 40));
}

/// A replica whose memory of the head is old: of two entries made from one head, one is written.
#[tokio::test]
async fn two_that_follow_the_same_head_do_not_fork() {
    let store = SimStore::default();
    let (one, other) = (Arbiter::new(store.clone(), "dc-a"), Arbiter::new(store.clone(), "dc-a"));
    one.audit_append(&draft("1")).await.unwrap();
    other.audit_append(&draft("2")).await.unwrap();
    let known = one.audit_head("dc-a").await.unwrap();
    let puts = ["3", "4"]
        .map(|id| txn::AuditPut { revision: known.revision, entry: known.value.entry("dc-a", draft(id)).unwrap() });
    let nothing = Txn::default();
    assert!(store.txn(&txn::audited(&nothing, &puts[0])).await.unwrap().succeeded);
    let late = store.txn(&txn::audited(&nothing, &puts[1])).await.unwrap();
    assert!(!late.succeeded);
    assert_eq!(one.audit_append(&draft("4")).await.unwrap().seq, 4, "it goes on from what there is");
    assert_eq!(whole(&other).await.len(), 4);
}

#[tokio::test]
async fn an_action_and_its_entry_are_one() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let action = txn::set_hold(&Hold::All, 0, &hold("wang"));
    let Audited::Done { revision, entry } = arbiter.audited(&action, &draft("1")).await.unwrap() else {
        panic!("refused")
    };
    assert_eq!((revision, entry.seq), (store.revision(), 1));
    // What it compares has moved: neither is written, and the answer is the action's own.
    let Audited::Refused(answer) = arbiter.audited(&action, &draft("2")).await.unwrap() else { panic!("written") };
    assert_eq!(answer.reads.len(), action.otherwise.len());
    assert_eq!(answer.one(0).unwrap().mod_revision, revision);
    assert_eq!(store.revision(), revision);
    // Another replica wrote in between: the action goes on with the next number.
    Arbiter::new(store.clone(), "dc-a").audit_append(&draft("3")).await.unwrap();
    let action = txn::set_hold(&Hold::All, revision, &hold("zhao"));
    let Audited::Done { entry, .. } = arbiter.audited(&action, &draft("4")).await.unwrap() else { panic!("refused") };
    assert_eq!(entry.seq, 3);
    assert_eq!(whole(&arbiter).await.len(), 3);
}

#[tokio::test]
async fn a_lost_answer_leaves_one_entry() {
    for loss in [Loss::Before, Loss::After] {
        let store = SimStore::default();
        let arbiter = Arbiter::new(store.clone(), "dc-a");
        arbiter.audit_append(&draft("1")).await.unwrap();
        store.lose_next_answer(loss);
        let action = txn::set_hold(&Hold::All, 0, &hold("wang"));
        let done = arbiter.audited(&action, &draft("2")).await.unwrap();
        assert!(matches!(done, Audited::Done { ref entry, .. } if entry.seq == 2), "{loss:?} {done:?}");
        assert_eq!(whole(&arbiter).await.len(), 2, "{loss:?}");
        assert_eq!(arbiter.holds().await.unwrap().len(), 1);
    }
    // Lost over and over: nobody knows, and the next call goes on from what there is.
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    arbiter.audit_append(&draft("1")).await.unwrap();
    for _ in 0..3 {
        store.lose_next_answer(Loss::After);
    }
    let unknown = arbiter.audit_append(&draft("2")).await;
    assert!(matches!(unknown, Err(AuditError::Store(StoreError::Unknown(_)))), "{unknown:?}");
    assert_eq!(arbiter.audit_append(&draft("3")).await.unwrap().seq, 3);
    assert_eq!(whole(&arbiter).await.len(), 3);
}

#[tokio::test]
async fn each_site_has_a_chain_of_its_own() {
    let store = SimStore::default();
    let (a, b) = (Arbiter::new(store.clone(), "dc-a"), Arbiter::new(store.clone(), "dc-b"));
    a.audit_append(&draft("1")).await.unwrap();
    let first = b.audit_append(&draft("1")).await.unwrap();
    assert_eq!((first.seq, first.site.as_str()), (1, "dc-b"));
    assert_eq!(b.audit_page("dc-a", 1, 10).await.unwrap().entries.len(), 1, "read at either site");
}

#[tokio::test]
async fn pages_end_where_the_chain_does() {
    let arbiter = Arbiter::new(SimStore::default(), "dc-a");
    let empty = arbiter.audit_page("dc-a", 1, 10).await.unwrap();
    assert_eq!((empty.entries.len(), empty.next, empty.head.seq), (0, None, 0));
    for n in 0..250 {
        arbiter.audit_append(&draft(&n.to_string())).await.unwrap();
    }
    let page = arbiter.audit_page("dc-a", 11, 220).await.unwrap();
    assert_eq!((page.entries.len(), page.entries[0].seq, page.next), (220, 11, Some(231)));
    let page = arbiter.audit_page("dc-a", 231, 20).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (20, None));
    let beyond = arbiter.audit_page("dc-a", 300, 20).await.unwrap();
    assert_eq!((beyond.entries.len(), beyond.next), (0, None));
}

#[tokio::test]
async fn segments_are_sealed_once_and_outlive_their_entries() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    let at = Timestamp::UNIX_EPOCH;
    for n in 0..25 {
        assert_eq!(arbiter.audit_seal(30, at).await.unwrap(), None, "not enough yet");
        arbiter.audit_append(&draft(&n.to_string())).await.unwrap();
    }
    let first = arbiter.audit_seal(10, at).await.unwrap().unwrap();
    assert_eq!((first.first, first.last), (1, 10));
    let second = Arbiter::new(store.clone(), "dc-a").audit_seal(10, at).await.unwrap().unwrap();
    assert_eq!((second.first, second.last), (11, 20));
    assert_eq!(arbiter.audit_seal(10, at).await.unwrap(), None);
    let sealed = arbiter.audit_segments("dc-a").await.unwrap();
    let segments: Vec<_> = sealed.iter().map(|found| found.value.clone()).collect();
    assert_eq!(segments, [first.clone(), second]);
    let entries = whole(&arbiter).await;
    first.verify(&entries[..10]).unwrap();
    arbiter.audit_drop(&sealed[0]).await.unwrap();
    let page = arbiter.audit_page("dc-a", 1, 25).await.unwrap();
    assert_eq!((page.entries.len(), page.entries[0].seq), (15, 11));
    verify(&first.head(), "dc-a", &page.entries).unwrap();
    assert_eq!(arbiter.audit_append(&draft("more")).await.unwrap().seq, 26);
}

#[tokio::test]
async fn what_is_no_chain_is_not_sealed_nor_added_to() {
    let store = SimStore::default();
    let arbiter = Arbiter::new(store.clone(), "dc-a");
    for n in 0..3 {
        arbiter.audit_append(&draft(&n.to_string())).await.unwrap();
    }
    let key = |seq| Key::AuditEntry { site: "dc-a".into(), seq };
    let mut forged = whole(&arbiter).await[1].clone();
    forged.actor.name = "li".into();
    store.apply(&Txn { then: vec![Op::put(key(2), &forged)], ..Txn::default() }).unwrap();
    let broken = arbiter.audit_seal(3, Timestamp::UNIX_EPOCH).await;
    assert!(matches!(broken, Err(AuditError::Broken(ref at)) if at.seq == 3), "{broken:?}");
    // Something stands behind the head.
    let mut beyond = forged;
    beyond.seq = 4;
    store.apply(&Txn { then: vec![Op::put(key(4), &beyond)], ..Txn::default() }).unwrap();
    let broken = arbiter.audit_append(&draft("4")).await;
    assert!(matches!(broken, Err(AuditError::Broken(ref at)) if at.why == Flaw::BehindTheEnd), "{broken:?}");
}

/// The builder keeps what the action compares: a site that is not the authority any more writes neither.
#[tokio::test]
async fn a_publication_rides_with_its_entry() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let publication = super::app("portal", 1, 0);
    let change = txn::SpecChange { base: 0, record: tandem_core::sync::Record::Live(publication.record.clone()) };
    let action = txn::publish("dc-a", &mandate, &change, None, None);
    let Audited::Done { revision, .. } = arbiter.audited(&action, &draft("1")).await.unwrap() else {
        panic!("refused")
    };
    assert_eq!(arbiter.list_specs().await.unwrap().entries[0].revision, revision);
    lead(&store, "dc-a", mandate.leader);
    let change = txn::SpecChange { base: revision, ..change };
    let action = txn::publish("dc-a", &mandate, &change, None, None);
    assert!(matches!(arbiter.audited(&action, &draft("2")).await.unwrap(), Audited::Refused(_)));
    assert_eq!(whole(&arbiter).await.len(), 1);
    assert!(action.compare.contains(&Compare::unchanged(Key::Leader("dc-a".into()), mandate.leader)));
}
