//! The inequality on which the whole take-over rests.

use std::time::Duration;

use crate::membership::Timing;

/// What may pass between a site's deadline and the moment at which nothing at the site writes any more.
///
/// The rule is `T_f + cut + drift < T`. The holder's gate closes `T_f = 0.7 T` after the *sending* of the last heartbeat
/// that was answered. Another site takes over no sooner than `T` after it first *saw* that heartbeat's revision, which was
/// later. In between, everything that acts for the holder has to stop: the balancer, which asks the gate every
/// `check_interval` and takes up to `check_timeout` to find that no answer comes, and the writers, which a provider cuts off
/// within `provider_cut`. The two follow the closed gate side by side, but a writer that reached the database just before the
/// balancer turned is cut only afterwards: they are added. `drift` is how much the two sites' boot clocks may differ over
/// `T`. A guest that is paused longer than what is left stands outside of this, and operators are told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutBudget {
    /// From one question of the balancer to the next (`inter`); at most `T/20`.
    pub check_interval: Duration,
    /// How long the balancer waits for an answer (`timeout check`); at most `T/20`.
    pub check_timeout: Duration,
    /// The longest that any provider needs to cut writers.
    pub provider_cut: Duration,
    /// How much two boot clocks may differ over `T`.
    pub drift: Duration,
}

/// Times with which two sites could be active at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeTiming {
    /// The balancer asks too seldom or waits too long.
    #[error(
        "the balancer's {what} is {found:?}, at most T/20 = {most:?} is safe; shorten it or lengthen heartbeatSeconds"
    )]
    Balancer {
        /// `inter` or `timeout check`.
        what: &'static str,
        /// What was given.
        found: Duration,
        /// What is possible.
        most: Duration,
    },
    /// The inequality does not hold.
    #[error("T_f + cut + drift = {sum:?} is not below T = {t:?}; shorten the cut or lengthen heartbeatSeconds")]
    Sum {
        /// The left side.
        sum: Duration,
        /// The right side.
        t: Duration,
    },
}

impl CutBudget {
    /// What a platform may count on with any `T`: checks of `T/20` each, `T/8` to cut, and a drift of 1,000 parts per
    /// million, which is twice what the kernel lets a clock be slewed: `0.7 + 0.1 + 0.125 + 0.001 < 1`.
    #[must_use]
    pub fn usual(timing: Timing) -> Self {
        let t = timing.t();
        Self { check_interval: t / 20, check_timeout: t / 20, provider_cut: t / 8, drift: t / 1_000 }
    }

    /// How long writers and balancer take to stop: `cut`.
    #[must_use]
    pub fn cut(&self) -> Duration {
        self.check_interval.saturating_add(self.check_timeout).saturating_add(self.provider_cut)
    }

    /// Whether nothing writes any more before another site may take over.
    ///
    /// # Errors
    /// [`UnsafeTiming`]; an operator does not start with such times.
    pub fn check(&self, timing: Timing) -> Result<(), UnsafeTiming> {
        let most = timing.t() / 20;
        for (what, found) in [("inter", self.check_interval), ("timeout check", self.check_timeout)] {
            if found > most {
                return Err(UnsafeTiming::Balancer { what, found, most });
            }
        }
        let sum = timing.fence().saturating_add(self.cut()).saturating_add(self.drift);
        if sum < timing.t() { Ok(()) } else { Err(UnsafeTiming::Sum { sum, t: timing.t() }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_times_are_safe_with_every_t(millis in 1_000u64..60_000) {
            let timing = Timing::from_heartbeat(Duration::from_millis(millis)).unwrap();
            prop_assert_eq!(CutBudget::usual(timing).check(timing), Ok(()));
        }
    }

    #[test]
    fn what_is_too_slow_is_refused_with_the_way_out() {
        let timing = Timing::from_heartbeat(Duration::from_secs(2)).unwrap();
        let usual = CutBudget::usual(timing);
        let slow = CutBudget { provider_cut: Duration::from_secs(2), ..usual };
        let error = slow.check(timing).unwrap_err();
        assert!(matches!(error, UnsafeTiming::Sum { .. }) && error.to_string().contains("heartbeatSeconds"), "{error}");
        // Exactly T is not below T.
        let edge =
            CutBudget { provider_cut: Duration::from_micros(1_990_000), drift: Duration::from_millis(10), ..usual };
        assert!(matches!(edge.check(timing), Err(UnsafeTiming::Sum { .. })));
        let seldom = CutBudget { check_interval: Duration::from_secs(1), ..usual };
        assert!(matches!(seldom.check(timing), Err(UnsafeTiming::Balancer { what: "inter", .. })));
    }
}
