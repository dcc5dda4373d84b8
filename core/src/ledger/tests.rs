use proptest::prelude::*;

use super::*;

const GI: u64 = 1 << 30;

fn amounts(cpu: u64, memory: u64, pods: u64) -> Amounts {
    Amounts { cpu_millis: cpu * 1000, memory_bytes: memory * GI, storage_bytes: memory * GI, pods, environments: 1 }
}

fn city() -> Ledger {
    Ledger::new(Amounts { environments: 4, ..amounts(40, 80, 100) })
}

#[test]
fn a_claim_grows_shrinks_and_repeats() {
    let first = city().claim("audit-prod", "id-1", &amounts(10, 20, 5)).unwrap();
    assert_eq!(first.claim("audit-prod", "id-1", &amounts(10, 20, 5)).unwrap(), first);
    let grown = first.claim("audit-prod", "id-1", &amounts(40, 80, 100)).unwrap();
    assert_eq!(grown.free().cpu_millis, 0);
    let shrunk = grown.claim("audit-prod", "id-1", &amounts(1, 1, 1)).unwrap();
    assert_eq!(shrunk.sum(), amounts(1, 1, 1));
}

#[test]
fn a_refusal_names_resource_figures_and_remedy() {
    let ledger = city().claim("audit-prod", "id-1", &amounts(36, 20, 5)).unwrap();
    let refusal = ledger.claim("audit-test", "id-2", &amounts(12, 20, 5)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "environment audit-test does not fit the unit's budget: cpu: asks 12, free 4 of 40. Ask for less, shrink \
         another environment of the unit, or raise the unit's budget"
    );
}

#[test]
fn a_growth_counts_what_the_environment_already_holds_as_free() {
    let ledger = city().claim("audit-prod", "id-1", &amounts(36, 20, 5)).unwrap();
    let refusal = ledger.claim("audit-prod", "id-1", &amounts(41, 20, 5)).unwrap_err();
    assert!(refusal.to_string().contains("cpu: asks 41, free 40 of 40"), "{refusal}");
}

#[test]
fn a_budget_cannot_fall_below_what_is_taken() {
    let ledger = city().claim("audit-prod", "id-1", &amounts(36, 20, 5)).unwrap();
    let refusal = ledger.with_budget(&amounts(30, 80, 100)).unwrap_err();
    assert!(refusal.to_string().contains("cpu: new budget 30, held 36"), "{refusal}");
    assert_eq!(ledger.with_budget(&amounts(36, 20, 5)).unwrap().free(), Amounts::default());
}

#[test]
fn a_name_is_held_until_its_own_id_releases_it() {
    let ledger = city().claim("audit-prod", "id-1", &amounts(1, 1, 1)).unwrap();
    let refusal = ledger.claim("audit-prod", "id-2", &amounts(1, 1, 1)).unwrap_err();
    assert!(matches!(refusal, Refusal::NameHeld { ref holder, .. } if holder == "id-1"));
    assert_eq!(ledger.release("audit-prod", "id-2"), ledger);
    assert!(ledger.release("audit-prod", "id-1").taken.is_empty());
}

#[test]
fn what_is_promised_is_kept_free_until_it_is_taken() {
    let ledger = city().reserve("r-1", "audit-prod", &amounts(30, 20, 5)).unwrap();
    assert_eq!(ledger.reserve("r-1", "audit-prod", &amounts(30, 20, 5)).unwrap(), ledger);
    let refusal = ledger.reserve("r-2", "audit-test", &amounts(11, 1, 1)).unwrap_err();
    assert!(refusal.to_string().contains("cpu: asks 11, free 10 of 40"), "{refusal}");
    assert!(ledger.claim("audit-test", "id-2", &amounts(11, 1, 1)).is_err());
    assert!(ledger.with_budget(&amounts(29, 80, 100)).is_err());
    // The environment that it was promised to takes it, and it counts once.
    let taken = ledger.claim("audit-prod", "id-1", &amounts(30, 20, 5)).unwrap();
    assert_eq!((taken.sum(), taken.unreserve("r-1").sum()), (amounts(30, 20, 5), amounts(30, 20, 5)));
    // A smaller claim meanwhile does not give the promise away.
    let smaller = ledger.claim("audit-prod", "id-1", &amounts(1, 1, 1)).unwrap();
    assert_eq!((smaller.sum(), smaller.unreserve("r-1").sum()), (amounts(30, 20, 5), amounts(1, 1, 1)));
    let Err(Refusal::StillTaken { environments }) = Change::Remove.apply(Some(&ledger)) else { panic!("removed") };
    assert_eq!(environments, ["audit-prod"]);
}

#[test]
fn a_ledger_of_before_there_were_promises_is_read() {
    let before = serde_json::json!({"budget": Amounts::default(), "taken": {}});
    let ledger: Ledger = serde_json::from_value(before.clone()).unwrap();
    assert_eq!(serde_json::to_value(&ledger).unwrap(), before);
}

#[test]
fn changes_without_a_ledger() {
    let claim = Change::Claim { environment: "e".into(), id: "i".into(), amounts: Amounts::default() };
    assert_eq!(claim.apply(None), Err(Refusal::NoBudget));
    assert_eq!(Change::Remove.apply(None), Ok(None));
    let ledger = city().claim("e", "i", &amounts(1, 1, 1)).unwrap();
    assert!(matches!(Change::Remove.apply(Some(&ledger)), Err(Refusal::StillTaken { .. })));
}

#[test]
fn amounts_read_as_people_write_them() {
    assert_eq!(Resource::Cpu.human(1500), "1.5");
    assert_eq!(Resource::Cpu.human(50), "0.05");
    assert_eq!(Resource::Memory.human(40 * GI), "40Gi");
    assert_eq!(Resource::Memory.human(1536 << 20), "1536Mi");
    assert_eq!(Resource::Storage.human(1000), "1000");
    assert_eq!(Resource::Storage.human(0), "0");
}

#[test]
fn arithmetic_does_not_wrap() {
    let most = Amounts { pods: u64::MAX, ..Amounts::default() };
    let one = Amounts { pods: 1, ..Amounts::default() };
    assert_eq!(most.checked_add(&one), None);
    assert_eq!(Amounts::default().checked_sub(&one), None);
    let ledger = Ledger::new(most).claim("a", "1", &most).unwrap();
    assert!(ledger.claim("b", "2", &one).is_err());
}

fn any_amounts() -> impl Strategy<Value = Amounts> {
    let number = prop_oneof![0u64..50, Just(u64::MAX), any::<u64>()];
    (number.clone(), number.clone(), number.clone(), number, 0u64..3).prop_map(
        |(cpu_millis, memory_bytes, storage_bytes, pods, environments)| Amounts {
            cpu_millis,
            memory_bytes,
            storage_bytes,
            pods,
            environments,
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    let name = (0u8..4).prop_map(|n| format!("e{n}"));
    let id = (0u8..6).prop_map(|n| format!("i{n}"));
    let request = (0u8..4).prop_map(|n| format!("r{n}"));
    prop_oneof![
        1 => any_amounts().prop_map(Change::Budget),
        6 => (name.clone(), id.clone(), any_amounts())
            .prop_map(|(environment, id, amounts)| Change::Claim { environment, id, amounts }),
        2 => (name.clone(), id).prop_map(|(environment, id)| Change::Release { environment, id }),
        4 => (request.clone(), name, any_amounts())
            .prop_map(|(request, environment, amounts)| Change::Reserve { request, environment, amounts }),
        2 => request.prop_map(|request| Change::Unreserve { request }),
        1 => Just(Change::Remove),
    ]
}

proptest! {
    #[test]
    fn what_is_taken_never_passes_the_budget(changes in prop::collection::vec(any_change(), 0..60)) {
        let mut ledger: Option<Ledger> = None;
        for change in &changes {
            let Ok(next) = change.apply(ledger.as_ref()) else { continue };
            // The same change again is the same ledger: lost answers and repetitions do no harm.
            prop_assert_eq!(&change.apply(next.as_ref()).unwrap(), &next);
            if let Some(next) = &next {
                // Also when every promise is taken up, and none before what stands is given back.
                let mut held = (0u8..4).map(|n| format!("e{n}")).map(|name| {
                    let taken = next.taken.get(&name).map(|taken| taken.amounts).unwrap_or_default();
                    let promised = next.reserved.values().filter(|reserved| reserved.environment == name);
                    promised.fold(taken, |most, reserved| most.most(&reserved.amounts))
                });
                let exact = held.try_fold(Amounts::default(), |sum, amounts| sum.checked_add(&amounts));
                prop_assert!(exact.is_some_and(|sum| sum.fits(&next.budget)), "{next:?}");
            }
            ledger = next;
        }
    }

    #[test]
    fn a_ledger_survives_json(changes in prop::collection::vec(any_change(), 0..20)) {
        let mut ledger = Ledger::default();
        for change in &changes {
            if let Ok(Some(next)) = change.apply(Some(&ledger)) { ledger = next; }
        }
        let text = serde_json::to_string(&ledger).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    }
}
