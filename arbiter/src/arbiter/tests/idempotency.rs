use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::Arbiter;
use crate::arbiter::{Claimed, IdempotencyError};
use crate::records::{ANSWER_BYTES, AnswerRecord, IdempotencyRecord, Key, idempotency_id};
use crate::store::{Loss, SimStore};
use crate::txn::{Op, Txn};

fn minute(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

/// Work that is taken over after 2 minutes and forgotten after 60, begun at minute 0.
fn work(claim: &str, request: &str) -> IdempotencyRecord {
    IdempotencyRecord {
        request: request.into(),
        claim: claim.into(),
        until: minute(2),
        expires: minute(60),
        taken_over: false,
        answer: None,
    }
}

fn created() -> AnswerRecord {
    AnswerRecord { status: 201, headers: [("location".into(), "/v1/requests/1".into())].into(), body: "{}".into() }
}

fn two(store: &SimStore) -> (Arbiter<SimStore>, Arbiter<SimStore>, String) {
    (Arbiter::new(store.clone(), "dc-a"), Arbiter::new(store.clone(), "dc-b"), idempotency_id("li", "key-1"))
}

#[tokio::test]
async fn two_replicas_with_the_same_key_do_the_work_once() {
    let store = SimStore::default();
    let (a, b, id) = two(&store);
    let claims = (0..10).map(|n| {
        let arbiter = if n % 2 == 0 { &a } else { &b };
        let (id, record) = (&id, work(&n.to_string(), "create"));
        async move { arbiter.idempotency_claim(id, &record, minute(0)).await.unwrap() }
    });
    let claims = join_all(claims).await;
    assert_eq!(claims.iter().filter(|claim| matches!(claim, Claimed::Ours { .. })).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == Claimed::Running { until: minute(2) }).count(), 9);
    let (winner, revision) = claims
        .iter()
        .enumerate()
        .find_map(|(n, claim)| match claim {
            Claimed::Ours { revision } => Some((n, *revision)),
            _ => None,
        })
        .unwrap();
    let record = work(&winner.to_string(), "create");
    assert!(a.idempotency_answer(&id, revision, &record, &created()).await.unwrap());
    for arbiter in [&a, &b] {
        let again = arbiter.idempotency_claim(&id, &work("late", "create"), minute(59)).await.unwrap();
        assert_eq!(again, Claimed::Answered(created()));
    }
}

#[tokio::test]
async fn a_key_is_for_one_request_and_one_person() {
    let store = SimStore::default();
    let (a, b, id) = two(&store);
    a.idempotency_claim(&id, &work("1", "create"), minute(0)).await.unwrap();
    let other = b.idempotency_claim(&id, &work("2", "delete"), minute(0)).await.unwrap();
    assert_eq!(other, Claimed::OtherRequest);
    let wangs = idempotency_id("wang", "key-1");
    let claim = b.idempotency_claim(&wangs, &work("2", "delete"), minute(0)).await.unwrap();
    assert!(matches!(claim, Claimed::Ours { .. }));
}

#[tokio::test]
async fn work_of_the_dead_is_taken_over_and_their_answer_comes_too_late() {
    let store = SimStore::default();
    let (a, b, id) = two(&store);
    let first = work("1", "create");
    let Claimed::Ours { revision: dead } = a.idempotency_claim(&id, &first, minute(0)).await.unwrap() else {
        panic!("not ours")
    };
    let second = IdempotencyRecord { until: minute(4), expires: minute(62), ..work("2", "create") };
    let early = b.idempotency_claim(&id, &second, minute(1)).await.unwrap();
    assert_eq!(early, Claimed::Running { until: minute(2) });
    let Claimed::TakenOver { revision } = b.idempotency_claim(&id, &second, minute(2)).await.unwrap() else {
        panic!("not taken over")
    };
    assert!(!a.idempotency_answer(&id, dead, &first, &created()).await.unwrap(), "it was not dead after all");
    let refused = AnswerRecord { status: 409, ..AnswerRecord::default() };
    assert!(b.idempotency_answer(&id, revision, &second, &refused).await.unwrap());
    let said = a.idempotency_claim(&id, &first, minute(3)).await.unwrap();
    assert_eq!(said, Claimed::Answered(refused));
}

#[tokio::test]
async fn a_lost_answer_is_no_second_claim() {
    for loss in [Loss::Before, Loss::After] {
        let store = SimStore::default();
        let (a, b, id) = two(&store);
        let record = work("1", "create");
        store.lose_next_answer(loss);
        let Claimed::Ours { revision } = a.idempotency_claim(&id, &record, minute(0)).await.unwrap() else {
            panic!("{loss:?}")
        };
        assert_eq!(a.idempotency_claim(&id, &record, minute(0)).await.unwrap(), Claimed::Ours { revision });
        store.lose_next_answer(loss);
        assert!(a.idempotency_answer(&id, revision, &record, &created()).await.unwrap(), "{loss:?}");
        let again = b.idempotency_claim(&id, &work("2", "create"), minute(1)).await.unwrap();
        assert_eq!(again, Claimed::Answered(created()));
        // The same for work that was taken over: it says so also the second time.
        let (taken, other) = (work("1", "create"), idempotency_id("li", "key-2"));
        a.idempotency_claim(&other, &taken, minute(0)).await.unwrap();
        let second = IdempotencyRecord { until: minute(9), ..work("2", "create") };
        store.lose_next_answer(loss);
        for _ in 0..2 {
            let claim = b.idempotency_claim(&other, &second, minute(3)).await.unwrap();
            assert!(matches!(claim, Claimed::TakenOver { .. }), "{loss:?} {claim:?}");
        }
    }
}

#[tokio::test]
async fn what_has_expired_is_free_again_and_collected() {
    let store = SimStore::default();
    let (a, b, id) = two(&store);
    let record = work("1", "create");
    let Claimed::Ours { revision } = a.idempotency_claim(&id, &record, minute(0)).await.unwrap() else {
        panic!("not ours")
    };
    a.idempotency_answer(&id, revision, &record, &created()).await.unwrap();
    let later = IdempotencyRecord { until: minute(62), expires: minute(120), ..work("2", "delete") };
    let free = b.idempotency_claim(&id, &later, minute(60)).await.unwrap();
    assert!(matches!(free, Claimed::Ours { .. }), "nothing was collected, and it is free all the same: {free:?}");
    for n in 0..150 {
        let id = idempotency_id("li", &format!("old-{n}"));
        a.idempotency_claim(&id, &work("1", "create"), minute(0)).await.unwrap();
    }
    let newer = Op::Put { key: Key::Idempotency("newer".into()).to_string(), value: br#"{"schema": 2}"#.to_vec() };
    store.apply(&Txn { then: vec![newer], ..Txn::default() }).unwrap();
    assert_eq!(b.collect_idempotency(minute(59)).await.unwrap(), 0);
    assert_eq!(b.collect_idempotency(minute(60)).await.unwrap(), 150);
    assert!(b.idempotency(&id).await.unwrap().is_some(), "in use");
    assert!(a.idempotency("newer").await.is_err(), "what a newer release wrote is left alone");
}

#[tokio::test]
async fn a_key_is_given_back_and_large_answers_are_not_kept() {
    let store = SimStore::default();
    let (a, b, id) = two(&store);
    let record = work("1", "create");
    let Claimed::Ours { revision } = a.idempotency_claim(&id, &record, minute(0)).await.unwrap() else {
        panic!("not ours")
    };
    let large = AnswerRecord { body: "x".repeat(ANSWER_BYTES + 1), ..AnswerRecord::default() };
    let refused = a.idempotency_answer(&id, revision, &record, &large).await;
    assert!(matches!(refused, Err(IdempotencyError::TooLarge { .. })));
    assert!(!b.idempotency_release(&id, revision - 1).await.unwrap());
    assert!(a.idempotency_release(&id, revision).await.unwrap());
    let claim = b.idempotency_claim(&id, &work("2", "delete"), minute(0)).await.unwrap();
    assert!(matches!(claim, Claimed::Ours { .. }));
}
