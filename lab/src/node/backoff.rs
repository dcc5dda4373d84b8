//! How long a container that ended waits before it is started again.

use std::time::Duration;

/// First wait, after the one restart that is immediate.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length forgives what was before.
const FORGIVEN_AFTER: Duration = Duration::from_secs(120);

/// The waits of one container: none, 1 s, 2 s, 4 s … 60 s. (As the kubelet's with `maxContainerRestartPeriod: 60s`; its
/// default of 10 s to 5 min would make every staged fault a coffee break.)
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// How long to wait now, after a run that lasted `ran`.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= FORGIVEN_AFTER {
            self.next = Duration::ZERO;
        }
        let wait = self.next;
        self.next = if wait.is_zero() { FIRST } else { (wait * 2).min(LONGEST) };
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_cap_and_forgives() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| backoff.after(Duration::from_secs(1)).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.after(FORGIVEN_AFTER).as_secs(), 0);
        assert_eq!(backoff.after(Duration::ZERO).as_secs(), 1);
    }
}
