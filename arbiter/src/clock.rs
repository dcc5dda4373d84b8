//! A monotonic clock that goes on while the machine sleeps, as the deadlines of failover.md, section 1, are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock whose readings only grow and that nobody sets.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The time since an origin that does not change while the process lives.
    fn now(&self) -> Duration;
}

/// The time since the machine was started, sleep included (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Duration {
        // Linux has had this clock since 2.6.39. Without it no deadline can be counted and nothing may be held: the largest
        // reading is past every deadline.
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
    }
}

/// Which boot of this machine [`BootClock`] counts from: readings of two boots must never be compared.
///
/// # Errors
/// Where the kernel does not tell; then whatever is bound to a boot must refuse.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A clock that is moved by hand. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    millis: Arc<AtomicU64>,
}

impl ManualClock {
    /// Moves the clock forward, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_goes_forward() {
        let first = BootClock.now();
        assert!(first < Duration::MAX);
        assert!(BootClock.now() >= first);
    }

    #[test]
    fn the_boot_has_one_name() {
        let name = boot_id().unwrap();
        assert!(!name.is_empty() && !name.contains(char::is_whitespace));
        assert_eq!(boot_id().unwrap(), name);
    }
}
