//! How far this site has applied the arbiter's records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tandem_core::sync::ObjectKey;

/// Which records have been taken in but not been applied here yet.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    open: Arc<Mutex<BTreeMap<ObjectKey, (i64, i64)>>>,
}

impl Progress {
    /// A record was taken in and has to be applied.
    pub fn begun(&self, key: &ObjectKey, revision: i64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest that is still open counts, and the newest is what closes it.
        open.entry(key.clone()).and_modify(|(_, newest)| *newest = revision).or_insert((revision, revision));
    }

    /// An object was brought in line with its record of this revision.
    pub fn done(&self, key: &ObjectKey, revision: i64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(key).is_some_and(|(_, newest)| *newest <= revision) {
            open.remove(key);
        }
    }

    /// A record is gone from the arbiter: there is nothing left to apply.
    pub fn forget(&self, key: &ObjectKey) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The revision up to which everything is applied, where everything up to `seen` has been taken in.
    #[must_use]
    pub fn applied(&self, seen: i64) -> i64 {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().map(|(oldest, _)| oldest - 1).min().map_or(seen, |open| open.min(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_crds::Kind;

    #[test]
    fn the_oldest_open_record_holds_the_rest_back() {
        let progress = Progress::default();
        let (a, b) = (ObjectKey::cluster(Kind::Unit, "a"), ObjectKey::cluster(Kind::Unit, "b"));
        assert_eq!(progress.applied(10), 10);
        progress.begun(&a, 11);
        progress.begun(&b, 12);
        progress.begun(&a, 13);
        assert_eq!(progress.applied(13), 10);
        progress.done(&a, 11);
        assert_eq!(progress.applied(13), 10);
        progress.done(&a, 13);
        assert_eq!(progress.applied(13), 11);
        progress.done(&b, 12);
        assert_eq!(progress.applied(13), 13);
    }

    #[test]
    fn what_was_collected_is_not_waited_for() {
        // A replica that does not lead takes records in and applies none. When it leads, the tombstones are long collected.
        let (progress, key) = (Progress::default(), ObjectKey::cluster(Kind::Unit, "a"));
        progress.begun(&key, 11);
        progress.forget(&key);
        assert_eq!(progress.applied(20), 20);
    }
}
