//! How far this site has applied the arbiter's records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tandem_core::sync::ObjectKey;
use tokio::time::Instant;

/// Which records have been taken in but not been applied here yet.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    open: Arc<Mutex<BTreeMap<ObjectKey, Open>>>,
}

/// The revisions of one object that were taken in and not applied: the oldest of them counts, and the newest closes it.
#[derive(Clone, Copy, Debug)]
struct Open {
    oldest: i64,
    newest: i64,
    since: Instant,
}

impl Progress {
    /// A record was taken in and has to be applied.
    pub fn begun(&self, key: &ObjectKey, revision: i64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let first = Open { oldest: revision, newest: revision, since: Instant::now() };
        open.entry(key.clone()).and_modify(|open| open.newest = revision).or_insert(first);
    }

    /// An object was brought in line with its record of this revision.
    pub fn done(&self, key: &ObjectKey, revision: i64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(key).is_some_and(|open| open.newest <= revision) {
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
        open.values().map(|open| open.oldest - 1).min().map_or(seen, |open| open.min(seen))
    }

    /// For how long the one that has waited longest is not applied; zero where all is.
    #[must_use]
    pub fn waits(&self) -> Duration {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().map(|open| open.since.elapsed()).max().unwrap_or_default()
    }

    /// This replica begins to lead: what it took in before, the one before it may long have applied.
    pub fn begin_to_wait(&self) {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values_mut().for_each(|open| open.since = now);
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

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_counted_from_its_first_revision_and_anew_by_a_new_leader() {
        let (progress, key, second) =
            (Progress::default(), ObjectKey::cluster(Kind::Unit, "a"), Duration::from_secs(1));
        assert_eq!(progress.waits(), Duration::ZERO);
        progress.begun(&key, 11);
        tokio::time::advance(second).await;
        progress.begun(&key, 12);
        progress.done(&key, 11);
        assert_eq!(progress.waits(), second);
        progress.begin_to_wait();
        assert_eq!(progress.waits(), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(progress.waits(), second);
        progress.done(&key, 12);
        assert_eq!(progress.waits(), Duration::ZERO);
    }
}
