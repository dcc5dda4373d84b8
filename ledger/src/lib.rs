//! `tandem-ledger`: a small HTTP service on PostgreSQL. It appends entries and reads them back.
//!
//! It is what a service has to be for the dead-man switch to hold (failover.md, section 2): a writer is told *accepted* only after
//! COMMIT **and** a check of the gate after it; *refused* only where nothing was written; and *unknown* in every other case.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod database;
pub mod log;
pub mod service;
pub mod settings;
