//! The operator of one site.
//!
//! It talks to two things only: its own site's Kubernetes API and the arbiter. Between them it does three things, each with
//! a queue of its own: it brings the site's objects and the arbiter's records together ([`sync`]), it provisions what the
//! records ask for ([`controllers`]), and it folds what the sites say into the status that people read ([`status`]).
//!
//! Every replica keeps the same picture in memory ([`index`], [`cluster::Mirror`]); only the one that leads its site writes,
//! and it asks whether it still leads before every write.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accept;
pub mod alarms;
pub mod audit;
pub mod cluster;
pub mod config;
pub mod context;
pub mod controllers;
pub mod drills;
pub mod failover;
pub mod findings;
pub mod gate;
pub mod http;
pub mod index;
pub mod link;
pub mod metrics;
pub mod pause;
pub mod progress;
pub mod providers;
pub mod queue;
pub mod requests;
pub mod run;
mod shared;
pub mod status;
pub mod sync;
mod trace;
