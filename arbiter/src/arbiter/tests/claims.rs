//! The ledger under concurrent claims.

use futures::future::join_all;
use proptest::prelude::*;

use super::super::PublishError;
use super::{environment, founded, unit};
use crate::store::{Loss, SimStore};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Claims at once, with answers lost on the way there or back: the budget is never passed, whoever was told yes has its
    /// share, and whoever was told no has none.
    #[test]
    fn concurrent_claims_never_pass_the_budget(
        budget in 1u64..60,
        asks in prop::collection::vec(1u64..20, 1..30),
        losses in prop::collection::vec(prop_oneof![6 => Just(None), 1 => Just(Some(Loss::Before)), 1 => Just(Some(Loss::After))], 0..60),
    ) {
        block_on(async {
            let store = SimStore::default();
            let (arbiter, mandate) = founded(&store).await;
            arbiter.publish(&mandate, unit(budget, 1, 0)).await.unwrap();
            for loss in losses {
                match loss {
                    Some(loss) => store.lose_next_answer(loss),
                    None => store.answer_next(),
                }
            }
            let names: Vec<String> = (0..asks.len()).map(|n| format!("audit-e{n}")).collect();
            let claims = names.iter().zip(&asks).map(|(name, ask)| arbiter.publish(&mandate, environment(name, *ask, 1, 0)));
            let outcomes = join_all(claims).await;
            let ledger = arbiter.ledger("audit").await.unwrap().unwrap().value.ledger;
            let listing = arbiter.list_specs().await.unwrap();
            prop_assert!(ledger.sum().pods <= budget);
            prop_assert!(ledger.taken.len() <= 100);
            for ((name, ask), outcome) in names.iter().zip(&asks).zip(outcomes) {
                let taken = ledger.taken.get(name).map(|taken| taken.amounts.pods);
                let recorded = listing.entries.iter().any(|seen| seen.key.name == *name);
                prop_assert_eq!(taken.is_some(), recorded, "record and ledger are one transaction");
                match outcome {
                    Ok(_) => prop_assert_eq!(taken, Some(*ask)),
                    Err(PublishError::Refused(_) | PublishError::Contended | PublishError::Unknown(_)) => {
                        prop_assert_eq!(taken, None);
                    }
                    Err(other) => prop_assert!(false, "{other:?}"),
                }
            }
            Ok(())
        })?;
    }
}
