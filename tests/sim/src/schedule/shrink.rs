//! Making a failing schedule small.

use super::{Case, Fault, Schedule};
use crate::engine::{MS, SECOND};

/// The smallest case found that still fails: faults are left out, then made shorter, and the run is made shorter, for as long
/// as one of `tries` noises still makes it fail. `fails` runs a case; nothing else is known of the failure.
pub fn shrink(case: &Case, tries: u64, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut attempt = |best: &mut Case, schedule: Schedule| {
        let failing = (0..tries.max(1)).map(|n| Case {
            seed: best.seed,
            // The noise with which it failed last comes first.
            noise: if n == 0 { best.noise } else { n },
            schedule: schedule.clone(),
        });
        let found = failing.into_iter().find(|case| fails(case));
        found.map(|found| *best = found).is_some()
    };
    loop {
        let mut smaller = leave_out(&mut best, &mut attempt);
        for index in 0..best.schedule.faults.len() {
            smaller |= shorten(&mut best, index, &mut attempt);
        }
        if !smaller {
            return best;
        }
    }
}

/// Leaves out halves, quarters and so on, down to single faults (Zeller and Hildebrandt, "Simplifying and isolating
/// failure-inducing input", 2002, without its complements, which are as many as its parts here).
fn leave_out(best: &mut Case, attempt: &mut impl FnMut(&mut Case, Schedule) -> bool) -> bool {
    let mut smaller = false;
    let mut width = best.schedule.faults.len().div_ceil(2);
    while width > 0 {
        let mut from = 0;
        while from < best.schedule.faults.len() {
            let mut schedule = best.schedule.clone();
            schedule.faults.drain(from..(from + width).min(best.schedule.faults.len()));
            if attempt(best, schedule) {
                smaller = true;
            } else {
                from += width;
            }
        }
        width /= 2;
    }
    smaller
}

/// Halves one fault's length, or rounds its times to tenths of a second.
fn shorten(best: &mut Case, index: usize, attempt: &mut impl FnMut(&mut Case, Schedule) -> bool) -> bool {
    let planned = best.schedule.faults[index];
    let tidy = |time: u64| (time + 50 * MS) / (100 * MS) * (100 * MS);
    let mut candidates = Vec::new();
    let ends = !matches!(planned.fault, Fault::Election | Fault::Compact { .. } | Fault::ResetWatches);
    if ends && planned.lasts > SECOND {
        candidates.push((planned.at, planned.lasts / 2));
    }
    candidates.push((tidy(planned.at), tidy(planned.lasts)));
    for (at, lasts) in candidates {
        if (at, lasts) == (planned.at, planned.lasts) {
            continue;
        }
        let mut schedule = best.schedule.clone();
        schedule.faults[index].at = at;
        schedule.faults[index].lasts = lasts;
        if attempt(best, schedule) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, Who, generate};
    use super::*;
    use crate::net::Place;

    #[test]
    fn only_what_matters_is_left() {
        let mut case = generate(3, &Profile::of(10 * SECOND));
        case.schedule = case.schedule.and(7_123_456, 9_876_543, Fault::CutOff(Place::A)).and(
            9 * SECOND,
            SECOND,
            Fault::Pause(Who::EtcdLeader),
        );
        let wanted = |case: &Case| {
            let cut = case.schedule.faults.iter().any(|p| p.fault == Fault::CutOff(Place::A) && p.lasts >= 3 * SECOND);
            let pause = case.schedule.faults.iter().any(|p| matches!(p.fault, Fault::Pause(_)));
            cut && pause
        };
        let small = shrink(&case, 2, wanted);
        assert!(wanted(&small));
        assert_eq!(small.schedule.faults.len(), 2, "{:?}", small.schedule.lines());
        let cut = small.schedule.faults.iter().find(|p| p.fault == Fault::CutOff(Place::A)).unwrap();
        assert!(cut.lasts < 6 * SECOND && cut.at % (100 * MS) == 0, "{cut:?}");
    }
}
