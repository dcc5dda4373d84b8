//! What stands beside a database.
//!
//! [`agent`] keeps the gate file: it asks the site's gates whether the site is active, and takes a fence's token over a local
//! socket. All rules are [`tandem_arbiter::deadman`]'s. [`hook`] is a small data service behind the contract of docs/hooks.md:
//! what the lab runs, and an example of how the switch is asked. [`tls`] is what both speak with.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agent;
pub mod hook;
pub mod tls;
