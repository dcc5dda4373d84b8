//! What the arbiter says, as one replica has seen it: only forward, and with the time of the first sight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_arbiter::records::{GroupRecord, Hold, JournalSeen, Key, Versioned, decode};
use tandem_arbiter::store::{Event, Range};
use tandem_arbiter::txn::Kv;
use tandem_core::failover::Journal;

#[derive(Clone, Debug)]
pub(super) struct GroupHeld {
    pub(super) record: Versioned<GroupRecord>,
    pub(super) since: Duration,
    pub(super) epoch_since: Duration,
}

#[derive(Clone, Debug)]
pub(super) struct JournalHeld {
    pub(super) seen: JournalSeen,
    pub(super) since: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    pub(super) groups: BTreeMap<String, GroupHeld>,
    /// The same records alone, as the watch of releases takes them.
    pub(super) records: BTreeMap<String, Versioned<GroupRecord>>,
    pub(super) journals: BTreeMap<(String, String), Arc<JournalHeld>>,
    /// The holds; `None` until they were read.
    pub(super) holds: Option<BTreeSet<Hold>>,
    holds_at: BTreeMap<Hold, i64>,
}

impl Board {
    pub(super) fn enter_group(&mut self, now: Duration, name: &str, record: &Versioned<GroupRecord>) -> bool {
        let before = self.groups.get(name);
        if before.is_some_and(|held| held.record.revision >= record.revision) {
            return false;
        }
        let same = before.filter(|held| held.record.value.epoch == record.value.epoch);
        let epoch_since = same.map_or(now, |held| held.epoch_since);
        self.records.insert(name.to_owned(), record.clone());
        self.groups.insert(name.to_owned(), GroupHeld { record: record.clone(), since: now, epoch_since });
        true
    }

    pub(super) fn enter_journal(&mut self, now: Duration, seen: &JournalSeen) -> bool {
        let key = (seen.journal.execution.clone(), seen.journal.group.clone());
        if self.journals.get(&key).is_some_and(|held| held.seen.revision >= seen.revision) {
            return false;
        }
        self.journals.insert(key, Arc::new(JournalHeld { seen: seen.clone(), since: now }));
        true
    }

    /// A list of all holds: what it has not is cleared, unless it was set later.
    pub(super) fn list_holds(&mut self, range: &Range) {
        let listed: BTreeSet<Hold> = range.kvs.iter().filter_map(|kv| hold(&kv.key)).collect();
        let later: Vec<Hold> = self
            .holds
            .iter()
            .flatten()
            .filter(|hold| self.holds_at.get(hold).is_some_and(|at| *at > range.revision))
            .cloned()
            .collect();
        self.holds = Some(listed.into_iter().chain(later).collect());
    }

    pub(super) fn enter_hold(&mut self, event: &Event) {
        let Some(hold) = hold(event.key()) else { return };
        let at = self.holds_at.entry(hold.clone()).or_default();
        if *at > event.revision() {
            return;
        }
        *at = event.revision();
        let holds = self.holds.get_or_insert_default();
        match event {
            Event::Put(_) => drop(holds.insert(hold)),
            Event::Delete { .. } => drop(holds.remove(&hold)),
        }
    }

    pub(super) fn open(&self) -> Vec<Arc<JournalHeld>> {
        self.journals.values().filter(|held| !held.seen.journal.over).cloned().collect()
    }
}

fn hold(key: &str) -> Option<Hold> {
    match key.parse() {
        Ok(Key::Hold(hold)) => Some(hold),
        _ => None,
    }
}

pub(super) fn group_of(kv: &Kv) -> Option<(String, Versioned<GroupRecord>)> {
    match kv.key.parse() {
        Ok(Key::Group(name)) => Some((name, Versioned::new(kv.mod_revision, decode(&kv.value).ok()?))),
        _ => None,
    }
}

pub(super) fn journal_of(kv: &Kv) -> Option<JournalSeen> {
    let journal: Journal = decode(&kv.value).ok()?;
    Some(JournalSeen { revision: kv.mod_revision, created: kv.create_revision, journal })
}
