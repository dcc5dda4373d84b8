//! The entry of the audit chain that rides in an action's own transaction; and the entries of what was done before.

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

/// Enters what waits into the chain: the entries, the head after the last of them, and the deletion of each that waited under
/// its key and revision. It compares the head that the first was made from and every key that is deleted: of two that enter the
/// same, one does, and one that is sent again enters nothing twice.
///
/// Where a comparison fails, the answer reads the head, then whatever stands under the first entry's number, then the keys.
#[must_use]
pub fn enter(revision: i64, entries: &[(Entry, Key, i64)]) -> Txn {
    let Some(((first, ..), (last, ..))) = entries.first().zip(entries.last()) else { return Txn::default() };
    let head = Key::AuditHead(first.site.clone());
    let under = |entry: &Entry| Key::AuditEntry { site: entry.site.clone(), seq: entry.seq };
    let mut txn = Txn {
        compare: vec![Compare::unchanged(&head, revision)],
        then: vec![Op::put(&head, &last.head())],
        otherwise: vec![Op::get(&head), Op::get(under(first))],
    };
    for (entry, pending, known) in entries {
        txn.compare.push(Compare::absent(under(entry)));
        txn.compare.push(Compare::unchanged(pending, *known));
        txn.then.push(Op::put(under(entry), entry));
        txn.then.push(Op::delete(pending));
        txn.otherwise.push(Op::get(pending));
    }
    txn
}
