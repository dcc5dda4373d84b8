//! What stands beside a database.
//!
//! [`agent`] keeps the gate file: it asks the site's gates whether the site is active, and takes a fence's token over a local
//! socket. All rules are [`tandem_arbiter::deadman`]'s. [`hook`] is a small data service behind the contract of docs/hooks.md:
//! what the lab runs, and an example of how the switch is asked. [`patroni`] is that contract for PostgreSQL under Patroni. [`log`]
//! keeps all that was asked, [`faults`] are staged by tests, [`tls`] is what all speak with.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agent;
mod contact;
mod disk;
pub mod faults;
pub mod hook;
pub mod log;
pub mod patroni;
pub mod tls;
