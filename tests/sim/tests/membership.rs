//! The membership bears random faults, and each guard of it is missed where it is left out.
#![allow(clippy::unwrap_used)]

use tandem_sim::kept;
use tandem_sim::sweep::{Swept, sweep};
use tandem_sim::worlds::failover::{Failover, setup::Setup};
use tandem_sim::worlds::membership::{Membership, Without};
use tandem_sim::{World, case_of, describe, run, smallest};

/// Without optimisation a seed takes ten times as long.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 6000 };

fn seeds(seeds: u64, without: Without) -> Swept {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    sweep::<Membership>(0, seeds, jobs, &without, |_| {})
}

#[test]
fn two_replicas_never_lead_one_site() {
    let swept = seeds(SEEDS, Without::Nothing);
    if let Some((case, _)) = swept.failed {
        panic!("{}", describe::<Membership>(&smallest::<Membership>(&case, &Without::Nothing), &Without::Nothing, 80));
    }
    assert_eq!(swept.seeds, SEEDS);
}

/// Leaves a guard out, and expects a violation of the same kind as double leadership within so many seeds.
fn is_missed(without: Without, within: u64) {
    let swept = seeds(within, without);
    let (case, violation) = swept.failed.unwrap_or_else(|| panic!("{within} seeds do not miss {without:?}"));
    assert_eq!(violation.invariant, "one leader a site", "{violation}");
    // The same seed is safe with the guard.
    assert_eq!(run::<Membership>(&case, &Without::Nothing, 0).violation, None);
}

#[test]
fn a_deadline_that_counts_from_the_arrival_is_found() {
    is_missed(Without::Sending, 8000);
}

#[test]
fn a_campaign_that_does_not_compare_the_member_is_found() {
    is_missed(Without::MemberCompare, 4000);
}

#[test]
fn answers_that_are_taken_after_their_time_out_do_no_harm() {
    // They once made two leaders: the machine took what it knew back. It now ignores what is older than that.
    let without = Without::TimeOut;
    if let Some((case, _)) = seeds(SEEDS, without).failed {
        panic!("{}", describe::<Membership>(&smallest::<Membership>(&case, &without), &without, 80));
    }
}

#[test]
fn replicas_that_disagree_about_t_are_found() {
    is_missed(Without::OneTiming, 500);
}

#[test]
fn a_failing_seed_is_made_small_and_explained() {
    let (case, violation) = seeds(4000, Without::OneTiming).failed.unwrap();
    let small = smallest::<Membership>(&case, &Without::OneTiming);
    assert!(small.schedule.faults.len() <= 2, "{:?}", small.schedule.lines());
    let text = describe::<Membership>(&small, &Without::OneTiming, 50);
    for part in ["VIOLATION", violation.invariant, "faults:", "trace:", "campaigns"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_kept_case_reads_back() {
    let folder = std::env::temp_dir().join(format!("tandem-sim-{}", std::process::id()));
    let one = kept::Kept { world: "membership".into(), found: "x".into(), case: case_of::<Membership>(7) };
    kept::keep(&folder, &one).unwrap();
    let all = kept::all(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(all, [one]);
}

#[test]
fn what_was_found_once_is_not_found_again() {
    for kept in kept::all(&kept::folder()).unwrap() {
        let violation = match kept.world.as_str() {
            Failover::NAME => run::<Failover>(&kept.case, &Setup::default(), 0).violation,
            Membership::NAME => run::<Membership>(&kept.case, &Without::Nothing, 0).violation,
            other => panic!("a case of the unknown world {other} is kept"),
        };
        assert_eq!(violation, None, "seed {}, once found: {}", kept.case.seed, kept.found);
    }
}
