//! Doing things: once for each `Idempotency-Key`, at the site that may, with an entry in the audit chain before and after, and
//! answered when it is durable.

mod audited;
mod durable;
mod key;
mod once;
mod rules;

pub(crate) use audited::{Deed, audited};
pub(crate) use durable::{buried, durable};
pub(crate) use key::{Call, Question};
pub(crate) use once::{Done, Place, once};
pub(crate) use rules::{faults, faults_of_change, named};
