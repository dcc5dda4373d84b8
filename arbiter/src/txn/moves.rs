//! How a group moves. Every builder checks first what can be known without the arbiter and refuses with [`NotAllowed`];
//! what only the arbiter knows is compared in the transaction.
//!
//! **One transaction for the record and the journal.** Release, claim, take-over and reclaim write the group record and the
//! journal's entry together: at no time does one say that the epoch moved and the other that it did not, so that whoever
//! comes after a crash reads either the state before or the state after. It also gives the driver's rule for free: each of
//! them moves `mod(executions/…)`, and what the former driver still sends is refused.
//!
//! **What a failed comparison reads**, in order: the group record, the journal, the site's leader, then (where they were
//! compared) the three holds and the other site's members. [`refusal`] names the cause.

use tandem_core::failover::{ExecutionKind, Journal, Step};

use super::notes::{self, Act, Scribe};
use super::{Compare, Op, Ordering, Span, Target, Txn, TxnAnswer};
use crate::guards::{Guard, Guards};
use crate::peers::{Basis, ClaimProof, Silence};
use crate::records::{Entry, GroupRecord, Hold, Key, Phase, Settled, Versioned};

/// The replica that acts for a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acting<'a> {
    /// The site.
    pub site: &'a str,
    /// `mod_revision` of its leadership.
    pub leader: i64,
    guards: Guards,
    scribe: Option<Scribe<'a>>,
}

impl<'a> Acting<'a> {
    /// Who is written down as having acted; `None`: nothing is written down.
    #[must_use]
    pub fn scribe(&self) -> Option<Scribe<'a>> {
        self.scribe
    }

    /// Whoever has this leadership of this site.
    #[must_use]
    pub fn new(site: &'a str, leader: i64) -> Self {
        Self { site, leader, guards: Guards::ALL, scribe: None }
    }

    /// The same, and each transaction that it makes writes down, for the site's audit chain, that this actor did it.
    #[must_use]
    pub fn by(self, scribe: Scribe<'a>) -> Self {
        Self { scribe: Some(scribe), ..self }
    }

    /// The same with other guards.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }
}

/// One group's record as it was read, and the next entry of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move<'a> {
    /// The group's record as it was read.
    pub record: &'a Versioned<GroupRecord>,
    /// The next entry of the journal.
    pub entry: &'a Entry,
}

/// An execution that a new one takes the place of.
#[derive(Clone, Copy, Debug)]
pub struct Superseded<'a> {
    /// Its last entry.
    pub entry: &'a Entry,
    /// That the holder is silent. A drill can be superseded without: a real failover sweeps it.
    pub silence: Option<&'a Silence>,
}

/// Why a transaction was not even built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The record's phase or holder does not fit.
    #[error("the group's record does not allow it: its phase or its holder is another")]
    Record,
    /// The `FailoverGroup` was deleted.
    #[error("the group was deleted")]
    Retired,
    /// The journal belongs to another group or execution, or goes between other sites.
    #[error("the journal does not fit the group's record")]
    Journal,
    /// The entry's step is not the one that goes with this.
    #[error("the journal's entry says {0:?}, which does not go with this")]
    Step(Step),
    /// Another site drives the execution.
    #[error("another site drives this execution")]
    NotDriver,
    /// The proof is about another site, group or record.
    #[error("the proof is about another site, group or revision")]
    Proof,
    /// Another execution has the group.
    #[error("another execution has this group")]
    Busy,
}

/// Why the arbiter refused a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The group's record moved.
    Record,
    /// The journal moved.
    Journal,
    /// Another replica leads the site.
    NotLeader,
    /// A hold is set.
    Held(Hold),
    /// The other site's heartbeats moved, or a replica joined it.
    Alive,
    /// Nothing that can be read any more: it moved there and back.
    Unclear,
}

/// The site whose leader writes the journal: the source's until the release, then the target's. An unplanned failover and a
/// drill are the target's from the beginning, as the source cannot be reached or has nothing to do. After the move, whoever
/// holds the group. `None` while nobody does after a restore.
#[must_use]
pub fn driver<'a>(journal: &'a Journal, record: &'a GroupRecord) -> Option<&'a str> {
    match &record.phase {
        Phase::Unconfirmed => None,
        Phase::Released { to } => Some(to),
        Phase::Held if record.epoch > journal.epoch => Some(&record.active),
        Phase::Held => Some(match journal.kind {
            ExecutionKind::Failover | ExecutionKind::Drill => &journal.to,
            ExecutionKind::Switchover | ExecutionKind::Failback => &journal.from,
        }),
    }
}

/// The holds that stop a promotion of this group at this site.
#[must_use]
pub fn holds(group: &str, target: &str) -> [Hold; 3] {
    [Hold::Group(group.to_owned()), Hold::Site(target.to_owned()), Hold::All]
}

struct Builder<'a> {
    acting: Acting<'a>,
    txn: Txn,
}

impl<'a> Builder<'a> {
    /// Compares the record, the journal and the leader, each unless its guard was taken away.
    fn new(acting: Acting<'a>, change: &Move<'_>, record: Guard, journal: Guard) -> Self {
        let (group, execution) = keys(change.entry);
        let leader = Key::Leader(acting.site.to_owned());
        let mut compare = Vec::new();
        if acting.guards.on(record) {
            compare.push(Compare::unchanged(&group, change.record.revision));
        }
        if acting.guards.on(journal) {
            compare.push(Compare::unchanged(&execution, change.entry.revision()));
        }
        if acting.guards.on(Guard::LeaderCompare) {
            compare.push(Compare::unchanged(&leader, acting.leader));
        }
        let otherwise = vec![Op::get(&group), Op::get(&execution), Op::get(&leader)];
        Self { acting, txn: Txn { compare, then: Vec::new(), otherwise } }
    }

    fn unheld(mut self, group: &str) -> Self {
        for hold in holds(group, self.acting.site) {
            let key = Key::Hold(hold);
            if self.acting.guards.on(Guard::Holds) {
                self.txn.compare.push(Compare::absent(&key));
            }
            self.txn.otherwise.push(Op::get(&key));
        }
        self
    }

    fn silent(mut self, silence: &Silence) -> Self {
        let members = Key::members(silence.site());
        if self.acting.guards.on(Guard::TakeOverRange) {
            self.txn.compare.push(Compare::all_before(&members, silence.newest() + 1));
        }
        self.txn.otherwise.push(Op::range(members));
        self
    }

    fn write(mut self, act: Act, change: &Move<'_>, record: &GroupRecord) -> Txn {
        let (group, execution) = keys(change.entry);
        self.txn.then.extend([Op::put(group, record), Op::put(execution, change.entry.journal())]);
        if let Some(scribe) = self.acting.scribe {
            notes::note(&mut self.txn, self.acting.site, notes::journal(scribe, act, change));
        }
        self.txn
    }
}

fn keys(entry: &Entry) -> (Key, Key) {
    let Journal { execution, group, .. } = entry.journal();
    let journal = Key::Journal { execution: execution.clone(), group: group.clone() };
    (Key::Group(group.clone()), journal)
}

fn suits(change: &Move<'_>, steps: &[Step]) -> Result<(), NotAllowed> {
    let (record, journal) = (&change.record.value, change.entry.journal());
    if record.retired {
        return Err(NotAllowed::Retired);
    }
    if record.execution.as_ref() != Some(&journal.execution) || change.entry.revision() == 0 {
        return Err(NotAllowed::Journal);
    }
    if steps.contains(&journal.step) { Ok(()) } else { Err(NotAllowed::Step(journal.step)) }
}

/// Takes a group over from a holder that is silent: active = this site, one epoch more; the journal says `EpochCommitted`.
/// `automatic` counts it among the automatic failovers of the day. An execution that the silent source was driving can be
/// taken over within, if it goes to this site: its journal is compared, so that nothing the source still does slips in.
///
/// # Errors
/// [`NotAllowed`].
pub fn take_over(acting: Acting<'_>, change: &Move<'_>, silence: &Silence, automatic: bool) -> Result<Txn, NotAllowed> {
    suits(change, &[Step::EpochCommitted])?;
    let (record, journal) = (&change.record.value, change.entry.journal());
    if record.phase != Phase::Held || record.active == acting.site {
        return Err(NotAllowed::Record);
    }
    if silence.site() != record.active {
        return Err(NotAllowed::Proof);
    }
    if journal.to != acting.site || journal.from != record.active || journal.kind == ExecutionKind::Drill {
        return Err(NotAllowed::Journal);
    }
    let mut next = record.next_epoch(acting.site);
    next.failovers_lately += u32::from(automatic);
    let builder = Builder::new(acting, change, Guard::TakeOverGroup, Guard::JournalCompare);
    Ok(builder.unheld(&journal.group).silent(silence).write(Act::TakeOver, change, &next))
}

/// Lets a group go, by its holder at the end of Fencing: the last point at which the source may act alone.
///
/// # Errors
/// [`NotAllowed`].
pub fn release(acting: Acting<'_>, change: &Move<'_>) -> Result<Txn, NotAllowed> {
    suits(change, &[Step::Fencing])?;
    let (record, journal) = (&change.record.value, change.entry.journal());
    if !record.held_by(acting.site) || record.epoch != journal.epoch {
        return Err(NotAllowed::Record);
    }
    let planned = matches!(journal.kind, ExecutionKind::Switchover | ExecutionKind::Failback);
    if !planned || journal.from != acting.site || journal.to == acting.site {
        return Err(NotAllowed::Journal);
    }
    let next = GroupRecord { phase: Phase::Released { to: journal.to.clone() }, ..record.clone() };
    let builder = Builder::new(acting, change, Guard::ReleaseCompares, Guard::ReleaseCompares);
    Ok(builder.write(Act::Release, change, &next))
}

/// Claims what was released to this site; the journal says `EpochCommitted`. With [`Basis::Seen`] no replica may have joined
/// the releasing site since the list was read; see [`ClaimWatch`](crate::peers::ClaimWatch) for why.
///
/// # Errors
/// [`NotAllowed`].
pub fn claim(acting: Acting<'_>, change: &Move<'_>, proof: &ClaimProof) -> Result<Txn, NotAllowed> {
    suits(change, &[Step::EpochCommitted])?;
    let (record, journal) = (&change.record.value, change.entry.journal());
    if record.released_to() != Some(acting.site) {
        return Err(NotAllowed::Record);
    }
    if journal.to != acting.site {
        return Err(NotAllowed::Journal);
    }
    let about = (proof.group(), proof.release(), proof.from());
    if about != (journal.group.as_str(), change.record.revision, record.active.as_str()) {
        return Err(NotAllowed::Proof);
    }
    let next = record.next_epoch(acting.site);
    let mut builder = Builder::new(acting, change, Guard::ClaimGroup, Guard::ClaimGroup).unheld(&journal.group);
    if let Basis::Seen { list } = proof.basis() {
        let members = Key::members(&record.active);
        if acting.guards.on(Guard::ClaimFreshList) {
            builder.txn.compare.push(Compare {
                span: Span::Prefix(members.clone()),
                ordering: Ordering::Less,
                target: Target::Create(list + 1),
            });
        }
        builder.txn.otherwise.push(Op::range(members));
    }
    Ok(builder.write(Act::Claim, change, &next))
}

/// Takes back what this site released and nobody claimed; the journal says `RolledBack`. Nothing is restored at the source
/// before. A hold does not stop it: it stops promotions, and this only goes back.
///
/// # Errors
/// [`NotAllowed`].
pub fn reclaim(acting: Acting<'_>, change: &Move<'_>) -> Result<Txn, NotAllowed> {
    suits(change, &[Step::RolledBack])?;
    let record = &change.record.value;
    if record.released_to().is_none() || record.active != acting.site {
        return Err(NotAllowed::Record);
    }
    let next = record.next_epoch(acting.site);
    let builder = Builder::new(acting, change, Guard::ReleaseCompares, Guard::ReleaseCompares);
    Ok(builder.write(Act::Reclaim, change, &next))
}

/// Begins an execution: writes its journal and its name into the group's record, so that there is one a group. Either site
/// may. Where another execution has the group, it must be named and closed in the same transaction.
///
/// # Errors
/// [`NotAllowed`].
pub fn begin(acting: Acting<'_>, change: &Move<'_>, superseded: Option<&Superseded<'_>>) -> Result<Txn, NotAllowed> {
    let (record, journal) = (&change.record.value, change.entry.journal());
    if record.retired {
        return Err(NotAllowed::Retired);
    }
    if record.phase != Phase::Held {
        return Err(NotAllowed::Record);
    }
    let fits = journal.from == record.active && journal.to != journal.from && journal.epoch == record.epoch;
    if !fits || change.entry.revision() != 0 {
        return Err(NotAllowed::Journal);
    }
    let next = GroupRecord { execution: Some(journal.execution.clone()), ..record.clone() };
    let mut builder = Builder::new(acting, change, Guard::JournalCompare, Guard::JournalCompare);
    match (&record.execution, superseded) {
        (None, None) => {}
        (Some(_), None) => return Err(NotAllowed::Busy),
        (None, Some(_)) => return Err(NotAllowed::Journal),
        (Some(old), Some(superseded)) => {
            let closing = superseded.entry.journal();
            if closing.execution != *old || closing.group != journal.group || closing.execution == journal.execution {
                return Err(NotAllowed::Journal);
            }
            if !matches!(closing.step, Step::RolledBack | Step::Completed) {
                return Err(NotAllowed::Step(closing.step));
            }
            let (_, key) = keys(superseded.entry);
            builder.txn.compare.push(Compare::unchanged(&key, superseded.entry.revision()));
            builder.txn.then.push(Op::put(key, closing));
            if let Some(scribe) = acting.scribe {
                notes::note(&mut builder.txn, acting.site, notes::superseded(scribe, superseded.entry));
            }
            match superseded.silence {
                Some(silence) if silence.site() == record.active => builder = builder.silent(silence),
                Some(_) => return Err(NotAllowed::Proof),
                None if closing.kind == ExecutionKind::Drill => {}
                None => return Err(NotAllowed::Busy),
            }
        }
    }
    Ok(builder.write(Act::Begin, change, &next))
}

/// Writes the next entry of a journal, by the driver. The record tells who that is; it is not written and not compared:
/// whatever changes the driver moves the journal as well.
///
/// # Errors
/// [`NotAllowed`].
pub fn put_journal(acting: Acting<'_>, change: &Move<'_>) -> Result<Txn, NotAllowed> {
    let journal = change.entry.journal();
    if change.entry.revision() == 0 || change.record.value.execution.as_ref() != Some(&journal.execution) {
        return Err(NotAllowed::Journal);
    }
    if driver(journal, &change.record.value) != Some(acting.site) {
        return Err(NotAllowed::NotDriver);
    }
    // Beyond this the step goes only with the transaction that moves the epoch.
    let moved = change.record.value.epoch > journal.epoch;
    if !moved
        && (Step::EpochCommitted..=Step::Verifying).contains(&journal.step)
        && journal.kind != ExecutionKind::Drill
    {
        return Err(NotAllowed::Step(journal.step));
    }
    let builder = Builder::new(acting, change, Guard::JournalCompare, Guard::JournalCompare);
    let mut txn = builder.txn;
    txn.compare.retain(|compare| compare.span != Span::Key(Key::Group(journal.group.clone()).to_string()));
    let (_, key) = keys(change.entry);
    txn.then.push(Op::put(key, journal));
    if let Some(scribe) = acting.scribe {
        notes::note(&mut txn, acting.site, notes::journal(scribe, Act::Put, change));
    }
    Ok(txn)
}

/// Ends an execution: writes its last entry and takes its name from the group's record, which keeps where it ended.
///
/// # Errors
/// [`NotAllowed`].
pub fn finish(acting: Acting<'_>, change: &Move<'_>) -> Result<Txn, NotAllowed> {
    let (record, journal) = (&change.record.value, change.entry.journal());
    if record.execution.as_ref() != Some(&journal.execution) || change.entry.revision() == 0 {
        return Err(NotAllowed::Journal);
    }
    if !matches!(journal.step, Step::Completed | Step::Protected | Step::RolledBack) {
        return Err(NotAllowed::Step(journal.step));
    }
    if record.phase != Phase::Held {
        // Released: it is claimed or reclaimed first.
        return Err(NotAllowed::Record);
    }
    if driver(journal, record) != Some(acting.site) {
        return Err(NotAllowed::NotDriver);
    }
    let settled = Settled { execution: change.entry.created(), entry: journal.entry };
    let next = GroupRecord {
        execution: None,
        settled: Some(record.settled.unwrap_or_default().max(settled)),
        ..record.clone()
    };
    Ok(Builder::new(acting, change, Guard::JournalCompare, Guard::JournalCompare).write(Act::Finish, change, &next))
}

/// Starts the day's count of automatic failovers anew, by the site that holds the group. The caller has seen the group under
/// this epoch for a day on its own boot clock: no wall clock has a say, and a replica that started anew counts anew.
///
/// # Errors
/// [`NotAllowed::Record`] where another site holds the group, or there is nothing to forget.
pub fn forget_failovers(acting: Acting<'_>, group: &str, record: &Versioned<GroupRecord>) -> Result<Txn, NotAllowed> {
    if !record.value.held_by(acting.site) || record.value.failovers_lately == 0 {
        return Err(NotAllowed::Record);
    }
    let (key, leader) = (Key::Group(group.to_owned()), Key::Leader(acting.site.to_owned()));
    Ok(Txn {
        compare: vec![Compare::unchanged(&key, record.revision), Compare::unchanged(&leader, acting.leader)],
        then: vec![Op::put(&key, &GroupRecord { failovers_lately: 0, ..record.value.clone() })],
        otherwise: vec![Op::get(&key)],
    })
}

/// Why a transaction of this module was refused, from what it read.
#[must_use]
pub fn refusal(acting: Acting<'_>, change: &Move<'_>, txn: &Txn, answer: &TxnAnswer) -> Refusal {
    let moved = |place: usize| answer.one(place).map_or(0, |kv| kv.mod_revision);
    if moved(2) != acting.leader {
        return Refusal::NotLeader;
    }
    for (place, op) in txn.otherwise.iter().enumerate().skip(3) {
        if let Op::Get(Span::Key(key)) = op
            && answer.one(place).is_some()
            && let Ok(Key::Hold(hold)) = key.parse()
        {
            return Refusal::Held(hold);
        }
    }
    let group = Span::Key(Key::Group(change.entry.journal().group.clone()).to_string());
    if txn.compare.iter().any(|compare| compare.span == group) && moved(0) != change.record.revision {
        return Refusal::Record;
    }
    if moved(1) != change.entry.revision() {
        return Refusal::Journal;
    }
    if txn.otherwise.iter().any(|op| matches!(op, Op::Get(Span::Prefix(_)))) {
        Refusal::Alive
    } else {
        Refusal::Unclear
    }
}
