//! One group's data at one site: a database with its provider, the dead-man switch beside it, and the service that writes.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem_arbiter::deadman::{Agent, GateFile, Poll, token_text, writable};
use tandem_core::failover::{Answer, Effect, EffectKind, Role, Token};

use super::setup::{GROUPS, Setup, Trouble};
use super::{Facts, Msg};
use crate::engine::{MS, Micros, SECOND};
use crate::net::{NodeId, Place};
use crate::world::{Ctx, Happening};

/// What a site's data says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub(super) role: Role,
    pub(super) position: u64,
    pub(super) lag: Option<Duration>,
    pub(super) room: bool,
    pub(super) drill: bool,
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) node: NodeId,
    pub(super) place: Place,
    pub(super) group: usize,
    /// The same group's data at the other site.
    pub(super) peer: NodeId,
    /// The replicas of both sites, those of this one first.
    pub(super) replicas: Vec<NodeId>,
    t: Micros,
    setup: Setup,
    quiet: Micros,
    // On disk.
    pub(super) role: Role,
    pub(super) position: u64,
    highest: Token,
    follows: u64,
    // In memory that outlives the process, but not the machine.
    file: Option<GateFile>,
    boot: u32,
    // In the process.
    agent: Option<Agent>,
    polls: BTreeMap<u64, Micros>,
    poll: u64,
    fed: Option<Micros>,
    restored: Option<(Micros, u64)>,
    trouble: Trouble,
    drill: bool,
    /// What is asked of the Kubernetes API at present, and when it will be done.
    scaling: Option<(EffectKind, Micros)>,
}

impl Database {
    pub(super) fn new(node: NodeId, place: Place, group: usize, t: Micros, setup: Setup, quiet: Micros) -> Self {
        let holder = place == Place::A;
        Self {
            node,
            place,
            group,
            peer: node,
            replicas: Vec::new(),
            t,
            setup,
            quiet,
            role: if holder { Role::Active } else { Role::Standby },
            position: 0,
            highest: Token::default(),
            follows: 1,
            file: None,
            boot: 0,
            agent: None,
            polls: BTreeMap::new(),
            poll: 0,
            fed: None,
            restored: None,
            trouble: Trouble::Mended,
            drill: false,
            scaling: None,
        }
    }

    fn name(&self) -> &'static str {
        GROUPS[self.group].0
    }

    /// The highest token that it has seen, as text.
    pub(super) fn highest(&self) -> String {
        token_text(&self.highest)
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<Msg>, facts: &mut Facts, what: Happening<Msg>) {
        match what {
            Happening::Started => self.start(ctx),
            Happening::Stopped => {
                self.file = self.agent.take().map(|agent| agent.file().clone());
            }
            Happening::Event(message) => self.event(ctx, facts, &message),
            Happening::Nudged(number) => match Trouble::of(number) {
                Trouble::Drill if self.role != Role::Active => self.drill = true,
                Trouble::Drill => {}
                trouble => self.trouble = trouble,
            },
            Happening::Answer(_) | Happening::Watch(_) => {}
        }
    }

    fn start(&mut self, ctx: &mut Ctx<Msg>) {
        let boot = ctx.boots(self.node);
        if boot != self.boot {
            // The machine was started anew: what was in memory is gone.
            self.boot = boot;
            self.file = None;
        }
        let agent = Agent::new(self.name(), &self.boot_id(), self.file.take());
        self.agent = Some(agent.with_guards(self.setup.guards));
        self.polls.clear();
        self.fed = None;
        self.restored = None;
        self.scaling = None;
        ctx.timer(self.node, 0, Msg::PollTick);
        ctx.timer(self.node, 0, Msg::ReportTick);
        if GROUPS[self.group].3 {
            ctx.timer(self.node, 0, Msg::WriteTick);
        }
    }

    fn event(&mut self, ctx: &mut Ctx<Msg>, facts: &mut Facts, message: &Msg) {
        let now = ctx.boot_clock(self.node);
        match *message {
            Msg::PollTick => {
                self.poll += 1;
                self.polls.retain(|_, sent| now - *sent < self.t / 5);
                self.polls.insert(self.poll, now);
                let to = self.replicas[(self.poll % 2) as usize];
                ctx.send(self.node, to, Msg::Poll { from: self.node, group: self.group, id: self.poll });
                ctx.timer(self.node, self.t / 10, Msg::PollTick);
            }
            Msg::Polled { id, poll } if self.trouble(ctx) == Trouble::Busy => {
                let late = ctx.rng().below(self.t / 5);
                ctx.timer(self.node, late, Msg::Taken { id, poll });
            }
            Msg::Polled { id, ref poll } | Msg::Taken { id, ref poll } => self.polled(id, poll),
            Msg::ReportTick => self.report(ctx, now),
            Msg::Replicate { position, epoch }
                // What was sent earlier comes earlier: a stream does not take back under one epoch what it has brought.
                if self.role == Role::Standby
                    && (epoch > self.follows || (epoch == self.follows && position >= self.position))
                    && self.trouble(ctx) != Trouble::Stalled =>
            {
                self.follows = epoch;
                self.position = position;
                self.fed = Some(now);
            }
            Msg::WriteTick => self.write(ctx, facts, now),
            Msg::Commit { begun, epoch, position, boot } if boot == self.boot && self.may_write(now).is_some() => {
                facts.accept(ctx.now(), self.group, self.place, epoch, begun, position);
            }
            Msg::Call { from, id, effect } => self.called(ctx, facts, from, id, effect),
            Msg::Restore { epoch } => {
                self.role = Role::Active;
                self.restored = Some((now + self.t * 7 / 10, epoch));
            }
            _ => {}
        }
    }

    fn trouble(&self, ctx: &Ctx<Msg>) -> Trouble {
        if ctx.now() >= self.quiet { Trouble::Mended } else { self.trouble }
    }

    fn polled(&mut self, id: u64, poll: &Poll) {
        if let (Some(sent), Some(agent)) = (self.polls.remove(&id), &mut self.agent) {
            // A refusal changes nothing; the file runs out by itself.
            let _ = agent.refresh(Duration::from_micros(sent), poll);
        }
    }

    fn report(&mut self, ctx: &mut Ctx<Msg>, now: Micros) {
        let lag = self.fed.map(|fed| Duration::from_micros(now - fed + 50 * MS)).filter(|_| self.role == Role::Standby);
        let room = self.trouble(ctx) != Trouble::NoRoom;
        let report = Report { role: self.role, position: self.position, lag, room, drill: self.drill };
        for index in 0..self.replicas.len() {
            let to = self.replicas[index];
            ctx.send(self.node, to, Msg::Report { group: self.group, place: self.place, report });
        }
        self.replicate(ctx);
        ctx.timer(self.node, self.t / 5, Msg::ReportTick);
    }

    fn replicate(&self, ctx: &mut Ctx<Msg>) {
        if matches!(self.role, Role::Active | Role::Quiesced) {
            ctx.send(
                self.node,
                self.peer,
                Msg::Replicate { position: self.position, epoch: self.highest.epoch.max(1) },
            );
        }
    }

    /// Under which epoch a write may be accepted now.
    fn may_write(&self, now: Micros) -> Option<u64> {
        if let Some((until, epoch)) = self.restored {
            return (now < until).then_some(epoch);
        }
        let file = self.agent.as_ref().map(Agent::file);
        writable(file, self.name(), Duration::from_micros(now), &self.boot_id()).ok()?;
        file.map(|file| file.token.epoch)
    }

    fn write(&mut self, ctx: &mut Ctx<Msg>, facts: &mut Facts, now: Micros) {
        ctx.timer(self.node, self.t / 12, Msg::WriteTick);
        if self.role != Role::Active {
            return;
        }
        let Some(epoch) = self.may_write(now) else {
            facts.refused(ctx.now(), self.group, self.place);
            return;
        };
        self.position += 1;
        let (begun, position, boot) = (ctx.now(), self.position, self.boot);
        // A commit takes some milliseconds; now and then a disk or a lock makes it wait.
        let slow = ctx.rng().per_mille(60);
        let takes = match (self.trouble(ctx), slow) {
            (Trouble::Busy, _) => ctx.rng().below(self.t / 2),
            (_, true) => ctx.rng().below(SECOND),
            (_, false) => ctx.rng().between(MS, 20 * MS),
        };
        ctx.timer(self.node, takes, Msg::Commit { begun, epoch, position, boot });
    }

    fn called(&mut self, ctx: &mut Ctx<Msg>, facts: &mut Facts, from: NodeId, id: u64, effect: Effect) {
        let Effect { kind, token } = effect;
        let trouble = self.trouble(ctx);
        let fails = match trouble {
            Trouble::Fails => true,
            Trouble::FenceFails => kind == EffectKind::Fence,
            Trouble::RedirectFails => kind == EffectKind::Redirect,
            Trouble::VerifyFails => kind == EffectKind::Verify,
            _ => false,
        };
        if trouble == Trouble::Hangs || (trouble == Trouble::DemoteHangs && kind == EffectKind::Demote) {
            return;
        }
        let answer = if fails {
            Answer::Failed { why: "nudged to fail".to_owned(), at: Duration::ZERO }
        } else if token < self.highest {
            facts.refused_calls += 1;
            Answer::Refused
        } else {
            self.carry_out(ctx, facts, effect)
        };
        let after = if trouble == Trouble::Late { self.t / 3 } else { MS } + self.workloads(ctx, kind);
        ctx.send_after(self.node, from, after, Msg::Called { id, answer });
    }

    /// How much longer the Kubernetes API makes a call take. It alone is slow, what was asked of it goes on: who asks again
    /// does not begin anew.
    fn workloads(&mut self, ctx: &Ctx<Msg>, kind: EffectKind) -> Micros {
        let slow = ctx.slow_api(self.place);
        if !matches!(kind, EffectKind::ScaleActive | EffectKind::ScaleStandby) || (slow == 0 && self.scaling.is_none())
        {
            return 0;
        }
        let now = ctx.boot_clock(self.node);
        let ready = self.scaling.filter(|(scaled, _)| *scaled == kind).map_or(now + slow, |(_, ready)| ready);
        // Once the API is quick again, nothing keeps it.
        let ready = ready.min(now + slow);
        self.scaling = Some((kind, ready)).filter(|_| ready > now);
        ready.saturating_sub(now)
    }

    fn carry_out(&mut self, ctx: &mut Ctx<Msg>, facts: &mut Facts, effect: Effect) -> Answer {
        let Effect { kind, token } = effect;
        self.highest = token;
        match kind {
            EffectKind::Quiesce if self.role == Role::Active => self.role = Role::Quiesced,
            EffectKind::FinalSync => self.replicate(ctx),
            EffectKind::Demote if self.role != Role::Standby => {
                // A planned demotion has everything; a former active's rewinds to what the new one sends.
                self.role = Role::Standby;
                self.fed = None;
            }
            EffectKind::Fence => {
                if let Some(agent) = &mut self.agent
                    && agent.fence(&token).is_err()
                {
                    return Answer::Refused;
                }
                if matches!(self.role, Role::Active | Role::Quiesced | Role::Unknown) {
                    self.role = Role::Fenced;
                }
            }
            EffectKind::Promote | EffectKind::Resume => {
                if kind == EffectKind::Promote {
                    facts.promoted(ctx.now(), self.group, self.place, token, self.position);
                } else {
                    facts.resumed(self.group, self.place, token);
                }
                self.role = Role::Active;
            }
            EffectKind::SweepDrill => self.drill = false,
            _ => {}
        }
        Answer::Done { note: String::new(), position: Some(self.position) }
    }
}
