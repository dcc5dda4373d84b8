//! Reports on executions: in parts, with their digest in the audit chain, and for their time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tandem_core::audit::Actor;
use tandem_core::failover::{ExecutionKind, Journal};
use tandem_core::report::{Asked, FailoverPhase, FailoverReport, Move, Sources, Wanted};

use super::lead;
use crate::arbiter::{ActError, Arbiter};
use crate::records::{Key, parts};
use crate::store::{SimStore, Store};
use crate::txn::{Acting, Op, Scribe, Txn};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn report(execution: &str, groups: usize, reason: &str, now: Timestamp) -> FailoverReport {
    let asked = Asked {
        kind: ExecutionKind::Switchover,
        from: "dc-a".into(),
        to: "dc-b".into(),
        by: "wang".into(),
        site: "dc-a".into(),
        reason: reason.into(),
        at: NOW,
        automatic: false,
        approvals_wanted: 0,
        approvals: Vec::new(),
        accept_data_loss: None,
        despite_not_ready: false,
        abort: false,
    };
    let journal = Journal::new((execution, "g"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 1, NOW);
    let of = || Move {
        journal: Some((&journal, 9)),
        epoch: 1,
        waits: None,
        wanted: Wanted::default(),
        applications: Vec::new(),
    };
    FailoverReport::of(&Sources {
        execution,
        asked: &asked,
        phase: FailoverPhase::Completed,
        waves: Vec::new(),
        moves: (0..groups).map(|n| (format!("group-{n:04}"), of())).collect::<BTreeMap<_, _>>(),
        drill: None,
        site: "dc-b",
        now,
    })
}

fn pending(store: &SimStore) -> Vec<serde_json::Value> {
    let answer = store.apply(&Txn { then: vec![Op::range(Key::audit_pending("dc-a"))], ..Txn::default() }).unwrap();
    answer.read(0).iter().map(|kv| serde_json::from_slice(&kv.value).unwrap()).collect()
}

#[tokio::test]
async fn a_report_reads_back_as_it_was_written_with_its_digest_in_the_chain() {
    let store = SimStore::default();
    let (arbiter, leader) = (Arbiter::new(store.clone(), "dc-a"), lead(&store, "dc-a", 0));
    let actor = Actor { name: "tandem:operator/0".into(), ..Actor::default() };
    let acting = Acting::new("dc-a", leader).by(Scribe { actor: &actor, at: NOW });
    assert_eq!(arbiter.report("lost").await.unwrap(), None);
    let first = report("lost", 2, "one", NOW);
    assert!(arbiter.put_report(acting, None, &first, 0).await.unwrap());
    assert_eq!(arbiter.report("lost").await.unwrap(), Some(serde_json::to_value(&first).unwrap()));
    assert!(!arbiter.put_report(acting, None, &first, 0).await.unwrap(), "there is one");
    let head = arbiter.report_head("lost").await.unwrap().unwrap();
    assert_eq!((head.value.sha256.as_str(), head.value.over), (first.digest().as_str(), 0));
    let second = report("lost", 2, "two", NOW);
    assert!(arbiter.put_report(acting, Some(&head), &second, 2).await.unwrap());
    let entries = pending(&store);
    let of = |field: &str| -> Vec<Option<String>> {
        let mut all: Vec<_> = entries.iter().map(|entry| entry["draft"][field].as_str().map(str::to_owned)).collect();
        all.sort();
        all
    };
    assert_eq!(of("object"), [Some("reports/lost".to_owned()), Some("reports/lost".to_owned())]);
    assert_eq!(of("before"), [None, Some(first.digest())]);
    let mut digests = [Some(first.digest()), Some(second.digest())];
    digests.sort();
    assert_eq!(of("after"), digests);
    let stale = Acting::new("dc-a", leader - 1);
    let head = arbiter.report_head("lost").await.unwrap();
    let refused = arbiter.put_report(stale, head.as_ref(), &second, 2).await;
    assert!(matches!(refused, Err(ActError::NotLeader)), "{refused:?}");
}

#[tokio::test]
async fn a_whole_citys_is_kept_in_parts_and_torn_ones_are_never_given() {
    let store = SimStore::default();
    let (arbiter, leader) = (Arbiter::new(store.clone(), "dc-a"), lead(&store, "dc-a", 0));
    let acting = Acting::new("dc-a", leader);
    let city = report("city", 1_200, "one", NOW);
    let all = parts(&city, 0);
    assert!(all.len() > 1 && all.iter().all(|part| crate::records::encode(part).len() < 1 << 20), "{}", all.len());
    assert!(arbiter.put_report(acting, None, &city, 0).await.unwrap());
    assert_eq!(arbiter.report("city").await.unwrap(), Some(serde_json::to_value(&city).unwrap()));
    // A writer died before the first part, which goes last.
    let other = parts(&report("city", 1_200, "two", NOW), 0);
    let put = Op::put(Key::Report { execution: "city".into(), part: 1 }, &other[1]);
    store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    let torn = arbiter.report("city").await.unwrap_err().to_string();
    assert!(torn.contains("city"), "{torn}");
    // Somebody wrote into it.
    let mut changed = all[1].clone();
    changed.groups[0]["epochBefore"] = 7.into();
    let put = Op::put(Key::Report { execution: "city".into(), part: 1 }, &changed);
    store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap();
    assert!(arbiter.report("city").await.is_err(), "its digest is another one");
    // A shorter one leaves parts behind, which are passed over.
    let head = arbiter.report_head("city").await.unwrap();
    let short = report("city", 1, "three", NOW);
    assert!(arbiter.put_report(acting, head.as_ref(), &short, 1).await.unwrap());
    assert_eq!(arbiter.report("city").await.unwrap(), Some(serde_json::to_value(&short).unwrap()));
}

#[tokio::test]
async fn reports_go_when_their_time_is_over() {
    let store = SimStore::default();
    let (arbiter, leader) = (Arbiter::new(store.clone(), "dc-a"), lead(&store, "dc-a", 0));
    let acting = Acting::new("dc-a", leader);
    let day = |days: i64| NOW + SignedDuration::from_hours(24 * days);
    for (name, days) in [("old", 0), ("young", 9)] {
        assert!(arbiter.put_report(acting, None, &report(name, 1, "x", day(days)), 1).await.unwrap());
    }
    assert_eq!(arbiter.collect_reports(acting, day(5)).await.unwrap(), 1);
    assert_eq!(arbiter.report("old").await.unwrap(), None);
    assert!(arbiter.report("young").await.unwrap().is_some());
    assert_eq!(store.range(&Key::reports()).await.unwrap().kvs.len(), 1);
}
