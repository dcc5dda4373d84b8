//! One replica: what `run_membership` does with the machine, as a state machine of its own.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_arbiter::guards::{Guard, Guards};
use tandem_arbiter::membership::{Act, Identity, LeaderToken, Machine, Outcome, Timing, View};
use tandem_arbiter::txn::Txn;

use super::{Timer, Without};
use crate::engine::{MS, Micros, SECOND, micros, seconds};
use crate::etcd::{Answer, Request};
use crate::net::{NodeId, Place};
use crate::world::{Ctx, Happening, Violation};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Beat { sent: Micros },
    Campaign,
    Reap,
    Sleep,
}

#[derive(Debug)]
pub(super) struct Replica {
    pub(super) node: NodeId,
    pub(super) place: Place,
    /// The leadership as it is published; `None` while the process does not exist.
    pub(super) belief: Option<LeaderToken>,
    pub(super) violation: Option<Violation>,
    name: String,
    timing: Timing,
    without: Without,
    machine: Option<Machine>,
    view: View,
    endpoint: usize,
    /// When the next heartbeat is due, and when the present round began, on the boot clock.
    due: Micros,
    begun: Micros,
    stage: Stage,
    tag: u64,
    acts: VecDeque<Act>,
    /// Heartbeats that were given up: tag and sending.
    given_up: Vec<(u64, Micros)>,
}

impl Replica {
    pub(super) fn new(node: NodeId, place: Place, name: String, timing: Timing, without: Without) -> Self {
        Self {
            node,
            place,
            belief: None,
            violation: None,
            name,
            timing,
            without,
            machine: None,
            view: View::default(),
            endpoint: place.index(),
            due: 0,
            begun: 0,
            stage: Stage::Idle,
            tag: 0,
            acts: VecDeque::new(),
            given_up: Vec::new(),
        }
    }

    pub(super) fn leads(&self, ctx: &Ctx<Timer>) -> bool {
        let now = Duration::from_micros(ctx.boot_clock(self.node));
        self.belief.is_some_and(|token| now < token.valid_until)
    }

    pub(super) fn alive(&self, ctx: &Ctx<Timer>) -> bool {
        self.view.alive(Duration::from_micros(ctx.boot_clock(self.node)))
    }

    pub(super) fn describe(&self, ctx: &Ctx<Timer>) -> String {
        let now = ctx.boot_clock(self.node);
        let left = |until: Duration| (micros(until) as i64 - now as i64) as f64 / 1e6;
        let name = ctx.net().name(self.node);
        match (self.belief, self.view.deadline) {
            (Some(LeaderToken { mod_revision, valid_until }), _) => {
                format!("{name} leads by revision {mod_revision} for {:.3} s", left(valid_until))
            }
            (None, Some(deadline)) => format!("{name} does not lead, fenced in {:.3} s", left(deadline)),
            (None, None) => format!("{name} has heard nothing"),
        }
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<Timer>, what: Happening<Timer>) {
        match what {
            Happening::Started => self.start(ctx),
            Happening::Stopped => {
                self.machine = None;
                self.view = View::default();
                self.belief = None;
            }
            Happening::Event(Timer::Tick) => self.tick(ctx),
            Happening::Event(Timer::GiveUp(tag)) if tag == self.tag => self.give_up(ctx),
            Happening::Event(Timer::Again(tag)) if tag == self.tag => self.again(ctx),
            Happening::Event(_) | Happening::Watch(_) => {}
            Happening::Answer(answer) if answer.tag == self.tag => self.answered(ctx, answer),
            Happening::Answer(answer) => self.late(ctx, answer),
            Happening::Nudged(_) => self.end_well(ctx),
        }
    }

    fn start(&mut self, ctx: &mut Ctx<Timer>) {
        let incarnation = ctx.net().incarnation(self.node).to_string();
        let (site, replica) = (self.place.site().to_owned(), self.name.clone());
        let identity = Identity { site, replica, incarnation, generation: 1 };
        let guards =
            if self.without == Without::OneTiming { Guards::ALL.without(Guard::OneTiming) } else { Guards::ALL };
        self.machine = Some(Machine::new(identity, self.timing).with_guards(guards));
        self.view = View::default();
        self.belief = None;
        self.stage = Stage::Idle;
        // No tag is used twice, so that no answer meets a later request.
        self.tag += 1;
        self.acts.clear();
        self.given_up.clear();
        self.due = ctx.boot_clock(self.node);
        self.tick(ctx);
    }

    fn tick(&mut self, ctx: &mut Ctx<Timer>) {
        self.begun = ctx.boot_clock(self.node);
        // As tokio's interval with `MissedTickBehavior::Delay`: one that is late moves all that follow.
        let base = if self.begun > self.due + 5 * MS { self.begun } else { self.due };
        self.due = base + micros(self.timing.heartbeat());
        self.beat(ctx);
    }

    fn beat(&mut self, ctx: &mut Ctx<Timer>) {
        let Some(txn) = self.machine.as_ref().map(Machine::beat) else { return };
        self.stage = Stage::Beat { sent: ctx.boot_clock(self.node) };
        self.send(ctx, txn);
    }

    fn send(&mut self, ctx: &mut Ctx<Timer>, txn: Txn) {
        self.tag += 1;
        ctx.etcd(self.node, self.endpoint, self.tag, Request::Txn(txn));
        ctx.timer(self.node, micros(self.timing.attempt()), Timer::GiveUp(self.tag));
    }

    fn end_round(&mut self, ctx: &mut Ctx<Timer>) {
        self.stage = Stage::Idle;
        let now = ctx.boot_clock(self.node);
        ctx.timer(self.node, self.due.saturating_sub(now), Timer::Tick);
    }

    /// No answer, or a refusal: the next attempt goes elsewhere.
    fn failed(&mut self, ctx: &mut Ctx<Timer>) {
        self.endpoint += 1;
        self.tag += 1;
        match self.stage {
            Stage::Beat { .. } => {
                self.stage = Stage::Sleep;
                ctx.timer(self.node, micros(self.timing.attempt()) / 10, Timer::Again(self.tag));
            }
            Stage::Campaign | Stage::Reap => self.act(ctx),
            Stage::Idle | Stage::Sleep => {}
        }
    }

    fn give_up(&mut self, ctx: &mut Ctx<Timer>) {
        if let Stage::Beat { sent } = self.stage {
            self.given_up.push((self.tag, sent));
        }
        self.failed(ctx);
    }

    fn again(&mut self, ctx: &mut Ctx<Timer>) {
        let gone = ctx.boot_clock(self.node) - self.begun;
        if gone < micros(self.timing.heartbeat()) { self.beat(ctx) } else { self.end_round(ctx) }
    }

    fn answered(&mut self, ctx: &mut Ctx<Timer>, answer: Answer) {
        let Some(txn) = answer.txn() else { return self.failed(ctx) };
        let now = Duration::from_micros(ctx.boot_clock(self.node));
        match self.stage {
            Stage::Beat { sent } => {
                let sent = if self.without == Without::Sending { now } else { Duration::from_micros(sent) };
                let outcome = self.machine.as_mut().map(|machine| machine.answered(sent, now, &txn));
                match outcome {
                    Some(Ok(Outcome::Counted)) => {
                        self.publish(now);
                        self.acts = self.machine.as_ref().map(|machine| machine.acts(now)).unwrap_or_default().into();
                        self.act(ctx);
                    }
                    Some(Ok(Outcome::Again | Outcome::Look)) => self.again(ctx),
                    Some(Ok(Outcome::Mismatch(_) | Outcome::OtherT(_))) => {
                        self.publish(now);
                        self.end_round(ctx);
                    }
                    Some(Err(error)) => {
                        // The process ends with it, and whoever runs it starts another.
                        ctx.say(|| format!("{}: {error}", self.name));
                        self.belief = None;
                        ctx.restart(self.node, SECOND);
                    }
                    None => {}
                }
            }
            Stage::Campaign => {
                if let Some(machine) = &mut self.machine {
                    machine.campaigned(now, &txn);
                }
                self.publish(now);
                self.act(ctx);
            }
            Stage::Reap => self.act(ctx),
            Stage::Idle | Stage::Sleep => {}
        }
    }

    /// An answer to a request that was given up: a client has dropped its call by then, unless that guard is left out.
    fn late(&mut self, ctx: &mut Ctx<Timer>, answer: Answer) {
        let Some(place) = self.given_up.iter().position(|(tag, _)| *tag == answer.tag) else { return };
        let (_, sent) = self.given_up.swap_remove(place);
        if self.without == Without::TimeOut
            && let (Some(machine), Some(txn)) = (&mut self.machine, answer.txn())
        {
            let now = Duration::from_micros(ctx.boot_clock(self.node));
            let _ = machine.answered(Duration::from_micros(sent), now, &txn);
            self.publish(now);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<Timer>) {
        match self.acts.pop_front() {
            Some(Act::Campaign(mut txn)) => {
                if self.without == Without::MemberCompare {
                    txn.compare.truncate(1);
                }
                self.stage = Stage::Campaign;
                ctx.say(|| format!("{} of {} campaigns: {:?}", self.name, self.place.site(), txn.compare));
                self.send(ctx, txn);
            }
            Some(Act::Reap(txn)) => {
                self.stage = Stage::Reap;
                self.send(ctx, txn);
            }
            None => self.end_round(ctx),
        }
    }

    /// A good end, as before an upgrade: the leadership is given up, and the process starts anew.
    fn end_well(&mut self, ctx: &mut Ctx<Timer>) {
        if let Some(resignation) = self.machine.as_mut().and_then(Machine::resign) {
            self.belief = None;
            self.send(ctx, resignation);
        }
        let after = ctx.rng().between(100 * MS, 5 * SECOND);
        ctx.restart(self.node, after);
    }

    fn publish(&mut self, now: Duration) {
        let Some(machine) = &self.machine else { return };
        let view = machine.view();
        if view.seen < self.view.seen {
            let what = format!("{} had seen {} and now {}", self.name, self.view.seen, view.seen);
            self.violation = Some(Violation::new("seen never falls", what));
        }
        if let Some(deadline) = view.deadline
            && deadline > now + self.timing.fence()
        {
            let what = format!("{}: {} s after {} s", self.name, seconds(micros(deadline)), seconds(micros(now)));
            self.violation = Some(Violation::new("no deadline beyond 0.7 T", what));
        }
        self.belief = view.leader;
        self.view = view;
    }
}
