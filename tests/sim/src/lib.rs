//! A simulator that tries to break the failover protocol (failover.md, sections 6 and 7).
//!
//! A run is a world ([`World`]: processes with the protocol's own logic), a network ([`net`]), a model of etcd ([`etcd`]) and a
//! schedule of faults ([`schedule`]), all of which follow from one seed. There is no real time, no thread and no socket in
//! it, so that a run is repeated exactly and a million of them fit into an hour. After each event the world looks for a broken
//! invariant; a seed that breaks one is made small, printed, and kept under `regressions/`.
//!
//! Everything is deterministic: nothing iterates a hash map or reads a clock.

mod digest;
pub mod engine;
pub mod etcd;
mod fabric;
pub mod kept;
pub mod net;
pub mod run;
pub mod schedule;
pub mod sweep;
mod world;
pub mod worlds;

pub use digest::{Digest, digest};
pub use run::{Report, case_of, describe, run, run_and_look, smallest};
pub use schedule::Case;
pub use world::{Ctx, Happening, Violation, World};
