//! Schedules from a seed.

use super::{Case, Fault, Planned, Schedule, Who};
use crate::engine::{MS, Micros, Rng, SECOND};
use crate::net::Place;

/// What kind of schedules are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The time by which lengths are chosen: `T`.
    pub unit: Micros,
    /// When the first fault may begin.
    pub warm_up: Micros,
    /// How long faults may begin.
    pub faulty: Micros,
    /// How long nothing goes wrong at the end.
    pub tail: Micros,
    /// The most faults.
    pub most: u64,
    /// How many numbers of [`Fault::Nudge`] the world knows; 0 for none.
    pub nudges: u64,
    /// Whether etcd may be restored and forked.
    pub restores: bool,
}

impl Profile {
    /// Faults for as long as 6 `T`, after half a `T`, and 3 `T` without any.
    #[must_use]
    pub fn of(unit: Micros) -> Self {
        Self { unit, warm_up: unit / 2, faulty: 6 * unit, tail: 3 * unit, most: 8, nudges: 0, restores: false }
    }
}

/// The case of a seed.
#[must_use]
pub fn generate(seed: u64, profile: &Profile) -> Case {
    let mut rng = Rng::stream(seed, 1);
    let quiet = profile.warm_up + profile.faulty;
    let mut schedule = Schedule::new(quiet, quiet + profile.tail);
    let many = rng.between(1, profile.most);
    for _ in 0..many {
        let mut at = profile.warm_up + rng.below(profile.faulty);
        // Faults that meet are worth more than faults that do not.
        if rng.per_mille(300)
            && let Some(last) = schedule.faults.last().copied()
        {
            let near = if rng.per_mille(500) { last.at } else { last.at.saturating_add(last.lasts) };
            at = near.saturating_add(rng.below(profile.unit / 10)).saturating_sub(rng.below(profile.unit / 20));
            at = at.clamp(profile.warm_up, quiet);
        }
        let lasts = length(&mut rng, profile.unit);
        let fault = fault(&mut rng, profile);
        schedule.faults.push(Planned { at, lasts, fault });
    }
    schedule.faults.sort_by_key(|planned| planned.at);
    Case { seed, noise: 0, schedule }
}

/// Lengths around the times at which the protocol decides something, and any others.
fn length(rng: &mut Rng, unit: Micros) -> Micros {
    let around = |rng: &mut Rng, tenths: Micros| {
        let middle = unit / 10 * tenths;
        (middle + rng.below(unit / 5)).saturating_sub(unit / 10)
    };
    match rng.below(8) {
        0 => rng.below(200 * MS),
        1 => rng.between(300 * MS, 2 * SECOND),
        2 => around(rng, 7),
        3 | 4 => around(rng, 10),
        5 => around(rng, 12),
        6 => rng.below(unit),
        _ => rng.below(3 * unit),
    }
}

fn place(rng: &mut Rng) -> Place {
    Place::ALL[usize::try_from(rng.below(3)).unwrap_or_default()]
}

fn pair(rng: &mut Rng) -> (Place, Place) {
    let first = rng.below(3);
    let second = (first + 1 + rng.below(2)) % 3;
    (Place::ALL[first as usize], Place::ALL[second as usize])
}

fn endpoint(rng: &mut Rng) -> u8 {
    u8::try_from(rng.below(3)).unwrap_or_default()
}

fn process(rng: &mut Rng) -> Who {
    Who::Process(u16::try_from(rng.below(64)).unwrap_or_default())
}

fn who(rng: &mut Rng) -> Who {
    match rng.below(8) {
        0 => Who::EtcdLeader,
        1 => Who::Etcd(endpoint(rng)),
        _ => process(rng),
    }
}

fn fault(rng: &mut Rng, profile: &Profile) -> Fault {
    match rng.below(34) {
        0 | 1 => {
            let (from, to) = pair(rng);
            Fault::OneWay { from, to }
        }
        2 => {
            let place = place(rng);
            Fault::OneWay { from: place, to: place }
        }
        3 | 4 => {
            let (one, other) = pair(rng);
            Fault::Cut(one, other)
        }
        5..=7 => Fault::CutOff(place(rng)),
        8 => {
            let (one, other) = pair(rng);
            Fault::Flap { one, other, every: rng.between(100 * MS, profile.unit) }
        }
        9 => {
            let (one, other) = pair(rng);
            Fault::Slow { one, other, by: rng.between(10 * MS, 1500 * MS) }
        }
        10 => {
            let (one, other) = pair(rng);
            let per_mille = u32::try_from(rng.between(50, 700)).unwrap_or_default();
            Fault::Lossy { one, other, per_mille }
        }
        11 | 12 => Fault::Isolate(who(rng)),
        13 => Fault::PowerOff(place(rng)),
        14..=16 => Fault::Crash(who(rng)),
        17..=20 => Fault::Pause(who(rng)),
        21 => Fault::Pause(Who::EtcdLeader),
        22 => Fault::PauseAll(place(rng)),
        23 => {
            let hour = 3600 * 1_000_000;
            Fault::WallClock { place: place(rng), by: if rng.per_mille(500) { hour } else { -hour } }
        }
        24 => {
            let ppm = i64::try_from(rng.below(401)).unwrap_or_default() - 200;
            Fault::Drift { who: process(rng), ppm }
        }
        25 => Fault::Election,
        26 => Fault::Compact { keep: i64::try_from(rng.below(20)).unwrap_or_default() },
        27 => Fault::LoseAnswers(u32::try_from(rng.between(50, 900)).unwrap_or_default()),
        28 => Fault::SlowDisk { endpoint: endpoint(rng), by: rng.between(20 * MS, 1500 * MS) },
        29 => {
            if rng.per_mille(500) {
                Fault::Full
            } else {
                Fault::Expired(endpoint(rng))
            }
        }
        30 => {
            if rng.per_mille(500) {
                Fault::ResetWatches
            } else {
                Fault::Watches(300)
            }
        }
        31 => Fault::SlowApi { place: place(rng), by: rng.between(100 * MS, 5 * SECOND) },
        32 if profile.restores => match rng.below(4) {
            0 | 1 => Fault::Backup,
            2 => Fault::Restore,
            _ => Fault::Fork(endpoint(rng)),
        },
        33 if profile.nudges > 0 => Fault::Nudge { who: process(rng), what: rng.below(profile.nudges) },
        _ => Fault::Crash(process(rng)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_schedule_and_a_quiet_tail() {
        let profile = Profile { nudges: 2, restores: true, ..Profile::of(10 * SECOND) };
        for seed in 0..500 {
            let case = generate(seed, &profile);
            assert_eq!(case, generate(seed, &profile));
            let Schedule { faults, quiet, end } = case.schedule;
            assert!(!faults.is_empty() && faults.len() <= 8);
            assert!(faults.iter().all(|planned| planned.at >= profile.warm_up && planned.at <= quiet));
            assert_eq!(end - quiet, profile.tail);
        }
    }
}
