//! `step`: what one site does next for one group in one execution.
//!
//! The group's record says who may act, the journal how far the move has come, and the observation what is true of data
//! and people. [`place`] puts the first two together; each place has a function of its own:
//!
//! | the record says | source | target |
//! | --- | --- | --- |
//! | held by the source, as at the beginning | drives a planned move ([`source`]) | drives an unplanned one ([`unplanned`]) |
//! | released by this execution | reclaims or waits ([`handover`]) | claims or waits ([`handover`]) |
//! | held by the target | lets go for good ([`target`]) | drives ([`target`]) |
//! | held by the source again | restores ([`source`]) | — |
//! | moved on without this execution | whoever holds the group closes the journal | |

mod calls;
mod handover;
mod known;
mod source;
mod target;
mod unplanned;

use super::{Decision, ExecutionKind, GroupView, Journal, Now, Observation, Outcome, Phase, Reason, Side, Step, Token};
use super::{Transaction, Turn, approvals_lacking, gates};

/// Where a journal stands in the light of the group's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Held by the source, under the epoch at which the move began.
    Source,
    /// Released by this execution.
    Released,
    /// Held by the target, by this execution.
    Target,
    /// Held by the source again, by this execution.
    Reclaimed,
    /// Another execution moves the group after this one was completed.
    Elsewhere,
    /// The group went on without this execution.
    Superseded,
    /// The record is older than the journal.
    Stale,
    /// Nobody holds the group.
    Unconfirmed,
}

/// What the site `observation.situation.me` does next for the group of this journal.
///
/// Call it after every change of what it is given, and at [`Decision::wake`] at the latest. It may be called at any time,
/// at any site, by any replica, any number of times, with a view of any age: what an old view decides is refused by the
/// comparisons of the transaction or by the token of the effect.
#[must_use]
pub fn step(journal: &Journal, observation: &Observation, now: Now) -> Decision {
    let at = At { journal, seen: observation, now };
    if let Some(reason) = at.bystander() {
        return Decision::idle(reason);
    }
    let me = observation.situation.me.as_str();
    let (source, target) = (me == journal.from, me == journal.to);
    match place(journal, &observation.situation.record) {
        Place::Stale => Decision::idle(Reason::StaleView),
        Place::Unconfirmed => Decision::idle(Reason::Unconfirmed),
        Place::Elsewhere => Decision::idle(at.other_execution()),
        Place::Superseded => at.superseded(),
        Place::Source if source && journal.planned() && journal.step == Step::RolledBack => source::restore(at),
        Place::Source if source && journal.planned() => source::drive(at),
        Place::Source if target && journal.planned() => at.beside(),
        Place::Source if target => unplanned::drive(at),
        Place::Released if source => handover::reclaim(at),
        Place::Released if target => handover::claim(at),
        Place::Target if target => target::drive(at),
        Place::Target if source => target::former_source(at),
        Place::Reclaimed if source => source::reclaimed(at),
        Place::Source | Place::Released | Place::Target | Place::Reclaimed => Decision::idle(at.not_driver()),
    }
}

fn place(journal: &Journal, record: &GroupView) -> Place {
    let ours = record.execution.as_deref() == Some(journal.execution.as_str());
    // RolledBack follows Protected in the order of steps, but completes nothing.
    let completed = (Step::Completed..=Step::Protected).contains(&journal.step);
    let moved = record.epoch > journal.epoch;
    match &record.phase {
        Phase::Unconfirmed => Place::Unconfirmed,
        _ if record.epoch < journal.epoch => Place::Stale,
        _ if record.epoch > journal.epoch.saturating_add(1) => Place::Superseded,
        Phase::Released { to } if !moved => {
            let by_this = ours && journal.planned() && record.active == journal.from && *to == journal.to;
            if by_this { Place::Released } else { Place::Superseded }
        }
        Phase::Released { .. } if completed => Place::Elsewhere,
        Phase::Released { .. } => Place::Superseded,
        Phase::Held if !moved && record.active != journal.from => Place::Superseded,
        Phase::Held if !moved && (Step::EpochCommitted..=Step::Protected).contains(&journal.step) => Place::Stale,
        Phase::Held if !moved => Place::Source,
        Phase::Held if completed && record.execution.is_some() && !ours => Place::Elsewhere,
        Phase::Held if !ours && !completed => Place::Superseded,
        Phase::Held if record.active == journal.to => Place::Target,
        Phase::Held if record.active == journal.from && journal.planned() => Place::Reclaimed,
        Phase::Held => Place::Superseded,
    }
}

/// One question to the machine.
#[derive(Clone, Copy)]
struct At<'a> {
    journal: &'a Journal,
    seen: &'a Observation,
    now: Now,
}

impl At<'_> {
    /// Why this replica has no say at all.
    fn bystander(self) -> Option<Reason> {
        let s = &self.seen.situation;
        if self.journal.over {
            return Some(Reason::Over);
        }
        if self.journal.kind == ExecutionKind::Drill {
            return Some(Reason::DrillIsElsewhere);
        }
        if s.me != self.journal.from && s.me != self.journal.to {
            return Some(Reason::NotConcerned { site: s.me.clone() });
        }
        if !s.leads {
            return Some(Reason::NotLeader);
        }
        if s.fenced {
            return Some(Reason::Fenced { site: s.me.clone() });
        }
        (!self.seen.settled).then_some(Reason::AnswerOutstanding)
    }

    fn token(self) -> Token {
        Token {
            generation: self.seen.situation.generation,
            epoch: self.seen.situation.record.epoch,
            execution: self.seen.execution_revision,
            step: self.journal.entry,
        }
    }

    /// When the present step has taken too long, by this replica's boot clock.
    fn deadline(self) -> Option<std::time::Duration> {
        let allowed = self.seen.situation.policy.deadlines.of(self.journal.step)?;
        Some(self.seen.journal_since.saturating_add(allowed))
    }

    fn overdue(self) -> bool {
        self.deadline().is_some_and(|deadline| self.now.boot >= deadline)
    }

    fn has_data(self) -> bool {
        self.seen.situation.policy.replication != super::Replication::NoData
    }

    fn not_driver(self) -> Reason {
        let journal = self.journal;
        let driver = match place(journal, &self.seen.situation.record) {
            Place::Source | Place::Reclaimed if journal.planned() => &journal.from,
            _ => &journal.to,
        };
        Reason::NotDriver { site: driver.clone() }
    }

    fn other_execution(self) -> Reason {
        match &self.seen.situation.record.execution {
            Some(execution) => Reason::OtherExecution { execution: execution.clone() },
            None => Reason::NotBegun,
        }
    }

    /// The target, while the source drives. Clones of a drill stand here and only this site can take them away.
    fn beside(self) -> Decision {
        let s = &self.seen.situation;
        if s.drill && self.journal.untouched() && !self.seen.request.abort {
            return calls::decide(self, &[super::EffectKind::SweepDrill], Reason::DrillRunning).0;
        }
        if s.holder_expired(self.now.boot) {
            return Decision::idle(Reason::SourceSilent { site: self.journal.from.clone() });
        }
        Decision::idle(self.not_driver())
    }

    /// Nothing is touched any more: only the journal is closed, by the site that holds the group.
    fn superseded(self) -> Decision {
        let s = &self.seen.situation;
        let why = Reason::Superseded { epoch: s.record.epoch };
        if !s.record.held_by(&s.me) {
            return Decision::idle(why);
        }
        let journal = self.journal;
        let completed = (Step::Completed..=Step::Protected).contains(&journal.step);
        let rolled = if completed || journal.step == Step::RolledBack {
            journal.clone()
        } else {
            journal.rolled_back(&why, self.now.wall)
        };
        let mut next = rolled.closed(Outcome::Failed, self.now.wall);
        next.entry = journal.entry.saturating_add(1);
        next.why.get_or_insert(why.clone());
        Decision::transact(Transaction::PutJournal, next, why)
    }

    /// What people and rules say to a move of which nothing was touched yet; `None` where it may go on.
    fn admission(self) -> Option<Decision> {
        let (journal, seen, request) = (self.journal, self.seen, &self.seen.request);
        let s = &seen.situation;
        if request.abort {
            return Some(self.drop_it(&Reason::AbortAsked));
        }
        if let Some(expected) = request.expected_epoch.filter(|expected| *expected != s.record.epoch) {
            return Some(self.drop_it(&Reason::EpochMoved { expected, found: s.record.epoch }));
        }
        let beaten = |watched: i64| s.silence.is_some_and(|silence| silence.newest > watched);
        if request.automatic.is_some_and(beaten) {
            // A silence that was only forgotten (by a restart) is waited for again; after another heartbeat it is another
            // silence and another execution, whose name is made of that heartbeat's revision.
            return Some(self.drop_it(&Reason::HolderReturned { site: journal.from.clone() }));
        }
        if request.paused {
            return Some(self.aside(Side::Paused, Reason::PauseAsked));
        }
        match &seen.turn {
            Turn::Now => {}
            Turn::Waits { groups } => {
                return Some(Decision::idle(Reason::WaitsFor { groups: groups.iter().cloned().collect() }));
            }
            Turn::Stuck { groups } => {
                let why = Reason::DependsOnStuck { groups: groups.iter().cloned().collect() };
                return Some(self.aside(Side::Blocked { why: why.clone() }, why));
            }
        }
        let mut wrong = if journal.planned() {
            gates::planned(s, journal.kind, &journal.from, &journal.to, self.now.boot)
        } else {
            gates::unplanned(s, request, &journal.to, self.now.boot)
        };
        if s.record.execution.as_ref().is_some_and(|other| *other != journal.execution)
            && (journal.planned() || !s.holder_expired(self.now.boot))
        {
            wrong.insert(0, self.other_execution());
        }
        if let Some(why) = wrong.into_iter().next() {
            return Some(self.aside(Side::Blocked { why: why.clone() }, why));
        }
        let lacking = approvals_lacking(request)?;
        Some(if journal.step == Step::Validating {
            let next = journal.advanced(Step::AwaitingApproval, Outcome::Done, "", self.now.wall);
            Decision::transact(Transaction::PutJournal, next, lacking)
        } else if journal.side.is_some() {
            Decision::transact(Transaction::PutJournal, journal.with_side(None, self.now.wall), lacking)
        } else {
            Decision::idle(lacking)
        })
    }

    /// Ends a move of which nothing was touched.
    fn drop_it(self, why: &Reason) -> Decision {
        let rolled = self.journal.rolled_back(why, self.now.wall);
        let mut next = rolled.closed(Outcome::Done, self.now.wall);
        next.entry = self.journal.entry.saturating_add(1);
        Decision::transact(Transaction::PutJournal, next, why.clone())
    }

    /// Stays at this step, aside. The journal is put only where the reason is another one: its figures move by themselves.
    fn aside(self, side: Side, because: Reason) -> Decision {
        let same = match (&self.journal.side, &side) {
            (Some(Side::Blocked { why: was }), Side::Blocked { why })
            | (Some(Side::NeedsHuman { why: was }), Side::NeedsHuman { why }) => was.is_like(why),
            (Some(Side::Paused), Side::Paused) => true,
            _ => false,
        };
        if !same {
            return Decision::transact(
                Transaction::PutJournal,
                self.journal.with_side(Some(side), self.now.wall),
                because,
            );
        }
        match side {
            Side::NeedsHuman { why } => Decision::idle(because).alarming(why),
            Side::Blocked { .. } if !self.journal.planned() => Decision::idle(because.clone()).alarming(because),
            _ => Decision::idle(because),
        }
        .waking(Some(self.now.boot + LOOK_AGAIN))
    }
}

/// What waits for time to pass (readiness, dwell, silence) is looked at so often.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
