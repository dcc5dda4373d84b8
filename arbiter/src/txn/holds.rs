//! Holds, and a replica that leaves.

use super::{Compare, Op, Txn};
use crate::gate::Closed;
use crate::records::{Hold, HoldRecord, Key};

/// Sets or replaces a hold that was read at `known` (0: there was none).
#[must_use]
pub fn set_hold(hold: &Hold, known: i64, record: &HoldRecord) -> Txn {
    let key = Key::Hold(hold.clone());
    Txn {
        compare: vec![Compare::unchanged(&key, known)],
        then: vec![Op::put(&key, record)],
        otherwise: vec![Op::get(&key)],
    }
}

/// Clears a hold as it was read: one that somebody set anew since stays.
#[must_use]
pub fn clear_hold(hold: &Hold, known: i64) -> Txn {
    let key = Key::Hold(hold.clone());
    Txn { compare: vec![Compare::unchanged(&key, known)], then: vec![Op::delete(&key)], otherwise: vec![Op::get(&key)] }
}

/// Deletes a replica's own heartbeat, read or written at `known`, once its gate is closed for good and its site's fence, or
/// the handing over to another replica of the site, has completed. Any other deletion is [`reap`](super::reap).
#[must_use]
pub fn leave(closed: &Closed, known: i64) -> Txn {
    let key = Key::Member { site: closed.site().to_owned(), replica: closed.replica().to_owned() };
    Txn { compare: vec![Compare::unchanged(&key, known)], then: vec![Op::delete(&key)], otherwise: Vec::new() }
}
