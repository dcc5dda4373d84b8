//! Tandem's rules: what is rendered from a resource, who may take how much of a budget, and what has to be published
//! or followed.
//!
//! Nothing in this crate talks to anything: no Kubernetes client, no etcd, no runtime, no clock and no randomness. Time
//! and random values are arguments, so that every rule can be tested as a function.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
pub mod balancer;
pub mod check;
pub mod drift;
pub mod drill;
pub mod failover;
pub mod findings;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod patroni;
pub mod plan;
pub mod policy;
pub mod render;
pub mod report;
pub mod requests;
pub mod sync;
pub mod trace;
