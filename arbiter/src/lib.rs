//! The arbiter: the only thing that both sites share.
//!
//! [`records`] are what stands in it, [`txn`] how it is changed (as plain data), [`store`] where it is kept, [`membership`]
//! who may act for a site, and [`Arbiter`] the operations that an operator calls. [`peers`] watches the other site, [`gate`]
//! says at once who is active here, [`deadman`] is the agent beside a database, [`hooks`] what is said to the service that moves a group's data, and [`pins`] tell a restored arbiter from
//! the one that was known. All of these are pure: time and answers are passed in, so that an operator and a simulator drive
//! the same logic.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arbiter;
pub mod clock;
pub mod deadman;
mod files;
pub mod gate;
pub mod guards;
pub mod health;
pub mod hooks;
pub mod membership;
pub mod peers;
pub mod pins;
pub mod records;
pub mod store;
#[cfg(test)]
mod testing;
pub mod txn;

pub use arbiter::Arbiter;
