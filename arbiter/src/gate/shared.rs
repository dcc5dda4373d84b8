//! One gate for the heartbeat, the watches and the HTTP server of a replica.

use std::sync::{Arc, Mutex, PoisonError};

use super::Gate;

/// A gate that several tasks use. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedGate(Arc<Mutex<Gate>>);

impl SharedGate {
    /// Shares a gate.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        Self(Arc::new(Mutex::new(gate)))
    }

    /// Looks at the gate, or feeds it. Whatever runs here must be short and must not wait: the balancer is asking.
    pub fn with<T>(&self, act: impl FnOnce(&mut Gate) -> T) -> T {
        // A gate whose feeder panicked half-way is still bounded by its deadline.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
