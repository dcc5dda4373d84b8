//! What waits is entered into the audit chain, below the store's limits.

use futures::future::join_all;
use jiff::Timestamp;
use tandem_arbiter::Arbiter;
use tandem_arbiter::records::{Hold, HoldRecord};
use tandem_arbiter::store::Store;
use tandem_arbiter::txn::Scribe;
use tandem_core::audit::{Draft, Head, Outcome, operator, verify};

/// So many holds that several transactions are needed, each as large as it may be.
const HOLDS: usize = 150;

/// Holds are set by several at once while several drain and one appends: each is in the chain once.
pub(crate) async fn run<S: Store>(store: &S) {
    let site = "dc-audit";
    let actor = operator("op-0");
    let long = "x".repeat(4_000);
    let set = (0..HOLDS).map(|n| {
        let (arbiter, actor, long) = (Arbiter::new(store.clone(), site), &actor, &long);
        async move {
            let hold = Hold::Group(format!("audit-{n}"));
            let record = HoldRecord { by: long.clone(), reason: long.clone(), since: Timestamp::UNIX_EPOCH };
            let at = Timestamp::UNIX_EPOCH;
            let held = arbiter.set_hold(&hold, &record, Some(Scribe { actor, at })).await.unwrap();
            assert!(arbiter.clear_hold(&hold, held.revision, Some(Scribe { actor, at })).await.unwrap());
        }
    });
    join_all(set).await;
    let drains = (0..3).map(|n| {
        let arbiter = Arbiter::new(store.clone(), site);
        let draft = Draft {
            id: format!("api-{n}"),
            at: Timestamp::UNIX_EPOCH,
            actor: operator("api"),
            action: "units.create".into(),
            object: "units/health".into(),
            before: None,
            after: None,
            outcome: Outcome::Done,
            begun: None,
            trace: None,
        };
        async move {
            arbiter.audit_append(&draft).await.unwrap();
            let mut entered = 0;
            loop {
                let found = arbiter.audit_chain_pending(100).await.unwrap();
                entered += found.entered;
                if found.left == 0 {
                    return entered;
                }
            }
        }
    });
    let entered: usize = join_all(drains).await.into_iter().sum();
    assert_eq!(entered, 2 * HOLDS, "each by one of them");
    let arbiter = Arbiter::new(store.clone(), site);
    let page = arbiter.audit_page(site, 1, 1_000).await.unwrap();
    assert_eq!(page.entries.len(), 2 * HOLDS + 3);
    assert_eq!(verify(&Head::genesis(site), site, &page.entries).unwrap(), page.head);
    let mut ids: Vec<&str> = page.entries.iter().map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), page.entries.len());
}
