//! The ledger under concurrent promises.

use futures::future::join_all;
use proptest::prelude::*;
use tandem_core::ledger::{Change, Refusal};

use super::super::PromiseError;
use super::{environment, founded, pods, unit};
use crate::store::{Loss, SimStore};

fn reserve(n: usize, ask: u64) -> Change {
    Change::Reserve { request: format!("r{n}"), environment: format!("audit-e{n}"), amounts: pods(ask) }
}

#[tokio::test]
async fn of_a_hundred_promises_at_once_exactly_what_fits_is_made() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    arbiter.publish(&mandate, unit(60, 1, 0)).await.unwrap();
    let promises: Vec<Change> = (0..100).map(|n| reserve(n, 1)).collect();
    let made = join_all(promises.iter().map(|change| arbiter.promise(mandate.authority, "audit", change))).await;
    let over = |made: &&Result<(), PromiseError>| {
        matches!(made, Err(PromiseError::Refused(Refusal::OverBudget { .. }) | PromiseError::Contended))
    };
    assert_eq!(made.iter().filter(|made| made.is_ok()).count() + made.iter().filter(over).count(), 100);
    // Whoever found it contended asks again, as the error says.
    for change in &promises {
        let _ = arbiter.promise(mandate.authority, "audit", change).await;
    }
    let ledger = arbiter.ledger("audit").await.unwrap().unwrap().value.ledger;
    assert_eq!((ledger.reserved.len(), ledger.sum().pods), (60, 60));
}

#[tokio::test]
async fn who_is_not_the_authority_promises_nothing() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    arbiter.publish(&mandate, unit(60, 1, 0)).await.unwrap();
    let stale = arbiter.promise(mandate.authority - 1, "audit", &reserve(1, 1)).await;
    assert!(matches!(stale, Err(PromiseError::NotAuthority)), "{stale:?}");
    let nowhere = arbiter.promise(mandate.authority, "water", &reserve(1, 1)).await;
    assert!(matches!(nowhere, Err(PromiseError::Refused(Refusal::NoBudget))), "{nowhere:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Promises and claims at once, with answers lost on the way there or back: the budget is never passed, and whoever was
    /// told yes has its promise.
    #[test]
    fn promises_and_claims_together_never_pass_the_budget(
        budget in 1u64..60,
        asks in prop::collection::vec((1u64..20, any::<bool>()), 1..30),
        losses in prop::collection::vec(prop_oneof![6 => Just(None), 1 => Just(Some(Loss::Before)), 1 => Just(Some(Loss::After))], 0..60),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let store = SimStore::default();
            let (arbiter, mandate) = founded(&store).await;
            arbiter.publish(&mandate, unit(budget, 1, 0)).await.unwrap();
            for loss in losses {
                match loss {
                    Some(loss) => store.lose_next_answer(loss),
                    None => store.answer_next(),
                }
            }
            let told = join_all(asks.iter().enumerate().map(|(n, (ask, promise))| {
                let (arbiter, mandate) = (&arbiter, &mandate);
                async move {
                    if *promise {
                        arbiter.promise(mandate.authority, "audit", &reserve(n, *ask)).await.is_ok()
                    } else {
                        let name = format!("audit-e{n}");
                        arbiter.publish(mandate, environment(&name, *ask, 1, 0)).await.is_ok()
                    }
                }
            })).await;
            let ledger = arbiter.ledger("audit").await.unwrap().unwrap().value.ledger;
            prop_assert!(ledger.sum().pods <= budget, "{ledger:?}");
            for (n, ((ask, promise), yes)) in asks.iter().zip(told).enumerate() {
                let promised = ledger.reserved.get(&format!("r{n}")).map(|reserved| reserved.amounts.pods);
                let taken = ledger.taken.get(&format!("audit-e{n}")).map(|taken| taken.amounts.pods);
                if yes {
                    prop_assert_eq!(if *promise { promised } else { taken }, Some(*ask));
                }
            }
            Ok(())
        })?;
    }
}
