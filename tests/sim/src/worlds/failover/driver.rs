//! The loop that moves groups on the leader of each site, as the operator has it: looks at everything, asks the machine for
//! every group that moves or could have to, and carries out what it says.
//!
//! As in the operator, the arbiter writes an execution's name into the group's record when its journal is made, and takes it
//! out with the journal's last entry; the machine's `Begin` and `End` are mere entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_arbiter::peers::ClaimProof;
use tandem_arbiter::records::{
    Entry, GroupRecord, Hold, HoldRecord, JournalSeen, Key, Phase as RecordPhase, Versioned,
};
use tandem_arbiter::txn::{self, Acting, Kv, Move, NotAllowed, Op, Superseded, Txn, TxnAnswer};
use tandem_core::failover::{
    Answer, Answered, Data, Decision, Effect, ExecutionKind, GroupView, Journal, Now, Observation, Outcome, Phase,
    Reason, Request, Silence, SiteView, Situation, Standing, Step, Token, Transaction, Trigger, Turn, automatic,
    plan_waves, standing, start_now, step,
};

use super::Msg;
use super::board::{JournalHeld, group_of};
use super::data::Report;
use super::publish::Objects;
use super::replica::{Asked, Replica};
use super::setup::{Ask, GROUPS, automatic as automatic_request, index, members, policy};
use crate::engine::{MS, micros};
use crate::etcd::Request as Etcd;
use crate::net::Place;
use crate::world::Ctx;

/// A transaction under way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) group: String,
    entry: Entry,
    txn: Txn,
}

/// What the driver remembers. All of it may be forgotten at any time.
#[derive(Clone, Debug, Default)]
pub(super) struct Driver {
    /// A read of the other site's members is under way.
    pub(super) reading: bool,
    answers: BTreeMap<String, Vec<Answered>>,
    calls: BTreeMap<u64, (String, Effect, Duration)>,
    call: u64,
    unsettled: BTreeSet<String>,
    later: BTreeMap<String, Duration>,
    reports: BTreeMap<(usize, Place), (Report, Duration)>,
    ready: BTreeMap<(usize, Place), Duration>,
}

impl Driver {
    pub(super) fn settle(&mut self, group: &str) {
        self.unsettled.remove(group);
    }

    pub(super) fn reported(&mut self, now: Duration, group: usize, place: Place, report: Report) {
        self.reports.insert((group, place), (report, now));
        self.ready.entry((group, place)).or_insert(now);
    }
}

pub(super) fn wall() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

impl Replica {
    /// One round.
    pub(super) fn drive(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects) {
        let now = self.now(ctx);
        self.look_soon(ctx, micros(self.timing.attempt()));
        self.claims.observe(now, &self.board.records);
        let t = self.timing.t();
        // Who is not heard is not ready: readiness counts anew from its return.
        if self.peer.still_for(now).is_none_or(|still| still >= t) {
            let other = self.other();
            self.driver.ready.retain(|(_, place), _| *place != other);
        }
        if self.leads(ctx).is_none() {
            self.driver.answers.clear();
            self.driver.calls.clear();
            return;
        }
        if self.claims.pending().next().is_some() {
            self.read_members(ctx);
            self.look_soon(ctx, 30 * MS);
        }
        self.synchronise(ctx, objects);
        for group in 0..GROUPS.len() {
            self.begin_by_itself(ctx, group);
        }
        let open = self.board.open();
        if open.is_empty() {
            return;
        }
        let turns = self.turns(&open);
        for held in open {
            self.one(ctx, objects, &held, &turns);
        }
    }

    fn turns(&self, open: &[Arc<JournalHeld>]) -> BTreeMap<String, Turn> {
        let mut all = BTreeMap::new();
        for target in [Place::A, Place::B] {
            let coming: Vec<&JournalHeld> =
                open.iter().map(|held| &**held).filter(|held| held.seen.journal.to == target.site()).collect();
            if coming.is_empty() {
                continue;
            }
            let mut standings = BTreeMap::new();
            for member in members() {
                let newest =
                    coming.iter().filter(|held| held.seen.journal.group == member.name).max_by_key(|h| h.seen.created);
                let record = self.board.groups.get(&member.name).map(|held| &held.record.value);
                let here = record.is_some_and(|record| record.held_by(target.site()));
                match newest {
                    Some(held) => drop(standings.insert(member.name.clone(), standing(&held.seen.journal))),
                    None if here => drop(standings.insert(member.name.clone(), Standing::Serving)),
                    None => {}
                }
            }
            // Those that do not move are not waited for.
            let moving: Vec<_> =
                members().iter().filter(|member| standings.contains_key(&member.name)).cloned().collect();
            let plan = plan_waves(&moving, 2);
            for (name, turn) in start_now(&plan, &moving, &standings, 2) {
                if coming.iter().any(|held| held.seen.journal.group == name) {
                    all.insert(name, turn);
                }
            }
        }
        all
    }

    fn request(&self, objects: &Objects, journal: &Journal) -> Request {
        automatic_request(&journal.execution)
            .map(|request| Request {
                abort: objects.orders.get(&(self.place, journal.execution.clone())).is_some_and(|order| order.abort),
                ..request
            })
            .or_else(|| objects.orders.get(&(self.place, journal.execution.clone())).cloned())
            .unwrap_or_default()
    }

    fn begin_by_itself(&mut self, ctx: &mut Ctx<Msg>, group: usize) {
        let name = GROUPS[group].0;
        let now = self.now(ctx);
        if self.driver.unsettled.contains(name) || self.driver.later.get(name).is_some_and(|at| *at > now) {
            return;
        }
        // The rule says no where the holder is not silent; nothing else of it is looked at then.
        if !self.silent(name, now) {
            debug_assert!(
                self.situation(ctx, group, self.place)
                    .is_none_or(|situation| matches!(automatic(&situation, now), Trigger::Not(_)))
            );
            return;
        }
        let Some(situation) = self.situation(ctx, group, self.place) else { return };
        let Trigger::Start { execution, from, to, epoch, .. } = automatic(&situation, now) else { return };
        if self.board.journals.contains_key(&(execution.clone(), name.to_owned())) {
            return;
        }
        // One that goes to this site already goes on by itself, unless it needs the source.
        let running = situation.record.execution.as_ref().and_then(|id| {
            self.board.journals.get(&(id.clone(), name.to_owned())).map(|held| held.seen.journal.clone())
        });
        if running.is_some_and(|journal| journal.kind == ExecutionKind::Failover && journal.to == to && !journal.over) {
            return;
        }
        let journal = Journal::new((&execution, name), ExecutionKind::Failover, (&from, &to), epoch, wall());
        self.begin(ctx, journal);
    }

    /// Whether another site holds the group, and its heartbeats have stood still for `T`.
    fn silent(&self, group: &str, now: Duration) -> bool {
        let Some(held) = self.board.groups.get(group) else { return false };
        let active = held.record.value.active.as_str();
        active != self.place.site()
            && self.members.as_ref().is_some_and(|read| read.site == active)
            && self.peer.still_for(now).is_some_and(|still| still >= self.timing.t())
    }

    /// Makes an execution, closing one that it takes the place of where the holder is silent.
    fn begin(&mut self, ctx: &mut Ctx<Msg>, journal: Journal) {
        let now = self.now(ctx);
        let Some(leader) = self.leads(ctx) else { return };
        let (group, execution) = (journal.group.clone(), journal.execution.clone());
        let Some(held) = self.board.groups.get(&group).cloned() else { return };
        let acting = Acting::new(self.place.site(), leader.mod_revision).with_guards(self.setup.guards);
        let before = held.record.value.execution.clone().filter(|other| *other != execution);
        let before = before.and_then(|other| self.board.journals.get(&(other, group.clone())).cloned());
        let silence = self.peer.take_over_ready(now).filter(|silence| silence.site() == held.record.value.active);
        let closing = match (&before, &silence) {
            (Some(before), Some(_)) => before.seen.next(closed(&before.seen.journal)).ok(),
            _ => None,
        };
        let superseded = closing.as_ref().map(|entry| Superseded { entry, silence: silence.as_ref() });
        let Ok(entry) = Entry::first(journal) else { return };
        let change = Move { record: &held.record, entry: &entry };
        self.driver.later.insert(group.clone(), now + self.timing.attempt() / 4);
        if let Ok(txn) = txn::begin(acting, &change, superseded.as_ref()) {
            self.transact(ctx, Sent { group, entry, txn });
        }
    }

    fn transact(&mut self, ctx: &mut Ctx<Msg>, sent: Sent) {
        ctx.say(|| {
            format!("sends {:?} of {} at {:?}", sent.entry.journal().execution, sent.group, sent.entry.journal().step)
        });
        self.driver.unsettled.insert(sent.group.clone());
        let request = Etcd::Txn(sent.txn.clone());
        self.send(ctx, Asked::Move(Box::new(sent)), request);
    }

    /// The answer was lost: nothing is decided before the records were read.
    pub(super) fn lost(&mut self, ctx: &mut Ctx<Msg>, sent: &Sent) {
        self.read_back(ctx, sent.entry.journal().execution.clone(), sent.group.clone());
    }

    pub(super) fn moved(&mut self, ctx: &mut Ctx<Msg>, sent: &Sent, answer: &TxnAnswer) {
        if answer.succeeded {
            let seen = sent.entry.written(answer.revision);
            self.saw_journal(ctx, &seen);
            let record = sent.txn.then.iter().find_map(|op| match op {
                Op::Put { key, value } => group_of(&Kv {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: 0,
                    mod_revision: answer.revision,
                }),
                _ => None,
            });
            if let Some((name, record)) = record {
                self.saw_group(ctx, &name, &record);
                self.saw_journal(ctx, &seen);
            }
            self.driver.later.remove(&sent.group);
        } else {
            self.feed_both(ctx, answer.one(0), answer.one(1));
            let later = self.now(ctx) + Duration::from_millis(250);
            self.driver.later.insert(sent.group.clone(), later);
        }
        self.driver.settle(&sent.group);
        self.look_soon(ctx, MS);
    }

    fn one(&mut self, ctx: &mut Ctx<Msg>, objects: &Objects, held: &JournalHeld, turns: &BTreeMap<String, Turn>) {
        let now = self.now(ctx);
        let journal = &held.seen.journal;
        let Some(group) = index(&journal.group) else { return };
        if self.driver.later.get(&journal.group).is_some_and(|at| *at > now) {
            return;
        }
        let target = if journal.to == Place::A.site() { Place::A } else { Place::B };
        let Some(situation) = self.situation(ctx, group, target) else { return };
        let generation = situation.generation;
        // The list is as old as it is: whether it is fresh enough is the watch's to say.
        let claim = self.claims.ready(&journal.group, now, generation, self.members.as_ref());
        self.expire_calls(now);
        let observation = Observation {
            situation,
            execution_revision: held.seen.created,
            journal_since: held.since,
            settled: !self.driver.unsettled.contains(&journal.group),
            request: self.request(objects, journal),
            turn: turns.get(&journal.group).cloned().unwrap_or(Turn::Now),
            release_seen: claim.is_some(),
            answers: self.driver.answers.get(&journal.group).cloned().unwrap_or_default(),
        };
        let decision = step(journal, &observation, Now { boot: now, wall: wall() });
        self.carry_out(ctx, group, held, &decision, claim.as_ref());
    }

    fn carry_out(
        &mut self,
        ctx: &mut Ctx<Msg>,
        group: usize,
        held: &JournalHeld,
        decision: &Decision,
        claim: Option<&ClaimProof>,
    ) {
        for effect in decision.effects() {
            self.call(ctx, group, effect);
        }
        let (Some(transaction), Some(next)) = (decision.transaction(), decision.next.clone()) else { return };
        let name = GROUPS[group].0.to_owned();
        let later = self.now(ctx) + Duration::from_millis(250);
        self.driver.later.insert(name.clone(), later);
        if transaction == Transaction::Reclaim && self.setup.restores_locally {
            let epoch = self.board.groups.get(&name).map_or(0, |held| held.record.value.epoch);
            ctx.send(self.node, self.databases[group], Msg::Restore { epoch });
        }
        let Some(record) = self.board.groups.get(&name).map(|held| held.record.clone()) else { return };
        let Some((entry, built)) = self.build(ctx, &record, &held.seen, next, transaction, claim) else { return };
        match built {
            Ok(txn) => self.transact(ctx, Sent { group: name, entry, txn }),
            Err(refused) => ctx.say(|| format!("{transaction:?} of {name} is not allowed: {refused}")),
        }
    }

    fn build(
        &self,
        ctx: &Ctx<Msg>,
        record: &Versioned<GroupRecord>,
        journal: &JournalSeen,
        next: Journal,
        transaction: Transaction,
        claim: Option<&ClaimProof>,
    ) -> Option<(Entry, Result<Txn, NotAllowed>)> {
        let leader = self.leads(ctx)?;
        let over = next.over;
        let entry = journal.next(next).ok()?;
        let acting = Acting::new(self.place.site(), leader.mod_revision).with_guards(self.setup.guards);
        let ours = record.value.execution.as_ref() == Some(&entry.journal().execution);
        let change = Move { record, entry: &entry };
        let built = match transaction {
            Transaction::PutJournal | Transaction::Begin | Transaction::End if over && ours => {
                txn::finish(acting, &change)
            }
            Transaction::PutJournal | Transaction::Begin | Transaction::End => txn::put_journal(acting, &change),
            Transaction::Release => txn::release(acting, &change),
            Transaction::ClaimRelease => txn::claim(acting, &change, claim?),
            Transaction::TakeOver { watched, automatic } => {
                let silence = self.peer.take_over_ready(self.now(ctx)).filter(|proof| proof.newest() == watched)?;
                txn::take_over(acting, &change, &silence, automatic)
            }
            Transaction::Reclaim => txn::reclaim(acting, &change),
        };
        Some((entry, built))
    }

    fn call(&mut self, ctx: &mut Ctx<Msg>, group: usize, effect: Effect) {
        let now = self.now(ctx);
        let name = GROUPS[group].0.to_owned();
        // Looked at just before: a call that leaves after the deadline could meet another site's.
        let newer = |token: Token| token > effect.token;
        let answer = if self.leads(ctx).is_none() {
            Answer::Failed { why: "this replica may not act".to_owned(), at: now }
        } else if self.gate().and_then(|gate| gate.with(|gate| gate.token(&name))).is_some_and(newer) {
            Answer::Refused
        } else {
            self.driver.call += 1;
            let id = self.driver.call;
            self.driver.calls.insert(id, (name.clone(), effect, now));
            ctx.send(self.node, self.databases[group], Msg::Call { from: self.node, id, effect });
            Answer::Running
        };
        self.answered(&name, effect, answer);
    }

    fn answered(&mut self, group: &str, effect: Effect, answer: Answer) {
        let answers = self.driver.answers.entry(group.to_owned()).or_default();
        Answered::enter(answers, effect, answer);
    }

    pub(super) fn called(&mut self, ctx: &mut Ctx<Msg>, id: u64, answer: Answer) {
        let now = self.now(ctx);
        let Some((group, effect, _)) = self.driver.calls.remove(&id) else { return };
        let answer = match answer {
            Answer::Failed { why, .. } => Answer::Failed { why, at: now },
            answer => answer,
        };
        self.answered(&group, effect, answer);
        self.look_soon(ctx, MS);
    }

    /// A call that has no answer after `T` has failed; it may have been carried out.
    fn expire_calls(&mut self, now: Duration) {
        let t = self.timing.t();
        let late: Vec<u64> =
            self.driver.calls.iter().filter(|(_, (_, _, sent))| now - *sent >= t).map(|(id, _)| *id).collect();
        for id in late {
            if let Some((group, effect, _)) = self.driver.calls.remove(&id) {
                let current = self.driver.answers.get(&group).is_some_and(|answers| {
                    answers.iter().any(|known| known.token == effect.token && known.kind == effect.kind)
                });
                if current {
                    self.answered(&group, effect, Answer::Failed { why: "no answer".to_owned(), at: now });
                }
            }
        }
    }

    fn situation(&self, ctx: &Ctx<Msg>, group: usize, target: Place) -> Option<Situation> {
        let now = self.now(ctx);
        let name = GROUPS[group].0;
        let held = self.board.groups.get(name)?;
        let record = &held.record.value;
        let fenced = !self.alive(ctx);
        let still = self.peer.still_for(now);
        let heard = |place: Place| {
            if place == self.place { !fenced } else { still.is_some_and(|still| still < self.timing.t()) }
        };
        let report = |place: Place| self.driver.reports.get(&(group, place));
        let view = |place: Place| {
            let data = report(place).map(|(report, since)| Data {
                role: report.role,
                position: Some(report.position),
                lag: report.lag,
                synchronous: false,
                since: *since,
                dropped: None,
            });
            let room = if record.active == place.site() { Some(true) } else { report(place).map(|(r, _)| r.room) };
            let ready_since = self.driver.ready.get(&(group, place)).copied().filter(|_| heard(place));
            (place.site().to_owned(), SiteView { heard: heard(place), ready_since, room, data, trouble: None })
        };
        let silence = self
            .members
            .as_ref()
            .filter(|read| read.site == record.active)
            .and_then(|read| Some(Silence { newest: read.newest(), since: now.saturating_sub(still?) }));
        let scope = match &self.board.holds {
            None => Some("unknown".to_owned()),
            Some(holds) => txn::holds(name, target.site())
                .into_iter()
                .find(|hold| holds.contains(hold))
                .map(|hold| format!("{hold:?}")),
        };
        Some(Situation {
            me: self.place.site().to_owned(),
            leads: self.leads(ctx).is_some(),
            fenced,
            generation: 1,
            record: GroupView {
                active: record.active.clone(),
                epoch: record.epoch,
                phase: match &record.phase {
                    RecordPhase::Held => Phase::Held,
                    RecordPhase::Released { to } => Phase::Released { to: to.clone() },
                    RecordPhase::Unconfirmed => Phase::Unconfirmed,
                },
                execution: record.execution.clone(),
                failovers_lately: record.failovers_lately,
                since: held.since,
                epoch_since: held.epoch_since,
            },
            hold: scope,
            silence,
            sites: [Place::A, Place::B].map(view).into(),
            drill: report(self.place).is_some_and(|(report, _)| report.drill),
            policy: policy(group, self.timing),
        })
    }

    /// What people at this site ask for.
    pub(super) fn asked(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects, ask: Ask) {
        let hold = HoldRecord { by: "li".to_owned(), reason: "nudged".to_owned(), since: wall() };
        match ask {
            Ask::Switchover(group) | Ask::Failover(group) => {
                let name = GROUPS[group].0;
                let Some(held) = self.board.groups.get(name) else { return };
                let (from, epoch) = (held.record.value.active.clone(), held.record.value.epoch);
                let to = if from == Place::A.site() { Place::B } else { Place::A };
                let kind = match ask {
                    Ask::Switchover(_) => ExecutionKind::Switchover,
                    _ => ExecutionKind::Failover,
                };
                // The same request under the same epoch is the same execution, wherever it is asked for.
                let execution =
                    format!("{kind:?}-{name}-{epoch}-{}", held.record.value.settled.unwrap_or_default().execution);
                let journal = Journal::new((&execution, name), kind, (&from, to.site()), epoch, wall());
                if !self.board.journals.contains_key(&(execution, name.to_owned()))
                    && held.record.value.execution.is_none()
                {
                    self.begin(ctx, journal);
                }
            }
            Ask::Abort => {
                for held in self.board.open() {
                    let key = (self.place, held.seen.journal.execution.clone());
                    objects.orders.entry(key).or_default().abort = true;
                }
                self.look_soon(ctx, MS);
            }
            Ask::Hold => {
                let txn = txn::set_hold(&Hold::All, 0, &hold);
                self.send(ctx, Asked::Other, Etcd::Txn(txn));
            }
            Ask::Unhold => {
                // A person clears whatever there is.
                let txn = Txn { then: vec![Op::delete(Key::Hold(Hold::All))], ..Txn::default() };
                self.send(ctx, Asked::Other, Etcd::Txn(txn));
            }
            Ask::End => self.resign(ctx),
            Ask::Edit => objects.edit(self.place),
        }
    }
}

/// The last entry of an execution whose holder is lost: what served stays completed, what was under way was taken back.
fn closed(journal: &Journal) -> Journal {
    let why = Reason::SourceSilent { site: journal.from.clone() };
    if (Step::Completed..=Step::Protected).contains(&journal.step) {
        let mut next = journal.closed(Outcome::Failed, wall());
        next.step = Step::Completed;
        return next;
    }
    if journal.step == Step::RolledBack {
        return journal.closed(Outcome::Failed, wall());
    }
    journal.rolled_back(&why, wall()).closed(Outcome::Failed, wall())
}
