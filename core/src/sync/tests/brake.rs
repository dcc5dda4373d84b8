use std::time::Duration;

use proptest::prelude::*;

use super::super::{Brake, BrakeLimits, Kind};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn delete(brake: &mut Brake, now: u64, n: usize, total: usize) -> bool {
    brake.admit(at(now), Kind::Application, &format!("id-{n}"), total, true).is_ok()
}

#[test]
fn more_than_a_tenth_within_five_minutes_trips_until_confirmed() {
    let mut brake = Brake::default();
    assert!((0..53).all(|n| delete(&mut brake, 10, n, 530 - n)));
    assert!(!delete(&mut brake, 10, 53, 477));
    assert_eq!(
        brake.tripped().unwrap().to_string(),
        "stopped: 54 of 530 applications would be deleted or scaled down within 300 s, more than 10 %. If this is meant, \
         confirm it; else restore them at the authority first"
    );
    // Not even a change of another kind, nor hours later.
    assert!(brake.admit(at(9999), Kind::Unit, "u", 54, false).is_err());
    brake.confirm(at(10_000));
    assert!((53..530).all(|n| delete(&mut brake, 10_001, n, 530 - n)), "a person's word covers all of it");
}

#[test]
fn slow_or_few_deletions_pass() {
    let mut brake = Brake::default();
    // Four of five are few; and a fifth after the window counts anew.
    assert!((0..4).all(|n| delete(&mut brake, 0, n, 5)));
    assert!(delete(&mut brake, 300, 4, 5));
    let mut brake = Brake::default();
    assert!((0..500).all(|n| delete(&mut brake, 30 * n as u64, n, 500)), "ten in five minutes");
}

#[test]
fn the_same_object_counts_once_and_other_changes_not_at_all() {
    let mut brake = Brake::default();
    for _ in 0..100 {
        assert!(delete(&mut brake, 0, 1, 20));
        assert!(brake.admit(at(0), Kind::Application, "other", 20, false).is_ok());
        assert!(brake.admit(at(0), Kind::SecurityProfile, "p", 1, true).is_ok());
    }
}

#[test]
fn a_restart_does_not_loosen_the_brake() {
    let mut brake = Brake::default();
    assert!(!(0..10).all(|n| delete(&mut brake, 0, n, 40)));
    let mut again = Brake::new(BrakeLimits::default());
    again.restore(brake.tripped().unwrap().clone());
    assert!(!delete(&mut again, 1, 99, 40));
}

proptest! {
    #[test]
    fn never_more_than_the_limit_in_any_window(times in prop::collection::vec(0u64..40, 1..200), total in 20usize..400) {
        let mut brake = Brake::default();
        let mut now = 0;
        let mut admitted = Vec::new();
        for (n, pause) in times.into_iter().enumerate() {
            now += pause;
            if delete(&mut brake, now, n, total) {
                admitted.push(now);
            }
        }
        for start in &admitted {
            let within = admitted.iter().filter(|t| (*start..start + 300).contains(t)).count();
            prop_assert!(within <= (total / 10).max(4), "{within} of {total}");
        }
    }
}
