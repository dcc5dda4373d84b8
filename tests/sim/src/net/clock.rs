//! Boot clocks: nobody sets them, but each runs a little fast or slow.

use crate::engine::Micros;

const MILLION: i64 = 1_000_000;

/// A machine's boot clock.
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    /// At this instant ...
    real: Micros,
    /// ... it showed this, ...
    local: Micros,
    /// ... and since then it runs fast by so many millionths.
    ppm: i64,
}

impl BootClock {
    /// A clock that shows `local` at the instant `real`, and runs fast by so many millionths.
    #[must_use]
    pub fn new(real: Micros, local: Micros, ppm: i64) -> Self {
        Self { real, local, ppm }
    }

    /// What it shows at an instant.
    #[must_use]
    pub fn read(&self, now: Micros) -> Micros {
        // Runs are minutes long: nothing comes near the end of 64 bits.
        let gone = i64::try_from(now.saturating_sub(self.real)).unwrap_or(i64::MAX);
        self.local.saturating_add_signed(gone + gone * self.ppm / MILLION)
    }

    /// How much real time passes until it has gone on by this much; never too little, as a timer never fires early.
    #[must_use]
    pub fn real(&self, local: Micros) -> Micros {
        let rate = u64::try_from(MILLION + self.ppm).unwrap_or(1).max(1);
        (local * 1_000_000).div_ceil(rate) + Micros::from(self.ppm != 0)
    }

    /// Changes its rate from this instant on; what it shows does not jump.
    pub fn set_drift(&mut self, now: Micros, ppm: i64) {
        *self = Self { real: now, local: self.read(now), ppm };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_drifts_and_never_jumps() {
        let mut clock = BootClock::new(100, 5_000, 200);
        assert_eq!(clock.read(100), 5_000);
        assert_eq!(clock.read(100 + 10_000_000), 5_000 + 10_002_000);
        clock.set_drift(10_000_100, -200);
        assert_eq!(clock.read(10_000_100), 10_007_000);
        assert_eq!(clock.read(20_000_100), 10_007_000 + 9_998_000);
    }

    #[test]
    fn a_timer_is_never_early() {
        for ppm in [-50_000, -200, 0, 1, 200, 70_000] {
            let clock = BootClock::new(17, 3, ppm);
            for local in [0, 1, 999, 1_000_001, 7_000_000] {
                let late = clock.read(17 + 5 + clock.real(local)) - clock.read(17 + 5);
                assert!(late >= local && late <= local + 3, "{ppm} {local} {late}");
            }
        }
    }
}
