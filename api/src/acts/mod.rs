//! Doing things: once for each `Idempotency-Key`, at the site that may, with an entry in the audit chain before and after, and
//! answered when it is durable.

mod audited;
mod durable;
mod key;
mod once;

pub(crate) use audited::{Deed, audited};
pub(crate) use durable::durable;
pub(crate) use key::Call;
pub(crate) use once::{Done, Place, once};
