//! The entry of the audit chain that rides in an action's own transaction.

use tandem_core::audit::Entry;

use super::{Compare, Op, Txn};
use crate::records::Key;

/// An entry, and the head that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPut {
    /// `mod_revision` of the chain's head; 0 where there is none yet.
    pub revision: i64,
    /// The entry.
    pub entry: Entry,
}

/// The transaction with the entry: both or neither. It compares the head that the entry was made from, so that of two
/// entries that would follow the same one only one is written: no fork, and no gap.
///
/// Where a comparison fails, the answer reads what the action's transaction reads, and then the head and whatever stands
/// under the entry's number.
#[must_use]
pub fn audited(action: &Txn, put: &AuditPut) -> Txn {
    let site = &put.entry.site;
    let head = Key::AuditHead(site.clone());
    let entry = Key::AuditEntry { site: site.clone(), seq: put.entry.seq };
    let mut txn = action.clone();
    txn.compare.push(Compare::unchanged(&head, put.revision));
    txn.compare.push(Compare::absent(&entry));
    txn.then.push(Op::put(&entry, &put.entry));
    txn.then.push(Op::put(&head, &put.entry.head()));
    txn.otherwise.push(Op::get(&head));
    txn.otherwise.push(Op::get(&entry));
    txn
}
