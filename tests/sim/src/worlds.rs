//! The worlds that are simulated.

pub mod failover;
pub mod membership;
