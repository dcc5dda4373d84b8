//! How often each of many may ask: the generic cell rate algorithm, by governor, on a clock that is passed in.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Reads a clock that only goes forward.
#[derive(Clone)]
pub struct Monotonic(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Monotonic {
    /// The clock that this reads.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The process's own, from now on.
    #[must_use]
    pub fn of_process() -> Self {
        let start = std::time::Instant::now();
        Self::new(move || start.elapsed())
    }
}

impl std::fmt::Debug for Monotonic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Monotonic")
    }
}

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

/// After so many questions those are forgotten who have not asked for a while.
const FORGET_EVERY: u32 = 1_024;

/// How often each of many may ask.
pub struct Rates<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, Monotonic, NoOpMiddleware<Duration>>,
    clock: Monotonic,
    asked: AtomicU32,
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Rates<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("known", &self.limiter.len()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// So many a second, and so many at once after a pause.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32, clock: Monotonic) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { limiter, clock, asked: AtomicU32::new(0) }
    }

    /// Takes one of what somebody is allowed.
    ///
    /// # Errors
    /// After how long there is one, where there is none.
    pub fn take(&self, who: &K) -> Result<(), Duration> {
        // What is kept must not grow with every address that ever asked.
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(who).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// How many are remembered.
    #[must_use]
    pub fn known(&self) -> usize {
        self.limiter.len()
    }
}
