//! What binds an agency is kept as a version in the transaction that publishes it.

use tandem_core::policy::Version;

use super::{Op, SpecChange, Txn};
use crate::records::Key;

/// Adds a version to a publication or a burial. It adds a write and no comparison, as what is written down for the audit chain
/// does (`docs/adr/0008-audit-outbox.md`): the transaction compares the base that the key has, so that the same one sent again
/// writes the same key, and its `mod_revision` is the record's.
pub(crate) fn keep_version(txn: &mut Txn, change: &SpecChange, version: &Version) {
    let (object, id) = (change.record.key().clone(), change.record.id().to_owned());
    txn.then.push(Op::put(Key::Version { object, base: change.base, id }, version));
}
