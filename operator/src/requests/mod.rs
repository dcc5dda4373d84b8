//! Requests of agencies: what was approved is carried out at the site with authority, and shown at both.
//!
//! Everything is read off what is published: a decision that has not come into the arbiter changes nothing, and whoever takes
//! over authority goes on from the same records.

mod carry;
mod expiry;
mod promises;
mod rules;
mod shown;

pub use carry::run_carrying_out;
pub use expiry::run_expiry;
pub use promises::run_promises;
pub use rules::{run_rules, seen_use, used_by};
pub use shown::show;
