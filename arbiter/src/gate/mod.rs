//! The gate: whether this site is active for a group, from memory and at once, as failover.md, sections 2 and 3, has it.
//!
//! A replica's gate is passive after every start. It opens with the first heartbeat that counts, since the answer to it
//! brings `groups/`, and closes by itself `T_f` after the sending of the last one: nobody has to come and close it. Every
//! group record that the replica sees is fed to it, wherever it comes from.
//!
//! The gate refuses where it does not know: a record that is missing, an execution whose journal it has not seen under an
//! epoch that it has not served under, an arbiter that is not the one known.

mod answer;
mod budget;
mod ring;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use answer::{GateAnswer, Query, Reason};
pub use budget::{CutBudget, UnsafeTiming};
pub use ring::{KEPT, Transition};
pub use shared::SharedGate;

use tandem_core::failover::{ExecutionKind, Journal, Step, Token};

use self::ring::Ring;
use crate::guards::{Guard, Guards};
use crate::membership::Timing;
use crate::records::{GroupRecord, JournalSeen, Versioned};

/// How a group's data stands at this site, as the group's provider last reported. A group without a provider reports none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum Provider {
    /// It takes writes.
    Primary,
    /// It is on the way from one to the other, or nobody knows.
    Changing,
    /// It follows the other site.
    Standby,
    /// It was told to refuse everything.
    Fenced,
}

/// What is shown for one group.
#[derive(Clone, Debug)]
struct Shown {
    record: Versioned<GroupRecord>,
    /// The last whole read did not have it. None is ever deleted, so something is badly wrong: nothing is held by it.
    missing: bool,
    journal: Option<JournalSeen>,
    provider: Option<Provider>,
    /// The epoch under which this gate last answered 200.
    served: Option<u64>,
    /// What was last entered in the ring.
    entered: Option<(bool, u64, Reason)>,
}

/// That a replica's gate is closed for good. Needed to delete the replica's own heartbeat once its fence has completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    site: String,
    replica: String,
}

impl Closed {
    /// The site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The replica.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }
}

/// One replica's gate.
#[derive(Clone, Debug)]
pub struct Gate {
    site: String,
    replica: String,
    /// `T_f`.
    fence: Duration,
    generation: u64,
    groups: BTreeMap<String, Shown>,
    seen: i64,
    deadline: Option<Duration>,
    /// The deadline whose passing stands in the ring.
    expired: Option<Duration>,
    barred: Option<String>,
    closed: bool,
    ring: Ring,
    guards: Guards,
}

impl Gate {
    /// The gate of a replica that has just started: passive.
    #[must_use]
    pub fn new(site: &str, replica: &str, generation: u64, timing: Timing) -> Self {
        Self {
            site: site.to_owned(),
            replica: replica.to_owned(),
            fence: timing.fence(),
            generation,
            groups: BTreeMap::new(),
            seen: 0,
            deadline: None,
            expired: None,
            barred: None,
            closed: false,
            ring: Ring::default(),
            guards: Guards::ALL,
        }
    }

    /// The same with other guards.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// Takes in a heartbeat that counts: when it was sent, when its answer came, the answer's revision and its `groups/`.
    ///
    /// The deadline counts from the sending. The answer may have been under way for long, and meanwhile another site counts
    /// from when it saw the same heartbeat.
    pub fn counted(
        &mut self,
        sent: Duration,
        received: Duration,
        revision: i64,
        groups: &BTreeMap<String, Versioned<GroupRecord>>,
    ) {
        self.expire(received);
        let from = if self.guards.on(Guard::DeadlineFromSending) { sent } else { received };
        let deadline = from.saturating_add(self.fence);
        if self.guards.on(Guard::HeartbeatReadsGroups) || self.deadline.is_none() {
            for (name, record) in groups {
                self.take(name, record);
            }
            if revision >= self.seen {
                for (name, shown) in &mut self.groups {
                    shown.missing = !groups.contains_key(name);
                }
            }
        }
        self.seen = self.seen.max(revision);
        // An answer that overtook a later one does not take the deadline back.
        self.deadline = Some(self.deadline.map_or(deadline, |before| before.max(deadline)));
        self.enter_all(received);
    }

    /// Takes in one record, from a watch, a read or a transaction's answer; says whether it was applied. What it shows is
    /// no reason to count as alive: only heartbeats are.
    pub fn apply(&mut self, now: Duration, group: &str, record: &Versioned<GroupRecord>) -> bool {
        self.expire(now);
        let applied = self.take(group, record);
        self.enter(now, group);
        applied
    }

    fn take(&mut self, group: &str, record: &Versioned<GroupRecord>) -> bool {
        match self.groups.get_mut(group) {
            Some(shown) => {
                if record.revision < shown.record.revision && self.guards.on(Guard::NeverBackwards) {
                    return false;
                }
                shown.record = record.clone();
            }
            None => {
                let shown = Shown {
                    record: record.clone(),
                    missing: false,
                    journal: None,
                    provider: None,
                    served: None,
                    entered: None,
                };
                self.groups.insert(group.to_owned(), shown);
            }
        }
        true
    }

    /// Takes in a journal, from a watch, a read or one's own transaction. Of two it keeps the newer.
    pub fn journal(&mut self, now: Duration, seen: &JournalSeen) {
        self.expire(now);
        let group = seen.journal.group.clone();
        if let Some(shown) = self.groups.get_mut(&group) {
            let older = shown.journal.as_ref().is_some_and(|before| seen.revision < before.revision);
            // The journal of an execution that the record does not name (yet) must not hide that of the one it names.
            let named = |journal: &Journal| shown.record.value.execution.as_ref() == Some(&journal.execution);
            let hides = shown.journal.as_ref().is_some_and(|before| named(&before.journal)) && !named(&seen.journal);
            if !older && !hides {
                shown.journal = Some(seen.clone());
            }
        }
        self.enter(now, &group);
    }

    /// Takes in what a group's provider reports; `None` where the group has no provider. Whoever runs a provider says
    /// [`Provider::Changing`] before it knows more.
    pub fn provider(&mut self, now: Duration, group: &str, provider: Option<Provider>) {
        self.expire(now);
        if let Some(shown) = self.groups.get_mut(group) {
            shown.provider = provider;
        }
        self.enter(now, group);
    }

    /// Closes the gate until [`Gate::unbar`]: the arbiter is not the one that is known. Heartbeats of before count no more.
    pub fn bar(&mut self, now: Duration, why: &str) {
        self.expire(now);
        if self.barred.as_deref() != Some(why) {
            self.barred = Some(why.to_owned());
            self.enter_all(now);
        }
        self.deadline = None;
    }

    /// Lets the next heartbeat that counts open the gate again.
    pub fn unbar(&mut self, now: Duration) {
        if self.barred.take().is_some() {
            self.enter_all(now);
        }
    }

    /// Forgets all records, since the arbiter was restored or replaced and its revisions start below those of before.
    pub fn forget(&mut self, now: Duration, generation: u64) {
        self.expire(now);
        self.deadline = None;
        self.enter_all(now);
        self.groups.clear();
        self.seen = 0;
        self.generation = generation;
    }

    /// Closes the gate for good, as the replica ends.
    pub fn close(&mut self, now: Duration) -> Closed {
        self.expire(now);
        self.closed = true;
        self.enter_all(now);
        Closed { site: self.site.clone(), replica: self.replica.clone() }
    }

    /// The revision of `groups/` that this gate has applied whole; what the next heartbeat says.
    #[must_use]
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// The generation of the arbiter's data that this gate goes by.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When this gate closes unless another heartbeat counts; `None` before the first.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// The newest record of a group.
    #[must_use]
    pub fn record(&self, group: &str) -> Option<&Versioned<GroupRecord>> {
        self.groups.get(group).map(|shown| &shown.record)
    }

    /// Whether a record that this gate has applied released a group of this site at a revision above the one that its last
    /// heartbeat said it had seen (`told`): a heartbeat now spares the claimant up to `T/5`.
    #[must_use]
    pub fn owes_news(&self, told: i64) -> bool {
        self.groups.values().any(|shown| {
            let record = &shown.record;
            record.revision > told && record.value.active == self.site && record.value.released_to().is_some()
        })
    }

    /// The token of effects for a group under what this gate has applied; agents compare it.
    #[must_use]
    pub fn token(&self, group: &str) -> Option<Token> {
        self.groups.get(group).map(|shown| self.token_of(shown))
    }

    fn token_of(&self, shown: &Shown) -> Token {
        let record = &shown.record.value;
        match shown.journal.as_ref().filter(|seen| record.execution.as_ref() == Some(&seen.journal.execution)) {
            Some(seen) => seen.token(self.generation, record),
            None => record.token(self.generation),
        }
    }

    /// This replica's transitions, the oldest first, up to this time of the boot clock.
    pub fn transitions(&mut self, now: Duration) -> impl Iterator<Item = &Transition> {
        self.expire(now);
        self.ring.iter()
    }

    /// Enters the passing of the deadline, at the deadline.
    fn expire(&mut self, now: Duration) {
        let Some(deadline) = self.deadline.filter(|deadline| now >= *deadline) else { return };
        if self.expired != Some(deadline) {
            self.expired = Some(deadline);
            self.enter_all(deadline);
        }
    }

    fn enter_all(&mut self, now: Duration) {
        let mut groups = std::mem::take(&mut self.groups);
        for (group, shown) in &mut groups {
            self.enter_one(now, group, shown);
        }
        self.groups = groups;
    }

    fn enter(&mut self, now: Duration, group: &str) {
        if let Some((group, mut shown)) = self.groups.remove_entry(group) {
            self.enter_one(now, &group, &mut shown);
            self.groups.insert(group, shown);
        }
    }

    fn enter_one(&mut self, now: Duration, group: &str, shown: &mut Shown) {
        let epoch = shown.record.value.epoch;
        let verdict = self.verdict(shown, now);
        let entry = (verdict.is_ok(), epoch, verdict.err().unwrap_or(Reason::Active));
        if shown.entered.as_ref() != Some(&entry) {
            if entry.0 {
                shown.served = Some(epoch);
            }
            self.ring.push(now, group, epoch, entry.0, entry.2.to_string());
            shown.entered = Some(entry);
        }
    }

    /// Whether the record makes this site the holder.
    fn holds(&self, shown: &Shown) -> Result<(), Reason> {
        let record = &shown.record.value;
        if shown.missing {
            return Err(Reason::Missing);
        }
        if record.retired {
            return Err(Reason::Retired);
        }
        if record.held_by(&self.site) {
            return Ok(());
        }
        Err(match &record.phase {
            crate::records::Phase::Held => Reason::Elsewhere { active: record.active.clone() },
            crate::records::Phase::Released { to } => Reason::Released { to: to.clone() },
            crate::records::Phase::Unconfirmed => Reason::Unconfirmed,
        })
    }

    /// Whether this replica may speak for the site at all.
    fn speaks(&self, now: Duration) -> Result<Duration, Reason> {
        if self.closed {
            return Err(Reason::Closed);
        }
        if let Some(why) = &self.barred {
            return Err(Reason::Barred { why: why.clone() });
        }
        let deadline = self.deadline.ok_or(Reason::NotRead)?;
        if now < deadline { Ok(deadline.saturating_sub(now)) } else { Err(Reason::Fenced) }
    }

    fn promotable(&self, shown: &Shown, now: Duration) -> Result<Duration, Reason> {
        let left = self.speaks(now)?;
        self.holds(shown)?;
        Ok(left)
    }

    /// Whether the site is active: for how long this answer is good at the most, or why not.
    fn verdict(&self, shown: &Shown, now: Duration) -> Result<Duration, Reason> {
        let left = self.promotable(shown, now)?;
        moving(shown)?;
        match shown.provider {
            None | Some(Provider::Primary) => Ok(left),
            Some(state) => Err(Reason::Data { state }),
        }
    }
}

/// Whether an execution keeps the holder from serving: it does between Quiescing and Promoting.
fn moving(shown: &Shown) -> Result<(), Reason> {
    let record = &shown.record.value;
    let Some(execution) = &record.execution else { return Ok(()) };
    let Some(seen) = shown.journal.as_ref().filter(|seen| seen.journal.execution == *execution) else {
        // It has only begun under an epoch that is being served: a moment's lag of the journal is no reason to stop. Under
        // an epoch that was never served here it may be anywhere.
        let known = shown.served == Some(record.epoch);
        return if known { Ok(()) } else { Err(Reason::JournalUnknown { execution: execution.clone() }) };
    };
    let Journal { kind, step, epoch, .. } = &seen.journal;
    let between = (Step::Quiescing..=Step::Promoting).contains(step);
    let closed = if record.epoch > *epoch {
        // It was moved, or taken back. A journal from before that lags, and says as little as one that is not known.
        *step <= Step::Promoting
    } else {
        // Under the epoch it began with, only a planned move quiesces the holder. A drill touches clones, and what a taker
        // writes about a holder that it cannot reach must not stop one that is alive.
        between && matches!(kind, ExecutionKind::Switchover | ExecutionKind::Failback)
    };
    if closed { Err(Reason::Moving { step: *step }) } else { Ok(()) }
}
