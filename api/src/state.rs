//! What the handlers need.

use crate::coordination::Coordination;
use crate::objects::{Objects, Writer};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Reads the wall clock. Tests pass another.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Gives a number that is never given twice. Tests pass others.
pub type Random = Arc<dyn Fn() -> u128 + Send + Sync>;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// The site's objects, as they were last seen.
    pub objects: Arc<dyn Objects>,
    /// The site's API server.
    pub writer: Arc<dyn Writer>,
    /// What both sites share.
    pub coordination: Arc<dyn Coordination>,
    /// Which parts are up.
    pub readiness: crate::health::Readiness,
    /// What is counted.
    pub metrics: crate::metrics::Metrics,
    /// The site whose API this is.
    pub site: Arc<str>,
    /// Where each site's API is reached.
    pub addresses: Arc<BTreeMap<String, String>>,
    /// For how long it is waited until what was written is durable.
    pub patience: Duration,
    /// How many streams of events there may be at once.
    pub streams: Arc<Semaphore>,
    /// Cancelled when the process stops.
    pub stopping: CancellationToken,
    /// What is being done, also for those who have gone meanwhile.
    pub running: TaskTracker,
    /// The wall clock.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl AppState {
    /// Now, to the second, as the API server keeps times.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// An id that is never used twice.
    #[must_use]
    pub fn random_id(&self) -> String {
        format!("{:032x}", (self.random)())
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("site", &self.site).finish_non_exhaustive()
    }
}
