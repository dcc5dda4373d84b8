//! The arbiter: the only thing that both sites share.
//!
//! [`records`] are what stands in it, [`txn`] how it is changed (as plain data), [`store`] where it is kept, [`membership`]
//! who may act for a site, and [`Arbiter`] the operations that an operator calls.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arbiter;
pub mod clock;
pub mod membership;
pub mod records;
pub mod store;
pub mod txn;

pub use arbiter::Arbiter;
