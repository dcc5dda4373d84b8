//! That nothing was lost is said only where it is proven, whatever a journal has.

use proptest::prelude::*;

use super::*;
use crate::report::{Verdict, loss};

fn stood() -> impl Strategy<Value = Option<Stood>> {
    let one = (0_u64..4, proptest::option::of(0_u64..4), proptest::bool::ANY);
    proptest::option::of(one.prop_map(|(age, position, answered)| Stood {
        role: None,
        position,
        lag_millis: None,
        age_millis: (!answered).then_some(age),
    }))
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let outcomes = prop_oneof![
        4 => Just(Some(Outcome::Done)),
        1 => Just(Some(Outcome::Failed)),
        1 => Just(Some(Outcome::SkippedNoData)),
        1 => Just(Some(Outcome::SkippedUnreachable)),
        1 => Just(None),
    ];
    let dropped = proptest::option::of(Just(dropped()));
    (proptest::sample::select(&Step::ALL[..]), outcomes, stood(), stood(), dropped).prop_map(
        |(step, outcome, source, target, dropped)| Evidence {
            step,
            begun: at(0),
            ended: outcome.map(|_| at(1)),
            outcome,
            note: String::new(),
            facts: Facts { source, target, dropped, ..Facts::default() },
        },
    )
}

fn journals() -> impl Strategy<Value = Journal> {
    let kinds = proptest::sample::select(&ExecutionKind::ALL[..]);
    let steps = proptest::sample::select(&Step::ALL[..]);
    (kinds, steps, proptest::collection::vec(evidence(), 0..14), proptest::bool::ANY).prop_map(
        |(kind, step, evidence, over)| Journal {
            step,
            evidence,
            over,
            ..Journal::new(("x", "g"), kind, ("dc-a", "dc-b"), 4, at(0))
        },
    )
}

fn proven(journal: &Journal) -> bool {
    let done = |step: Step| journal.evidence.iter().find(|e| e.step == step && e.outcome == Some(Outcome::Done));
    let Some(sync) = journal.evidence.iter().find(|e| e.step == Step::FinalSync) else { return false };
    let last = sync.facts.source.filter(|stood| stood.age_millis.is_none()).and_then(|stood| stood.position);
    let reached = sync.facts.target.and_then(|stood| stood.position);
    journal.kind != ExecutionKind::Failover
        && done(Step::Quiescing).is_some()
        && done(Step::Fencing).is_some()
        && matches!((last, reached), (Some(last), Some(reached)) if reached >= last)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_loss_is_never_claimed_without_proof(journal in journals()) {
        let found = loss(&journal, &Wanted::default());
        if found.verdict == Verdict::None {
            prop_assert!(proven(&journal), "{journal:?}");
        }
        let whole = report(&asked(journal.kind), FailoverPhase::Completed, &[("g", Some(&journal))]);
        prop_assert_eq!(whole.loss.verdict, found.verdict);
        // Whatever it is, it can be shown.
        prop_assert!(!super::super::text(&whole, Language::Chinese).is_empty());
        prop_assert!(!super::super::page(&whole, None).is_empty());
    }
}
