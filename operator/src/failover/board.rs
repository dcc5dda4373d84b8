//! What the arbiter says of who is active and what moves, in memory: group records, journals, holds, requests.
//!
//! Every replica keeps one, from the arbiter alone. Entries only move forward. With each goes since when this replica has seen
//! it on its own boot clock, since no other clock is ever trusted.

use crate::shared::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::records::{DataRecord, GroupRecord, Hold, HoldRecord, JournalSeen, RequestRecord, Versioned};
use tandem_core::drill::is_over;
use tandem_core::failover::ExecutionKind;
use tokio::sync::watch;

/// A group's record as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHeld {
    /// The record.
    pub record: Versioned<GroupRecord>,
    /// Since when this revision of it is seen.
    pub since: Duration,
    /// Since when its epoch is seen.
    pub epoch_since: Duration,
}

/// A journal as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHeld {
    /// The journal.
    pub seen: JournalSeen,
    /// Since when this entry of it is seen.
    pub since: Duration,
}

/// What a site says of a group's data, as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataHeld {
    /// What it says.
    pub record: Versioned<DataRecord>,
    /// Since when it is seen that it says so: also what says the same again is news.
    pub since: Duration,
}

/// Which journal: execution and group.
pub type JournalKey = (String, String);

/// What the arbiter says of who is active and what moves.
#[derive(Debug)]
pub struct Board {
    inner: Shared<Inner>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    groups: BTreeMap<String, GroupHeld>,
    journals: BTreeMap<JournalKey, JournalHeld>,
    holds: BTreeMap<Hold, Versioned<Option<HoldRecord>>>,
    requests: BTreeMap<String, Versioned<RequestRecord>>,
    data: BTreeMap<(String, String), DataHeld>,
    complete: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self { inner: Shared::default(), version: watch::channel(0).0 }
    }
}

impl Board {
    fn tell(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Told of every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Takes in a group's record. Says whether it was news.
    pub fn enter_group(&self, now: Duration, name: &str, record: &Versioned<GroupRecord>) -> bool {
        let mut inner = self.inner.write();
        let before = inner.groups.get(name);
        if before.is_some_and(|held| held.record.revision >= record.revision) {
            return false;
        }
        let same_epoch = before.filter(|held| held.record.value.epoch == record.value.epoch);
        let epoch_since = same_epoch.map_or(now, |held| held.epoch_since);
        inner.groups.insert(name.to_owned(), GroupHeld { record: record.clone(), since: now, epoch_since });
        drop(inner);
        self.tell();
        true
    }

    /// Takes in a journal. Says whether it was news.
    pub fn enter_journal(&self, now: Duration, seen: &JournalSeen) -> bool {
        let key = (seen.journal.execution.clone(), seen.journal.group.clone());
        let mut inner = self.inner.write();
        if inner.journals.get(&key).is_some_and(|held| held.seen.revision >= seen.revision) {
            return false;
        }
        inner.journals.insert(key, JournalHeld { seen: seen.clone(), since: now });
        drop(inner);
        self.tell();
        true
    }

    /// Takes in a hold that was set (also where it cannot be read) or cleared. Says whether it was news.
    pub fn enter_hold(&self, hold: Hold, revision: i64, record: Option<Option<HoldRecord>>) -> bool {
        let mut inner = self.inner.write();
        match record {
            Some(record) if inner.holds.get(&hold).is_none_or(|held| held.revision < revision) => {
                inner.holds.insert(hold, Versioned::new(revision, record));
            }
            None if inner.holds.get(&hold).is_some_and(|held| held.revision < revision) => {
                inner.holds.remove(&hold);
            }
            _ => return false,
        }
        drop(inner);
        self.tell();
        true
    }

    /// Takes in every hold that a list has; what it has not is cleared.
    pub fn list_holds(&self, holds: BTreeMap<Hold, Versioned<Option<HoldRecord>>>) {
        let mut inner = self.inner.write();
        if inner.holds != holds {
            inner.holds = holds;
            drop(inner);
            self.tell();
        }
    }

    /// Takes in a request. Says whether it was news.
    pub fn enter_request(&self, id: &str, record: Versioned<RequestRecord>) -> bool {
        let mut inner = self.inner.write();
        if inner.requests.get(id).is_some_and(|held| held.revision >= record.revision) {
            return false;
        }
        inner.requests.insert(id.to_owned(), record);
        drop(inner);
        self.tell();
        true
    }

    /// Forgets a request that was removed at this revision.
    pub fn forget_request(&self, id: &str, revision: i64) {
        let mut inner = self.inner.write();
        if inner.requests.get(id).is_some_and(|held| held.revision < revision) {
            inner.requests.remove(id);
            drop(inner);
            self.tell();
        }
    }

    /// Forgets a journal that was removed at this revision.
    pub fn forget_journal(&self, key: &JournalKey, revision: i64) {
        let mut inner = self.inner.write();
        if inner.journals.get(key).is_some_and(|held| held.seen.revision < revision) {
            inner.journals.remove(key);
            drop(inner);
            self.tell();
        }
    }

    /// Every journal.
    #[must_use]
    pub fn journals(&self) -> Vec<JournalHeld> {
        self.inner.read().journals.values().cloned().collect()
    }

    /// Says whether all of it is in, and followed.
    pub fn set_complete(&self, complete: bool) {
        let changed = std::mem::replace(&mut self.inner.write().complete, complete) != complete;
        if changed {
            self.tell();
        }
    }

    /// Whether all of it is in, and followed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.inner.read().complete
    }

    /// A group's record.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<GroupHeld> {
        self.inner.read().groups.get(name).cloned()
    }

    /// Every group's record.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<String, GroupHeld> {
        self.inner.read().groups.clone()
    }

    /// One journal.
    #[must_use]
    pub fn journal(&self, execution: &str, group: &str) -> Option<JournalHeld> {
        self.inner.read().journals.get(&(execution.to_owned(), group.to_owned())).cloned()
    }

    /// The journals that are not over.
    #[must_use]
    pub fn open_journals(&self) -> Vec<JournalHeld> {
        self.inner.read().journals.values().filter(|held| !held.seen.journal.over).cloned().collect()
    }

    /// The ids of all executions.
    #[must_use]
    pub fn executions(&self) -> BTreeSet<String> {
        self.inner.read().journals.keys().map(|(execution, _)| execution.clone()).collect()
    }

    /// The groups that some execution moves.
    #[must_use]
    pub fn moving(&self) -> BTreeSet<String> {
        let inner = self.inner.read();
        inner
            .journals
            .values()
            .filter(|held| !held.seen.journal.over)
            .map(|held| held.seen.journal.group.clone())
            .collect()
    }

    /// Takes in what a site says of a group's data; nobody is told where it stands as it stood.
    pub fn enter_data(&self, now: Duration, site: &str, group: &str, record: Versioned<DataRecord>) {
        let mut inner = self.inner.write();
        let key = (site.to_owned(), group.to_owned());
        let before = inner.data.get(&key).map(|held| held.record.clone());
        if before.as_ref().is_some_and(|before| before.revision >= record.revision) {
            return;
        }
        let shows = |record: &DataRecord| record.state.map(|state| (state.role, state.position));
        let news = before.is_none_or(|before| {
            shows(&before.value) != shows(&record.value) || before.value.trouble != record.value.trouble
        });
        inner.data.insert(key, DataHeld { record, since: now });
        drop(inner);
        if news {
            self.tell();
        }
    }

    /// What a site says of a group's data.
    #[must_use]
    pub fn data(&self, site: &str, group: &str) -> Option<DataHeld> {
        self.inner.read().data.get(&(site.to_owned(), group.to_owned())).cloned()
    }

    /// The journals of one execution, by group.
    #[must_use]
    pub fn execution(&self, id: &str) -> BTreeMap<String, JournalHeld> {
        let inner = self.inner.read();
        let of =
            inner.journals.range((id.to_owned(), String::new())..).take_while(|((execution, _), _)| execution == id);
        of.map(|((_, group), held)| (group.clone(), held.clone())).collect()
    }

    /// Every hold.
    #[must_use]
    pub fn holds(&self) -> BTreeMap<Hold, Versioned<Option<HoldRecord>>> {
        self.inner.read().holds.clone()
    }

    /// A request.
    #[must_use]
    pub fn request(&self, id: &str) -> Option<Versioned<RequestRecord>> {
        self.inner.read().requests.get(id).cloned()
    }

    /// Looks at a request where it stands: one of a whole city is large, and is looked at for each of its groups.
    pub fn with_request<T>(&self, id: &str, look: impl FnOnce(&RequestRecord) -> T) -> Option<T> {
        self.inner.read().requests.get(id).map(|held| look(&held.value))
    }

    /// The groups of which a drill may have something in a cluster, at whichever site.
    #[must_use]
    pub fn drilled(&self) -> BTreeSet<String> {
        let inner = self.inner.read();
        inner.requests.values().flat_map(|held| held.value.drill.under_way().cloned()).collect()
    }

    /// The drills that a site rehearses and has not ended.
    #[must_use]
    pub fn drills(&self, site: &str) -> BTreeMap<String, Versioned<RequestRecord>> {
        let open = |record: &RequestRecord| {
            record.kind == ExecutionKind::Drill && record.to == site && !is_over(&record.groups, &record.drill)
        };
        let inner = self.inner.read();
        let drills = inner.requests.iter().filter(|(_, held)| open(&held.value));
        drills.map(|(id, held)| (id.clone(), held.clone())).collect()
    }

    /// Every request.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, Versioned<RequestRecord>> {
        self.inner.read().requests.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_keeps_its_first_sight_and_nothing_goes_back() {
        let board = Board::default();
        let second = Duration::from_secs;
        let record = |revision, epoch| Versioned::new(revision, GroupRecord { epoch, ..GroupRecord::first("dc-a") });
        assert!(board.enter_group(second(1), "g", &record(5, 1)));
        assert!(!board.enter_group(second(2), "g", &record(4, 9)), "older than what is held");
        assert!(board.enter_group(second(3), "g", &record(6, 1)));
        let held = board.group("g").unwrap();
        assert_eq!((held.since, held.epoch_since), (second(3), second(1)));
        assert!(board.enter_group(second(4), "g", &record(7, 2)));
        assert_eq!(board.group("g").unwrap().epoch_since, second(4));
    }

    #[test]
    fn a_hold_that_cannot_be_read_holds_and_an_old_clearing_does_not_clear() {
        let board = Board::default();
        assert!(board.enter_hold(Hold::All, 5, Some(None)));
        assert!(!board.enter_hold(Hold::All, 4, None));
        assert_eq!(board.holds().len(), 1);
        assert!(board.enter_hold(Hold::All, 6, None));
        assert!(board.holds().is_empty());
    }
}
