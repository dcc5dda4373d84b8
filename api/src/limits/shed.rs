//! How many requests are worked on at once. Who comes when all places are taken is turned away at once: waiting would only
//! make everybody late.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Shed {
    places: Arc<Semaphore>,
}

impl Shed {
    /// So many places.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)) }
    }

    /// A place, kept until it is dropped. None where all are taken.
    #[must_use]
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}
