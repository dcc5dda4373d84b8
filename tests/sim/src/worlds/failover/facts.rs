//! What really happened, in real time and in the arbiter's own order, and which invariant that breaks (failover.md, section 6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_arbiter::records::{ConflictRecord, GroupRecord, Hold, Key, Phase, Record, Versioned, decode, decode_spec};
use tandem_arbiter::store::mvcc::Change;
use tandem_arbiter::txn::Kv;
use tandem_arbiter::txn::holds;
use tandem_core::failover::{ExecutionKind, Journal, Outcome, Side, Step, Token};

use super::Msg;
use super::board::{group_of, journal_of};
use super::publish::{self, Edits};
use super::setup::GROUPS;
use crate::engine::{Micros, seconds};
use crate::net::Place;
use crate::world::{Ctx, Violation};

/// A write that was acknowledged to its client.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    place: Place,
    epoch: u64,
    begun: Micros,
    answered: Micros,
    position: u64,
}

/// What really happened.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The committed record of each group.
    pub records: BTreeMap<String, Versioned<GroupRecord>>,
    /// The committed journals, by execution and group.
    pub journals: BTreeMap<(String, String), Journal>,
    /// How many writes of each group were acknowledged at each site, and when the last one was.
    pub accepted: BTreeMap<(usize, Place), (u64, Micros)>,
    /// When a writer was last refused.
    pub refused: BTreeMap<(usize, Place), Micros>,
    /// When each epoch was committed, in real time.
    pub epochs: BTreeMap<(String, u64), (Micros, String)>,
    /// What became of what people edited.
    pub edits: Edits,
    /// Calls that were refused because of their token.
    pub refused_calls: u64,
    /// The order in which groups were taken or claimed, with the site.
    pub moved: Vec<(String, String)>,
    pub(super) violation: Option<Violation>,
    rpo: Duration,
    holds: BTreeSet<Hold>,
    scanned: i64,
    cluster: usize,
    writes: BTreeMap<usize, Vec<Accepted>>,
    dirty: bool,
}

impl Facts {
    pub(super) fn new(rpo: Duration) -> Self {
        Self { rpo, ..Self::default() }
    }

    fn broken(&mut self, invariant: &'static str, what: String) {
        self.violation.get_or_insert(Violation::new(invariant, what));
    }

    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// Whether anything happened at a replica since this was last asked.
    pub(super) fn touched(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Follows the arbiter's history, in its order.
    pub(super) fn follow(&mut self, ctx: &Ctx<Msg>) {
        // After a restore the newest cluster is the one that counts.
        let Some(cluster) = ctx.clusters().get(self.cluster) else { return };
        let revision = cluster.store().revision();
        if revision <= self.scanned {
            return;
        }
        let from = self.scanned + 1;
        self.scanned = revision;
        for written in cluster.store().written(from) {
            let puts = written.changes.iter().filter_map(|change| match change {
                Change::Put(kv) => Some(kv),
                Change::Delete(_) => None,
            });
            let puts: Vec<&Arc<Kv>> = puts.filter(|kv| !is_member(&kv.key)).collect();
            // Journals first: a record and its journal are written together.
            for kv in &puts {
                if let Ok(Key::Journal { .. }) = kv.key.parse()
                    && let Some(seen) = journal_of(kv)
                {
                    self.journal(seen.journal);
                }
            }
            for kv in puts {
                match kv.key.parse() {
                    Ok(Key::Group(_)) => {
                        if let Some((name, record)) = group_of(kv) {
                            self.record(ctx.now(), name, record);
                        }
                    }
                    Ok(Key::Hold(hold)) => drop(self.holds.insert(hold)),
                    Ok(Key::Spec(key)) => {
                        if let Ok(Record::Live(record)) = decode_spec(&key, &kv.value) {
                            self.edits.published.extend(publish::number(&record.spec));
                        }
                    }
                    Ok(Key::Conflict(_)) => {
                        let record = decode::<ConflictRecord>(&kv.value).ok();
                        self.edits.conflicts.extend(record.and_then(|record| publish::number(&record.local)));
                    }
                    _ => {}
                }
            }
            for change in &written.changes {
                let Change::Delete(key) = change else { continue };
                match key.parse() {
                    Ok(Key::Hold(hold)) => drop(self.holds.remove(&hold)),
                    Ok(Key::Group(_)) => {
                        let what = format!("{key} was deleted");
                        self.broken("I2 epochs only grow", what);
                    }
                    _ => {}
                }
            }
        }
    }

    fn journal(&mut self, next: Journal) {
        let key = (next.execution.clone(), next.group.clone());
        if let Some(before) = self.journals.get(&key)
            && next.entry <= before.entry
        {
            let what = format!("{key:?} went from entry {} to {}", before.entry, next.entry);
            self.broken("I9 entries only grow", what);
        }
        if self.journals.get(&key).is_some_and(|before| before.over && !next.over) {
            self.broken("I9 entries only grow", format!("{key:?} was over and goes on"));
        }
        self.journals.insert(key, next);
    }

    fn record(&mut self, now: Micros, name: String, next: Versioned<GroupRecord>) {
        let (new, before) = (&next.value, self.records.get(&name).map(|record| record.value.clone()));
        let Some(old) = before else {
            self.epochs.insert((name.clone(), new.epoch), (now, new.active.clone()));
            self.records.insert(name, next);
            return;
        };
        if new.epoch < old.epoch || new.epoch > old.epoch + 1 || (new.epoch == old.epoch && new.active != old.active) {
            self.broken("I2 epochs only grow", format!("{name}: {old:?} became {new:?}"));
        }
        if old.execution != new.execution
            && let (Some(was), Some(_)) = (&old.execution, &new.execution)
        {
            let over = self.journals.get(&(was.clone(), name.clone())).is_some_and(|journal| journal.over);
            if !over {
                self.broken("I10 one execution a group", format!("{name}: {was} was not over: {new:?}"));
            }
        }
        if new.epoch > old.epoch {
            self.epochs.insert((name.clone(), new.epoch), (now, new.active.clone()));
            if new.active != old.active {
                self.moved.push((name.clone(), new.active.clone()));
                self.promotes(&name, new);
            }
        }
        self.records.insert(name, next);
    }

    /// A group is committed to another site.
    fn promotes(&mut self, name: &str, new: &GroupRecord) {
        if let Some(hold) = holds(name, &new.active).into_iter().find(|hold| self.holds.contains(hold)) {
            self.broken("I7 a hold is never broken", format!("{name} moved to {} under {hold:?}", new.active));
        }
        let journal = new.execution.as_ref().and_then(|id| self.journals.get(&(id.clone(), name.to_owned())));
        let proven = journal.is_some_and(|journal| journal.fence_proof().is_some());
        if !proven {
            self.broken("I3 no promotion before the fence", format!("{name} to {}: {journal:?}", new.active));
        }
    }

    /// A write was acknowledged.
    pub(super) fn accept(&mut self, now: Micros, group: usize, place: Place, epoch: u64, begun: Micros, position: u64) {
        let entry = self.accepted.entry((group, place)).or_default();
        *entry = (entry.0 + 1, now);
        let name = GROUPS[group].0;
        let elsewhere = self
            .records
            .get(name)
            .map(|record| &record.value)
            .filter(|record| record.phase == Phase::Held && record.active != place.site() && record.epoch > epoch);
        if let Some(record) = elsewhere {
            let what = format!(
                "{name}: a write of {} was acknowledged at {} under epoch {epoch}; {} holds it under {}",
                seconds(begun),
                place.site(),
                record.active,
                record.epoch
            );
            self.broken("I1 no write beside another holder", what);
        }
        // A site that lets a group go and takes it back, with nobody in between, holds it as one: what was under way at its own
        // database may end under the later of the two epochs.
        let epochs = &self.epochs;
        let held = |epoch: u64| epochs.get(&(name.to_owned(), epoch)).is_some_and(|(_, holder)| holder == place.site());
        let through = |one: u64, other: u64| (one.min(other)..=one.max(other)).all(held);
        let writes = self.writes.entry(group).or_default();
        let this = Accepted { place, epoch, begun, answered: now, position };
        let crossing = writes.iter().rev().take(64).find(|other| {
            let crosses = (other.epoch > epoch && other.begun < now)
                || (other.epoch < epoch && other.answered > begun)
                || (other.epoch == epoch && other.place != place);
            crosses && !(other.place == place && through(epoch, other.epoch))
        });
        if let Some(other) = crossing {
            let what = format!("{name}: {this:?} and {other:?}");
            self.violation.get_or_insert(Violation::new("I1 no overlapping epochs", what));
        }
        writes.push(this);
    }

    pub(super) fn refused(&mut self, now: Micros, group: usize, place: Place) {
        self.refused.insert((group, place), now);
    }

    /// A provider makes data writable.
    pub(super) fn promoted(&mut self, now: Micros, group: usize, place: Place, token: Token, position: u64) {
        let name = GROUPS[group].0;
        match self.epochs.get(&(name.to_owned(), token.epoch)) {
            Some((_, holder)) if holder == place.site() => {}
            other => {
                let what = format!("{name} was promoted at {} under {token:?}: {other:?}", place.site());
                self.broken("I3 no promotion before its epoch", what);
            }
        }
        let current = self.records.get(name).is_some_and(|record| record.value.epoch == token.epoch);
        if !current {
            return;
        }
        // What was acknowledged and is not there, among what no earlier promotion has lost already.
        let writes = self.writes.entry(group).or_default();
        let lost: Vec<&Accepted> = writes.iter().filter(|w| w.epoch < token.epoch && w.position > position).collect();
        let execution = self.records.get(name).and_then(|record| record.value.execution.clone());
        let journal = execution.and_then(|id| self.journals.get(&(id, name.to_owned())));
        let kind = journal.map(|journal| journal.kind);
        let broken = match (lost.first(), lost.last(), kind) {
            (Some(first), Some(last), Some(ExecutionKind::Failover)) => {
                let open = Duration::from_micros(last.answered - first.begun);
                (open > self.rpo).then(|| format!("{name}: {open:?} were lost at {}", seconds(now)))
            }
            (Some(first), _, _) => {
                Some(format!("{name}: a planned move loses {first:?}, {} has {position}", place.site()))
            }
            _ => None,
        };
        writes.retain(|write| write.epoch >= token.epoch || write.position <= position);
        let keep = writes.len().saturating_sub(512);
        writes.drain(..keep);
        if let Some(what) = broken {
            self.broken("I5 the RPO is never passed in silence", what);
        }
    }

    /// A provider serves again after an abort.
    pub(super) fn resumed(&mut self, group: usize, place: Place, token: Token) {
        let name = GROUPS[group].0;
        let holder = self.epochs.get(&(name.to_owned(), token.epoch)).map(|(_, holder)| holder.clone());
        if holder.as_deref() != Some(place.site()) {
            let what = format!("{name} was resumed at {} under {token:?}: {holder:?}", place.site());
            self.broken("I3 no promotion before its epoch", what);
        }
    }

    /// Looks at who answers 200: the sites, for one group.
    pub(super) fn active(&mut self, group: usize, sites: [bool; 2]) {
        let name = GROUPS[group].0;
        if sites == [true; 2] {
            self.broken("I1 one active site", format!("{name}: {{A, B}} answer 200"));
        }
        let Some(record) = self.records.get(name).map(|record| &record.value) else { return };
        let foreign = |(place, on): &(Place, bool)| *on && record.phase == Phase::Held && place.site() != record.active;
        if let Some((site, _)) = [(Place::A, sites[0]), (Place::B, sites[1])].into_iter().find(foreign) {
            let what =
                format!("{name}: {} answers 200, {} holds it under epoch {}", site.site(), record.active, record.epoch);
            self.broken("I6 traffic only to the holder", what);
        }
    }

    /// A replica overwrote an edit at a site: it has to be somewhere else.
    pub(super) fn overwritten(&mut self, place: Place, edit: u64) {
        if !self.edits.published.contains(&edit) && !self.edits.conflicts.contains(&edit) {
            let what = format!("edit {edit} at {} was overwritten: {:?}", place.site(), self.edits);
            self.broken("nothing is lost in silence", what);
        }
    }

    /// What has to be at the end.
    pub(super) fn settled(&self) -> Result<(), Violation> {
        let wrong = |what: String| Err(Violation::new("I12 all ends well", what));
        for (name, record) in &self.records {
            if record.value.phase != Phase::Held {
                return wrong(format!("{name} is held by nobody: {:?}", record.value));
            }
        }
        for ((execution, group), journal) in &self.journals {
            let ended = journal.over || (Step::Completed..=Step::Protected).contains(&journal.step);
            let aside = matches!(journal.side, Some(Side::Blocked { .. } | Side::NeedsHuman { .. } | Side::Paused))
                || journal.step == Step::AwaitingApproval;
            if !ended && !aside {
                return wrong(format!("{execution} of {group} stands at {:?}", journal.step));
            }
        }
        Ok(())
    }

    /// The newest journal of a group that people or Tandem made.
    #[must_use]
    pub fn journal_of(&self, group: &str) -> Option<&Journal> {
        self.journals.iter().filter(|((_, name), _)| name == group).map(|(_, journal)| journal).max_by_key(|j| j.epoch)
    }

    /// Whether a group was given back after a step had begun, and nothing failed on the way back.
    #[must_use]
    pub fn rolled_back(&self, group: &str) -> bool {
        self.journals.values().any(|journal| {
            let done = journal.evidence.last().is_some_and(|last| last.outcome != Some(Outcome::SkippedNoData));
            journal.group == group && journal.step == Step::RolledBack && journal.over && done
        })
    }

    /// After a restore another cluster is the arbiter.
    pub(super) fn follow_cluster(&mut self, cluster: usize) {
        if cluster != self.cluster {
            self.cluster = cluster;
            self.scanned = i64::MAX;
        }
    }
}

/// Most of what is written are heartbeats, which are nothing to these facts.
fn is_member(key: &str) -> bool {
    key.starts_with(SITES)
}

const SITES: &str = "/tandem/v1/sites/";
