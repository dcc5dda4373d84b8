//! A restore, from raising the generation to the last group. Changes what every site shares: to be run last in a store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tandem_arbiter::Arbiter;
use tandem_arbiter::arbiter::RestoreError;
use tandem_arbiter::records::{GroupRecord, HighestRecord, Key, Mark, Phase};
use tandem_arbiter::store::{Met, Store};
use tandem_arbiter::txn::{self, ATTESTED_STRIDE, NotConfirmed, Op, Txn};

fn report(generation: u64, groups: &[(&str, u64, &str)]) -> HighestRecord {
    let groups = groups
        .iter()
        .map(|(group, epoch, active)| ((*group).to_owned(), Mark { epoch: *epoch, active: (*active).to_owned() }));
    let groups = groups.collect::<BTreeMap<_, _>>();
    HighestRecord { generation, revision: 1_000, groups, replicas: BTreeSet::from(["op-0".to_owned()]) }
}

pub(crate) async fn run<S: Store>(store: &S) {
    let sites = ["dc-a".to_owned(), "dc-b".to_owned()];
    let (a, b) = (Arbiter::new(store.clone(), "dc-a"), Arbiter::new(store.clone(), "dc-b"));
    let at = Timestamp::UNIX_EPOCH;
    // More groups than go in one transaction.
    let names: Vec<String> = (0..150).map(|n| format!("r-{n:03}")).collect();
    for portion in names.chunks(100) {
        let then = portion.iter().map(|name| Op::put(Key::Group(name.clone()), &GroupRecord::first("dc-a"))).collect();
        store.txn(&Txn { then, ..Txn::default() }).await.unwrap();
    }
    assert!(matches!(a.confirm("r-000", at).await, Err(RestoreError::NotConfirmed(NotConfirmed::Nothing))));

    assert_eq!(a.restore(&sites, "wang", at).await.unwrap(), 2);
    let (_, groups) = a.read_groups().await.unwrap();
    assert!(groups.values().all(|group| group.value.phase == Phase::Unconfirmed));
    assert!(!store.txn(&txn::create_platform("dc-a")).await.unwrap().succeeded, "never made in a restored arbiter");
    let refused = a.confirm("r-000", at).await;
    assert!(matches!(refused, Err(RestoreError::NotConfirmed(NotConfirmed::Silent { .. }))), "{refused:?}");

    // dc-a has seen r-000 move to dc-b and a group that the backup does not have; its other replica has seen more.
    a.report_highest(&report(2, &[("r-000", 4, "dc-a"), ("r-lost", 3, "dc-b")])).await.unwrap();
    a.report_highest(&report(2, &[("r-000", 5, "dc-b")])).await.unwrap();
    assert!(matches!(a.report_highest(&report(1, &[])).await, Err(RestoreError::Moved)), "of another generation");
    let refused = a.confirm("r-000", at).await;
    let silent = NotConfirmed::Silent { site: "dc-b".into(), approvers: 0 };
    assert!(matches!(&refused, Err(RestoreError::NotConfirmed(found)) if *found == silent), "{refused:?}");

    // One person twice is one person.
    for _ in 0..2 {
        a.attest("dc-b", "wang", "no power in the building", at).await.unwrap();
    }
    assert!(a.confirm("r-000", at).await.is_err() && a.raise_revisions().await.is_err());
    a.attest("dc-b", "li", "saw it", at).await.unwrap();
    let back = a.confirm("r-000", at).await.unwrap();
    assert_eq!((back.value.active.as_str(), back.value.epoch), ("dc-b", 6 + ATTESTED_STRIDE));
    assert_eq!(back.value.phase, Phase::Held);

    // Revisions are above what was reported before anything is given back, and every specification is as new.
    let spec = "/tandem/v1/specs/units/-/restored";
    let unit = Txn { then: vec![Op::Put { key: spec.to_owned(), value: b"{}".to_vec() }], ..Txn::default() };
    store.txn(&unit).await.unwrap();
    let far = HighestRecord { revision: store.range(spec).await.unwrap().revision + 100, ..report(2, &[]) };
    a.report_highest(&far).await.unwrap();
    assert!(a.raise_revisions().await.unwrap() > 0);
    let found = store.range("/tandem/v1/specs/").await.unwrap();
    assert!(found.revision > far.revision && found.kvs.iter().all(|kv| kv.mod_revision > far.revision));
    assert!(found.kvs.iter().any(|kv| kv.key == spec && kv.value == b"{}"), "and says what it said");
    assert_eq!(a.raise_revisions().await.unwrap(), 0, "done once");

    // The silent site speaks after all: from here on its word counts.
    b.report_highest(&report(2, &[("r-001", 9, "dc-b")])).await.unwrap();
    let back = b.confirm("r-001", at).await.unwrap();
    assert_eq!((back.value.active.as_str(), back.value.epoch), ("dc-b", 10));
    let back = b.confirm("r-002", at).await.unwrap();
    assert_eq!((back.value.active.as_str(), back.value.epoch), ("dc-a", 2));
    let lost = a.confirm("r-lost", at).await.unwrap();
    assert_eq!((lost.value.active.as_str(), lost.value.epoch), ("dc-b", 4));
    assert!(a.confirm("r-lost", at).await.is_err(), "confirmed once");

    // A group is made anew only where nobody has seen it, and compared with what was said.
    let testimony = a.testimony().await.unwrap();
    assert!(matches!(testimony.may_create("r-lost"), Err(NotConfirmed::Known { .. })));
    assert_eq!(testimony.may_create("r-new"), Ok(()));
    let create = |name: &str| Txn {
        compare: txn::founding(&testimony),
        then: vec![Op::put(Key::Group(name.to_owned()), &GroupRecord::first("dc-a"))],
        ..Txn::default()
    };
    assert!(store.txn(&create("r-new")).await.unwrap().succeeded);
    b.report_highest(&report(2, &[("r-newer", 2, "dc-b")])).await.unwrap();
    assert!(!store.txn(&create("r-newer")).await.unwrap().succeeded, "somebody spoke meanwhile");

    let left = a.unconfirmed().await.unwrap();
    assert!(left.contains(&"r-003".to_owned()) && left.contains(&"r-newer".to_owned()));
    assert!(!left.contains(&"r-000".to_owned()));
    // Another restore takes everything back again.
    assert_eq!(b.restore(&sites, "li", at).await.unwrap(), 3);
    assert!(a.confirm("r-000", at).await.is_err(), "reports of an earlier generation do not count");
}

pub(crate) async fn identity<S: Store>(store: &S) {
    let Met { identity: found, server } = store.identity().await.unwrap();
    assert!(found.cluster != 0 && !found.members.is_empty());
    let answer = store.txn(&Txn { then: vec![Op::get("/contract/none")], ..Txn::default() }).await.unwrap();
    assert_eq!((answer.origin.cluster, answer.origin.server), (found.cluster, server), "every answer bears them");
}
