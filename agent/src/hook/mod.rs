//! A small data service behind the contract of docs/hooks.md: an append-only list of numbers, one process a site.
//!
//! [`store`] has the data and the highest token on disk, [`service`] answers operators and clients, [`follow`] is how a standby
//! follows. Before a number is written, and again before its writer is told, the gate file is
//! asked: that is the switch of a database whose operators are dead.

pub mod follow;
pub mod service;
pub mod store;

pub use service::{Config, Service};
