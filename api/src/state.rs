//! What the handlers need.

use crate::objects::Objects;
use jiff::Timestamp;
use std::sync::Arc;

/// Reads the wall clock. Tests pass another.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// The site's objects.
    pub objects: Arc<dyn Objects>,
    /// Which parts are up.
    pub readiness: crate::health::Readiness,
    /// What is counted.
    pub metrics: crate::metrics::Metrics,
    /// The site whose API this is.
    pub site: Arc<str>,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("site", &self.site).finish_non_exhaustive()
    }
}
