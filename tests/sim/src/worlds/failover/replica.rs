//! One operator replica: its membership as `run_membership` drives it, what it reads and watches of the arbiter, and the
//! gate that it answers from. Moving groups is in [`driver`](super::driver).

mod feeds;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tandem_arbiter::deadman::Poll;
use tandem_arbiter::gate::{Gate, Query, SharedGate};
use tandem_arbiter::guards::Guard;
use tandem_arbiter::membership::{Act, Identity, LeaderToken, Machine, Outcome, Timing, View};
use tandem_arbiter::peers::{ClaimWatch, MembersRead, PeerWatch};
use tandem_arbiter::pins::{ClusterIdentity, Pins};
use tandem_arbiter::records::Key;
use tandem_arbiter::store::Range;
use tandem_arbiter::txn::{Op, Origin, Server, Txn, TxnAnswer};

use super::Msg;
use super::board::Board;
use super::driver::{Driver, Sent};
use super::publish::{Objects, Overwrite, Publication};
use super::setup::{Ask, GROUPS, Setup};
use crate::engine::{MS, Micros, SECOND, micros};
use crate::etcd::{Answer, Payload, Request};
use crate::net::{NodeId, Place};
use crate::world::{Ctx, Happening, Violation};

/// What a request to the arbiter was for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Identity,
    Beat {
        sent: Micros,
    },
    Campaign,
    Reap,
    Members,
    List(usize),
    Move(Box<Sent>),
    ReadBack {
        execution: String,
        group: String,
    },
    /// The object's record, to compare the object with it.
    Spec,
    Publish(Box<Publication>),
    /// A conflict, after which the object is overwritten.
    Conflict(Box<Overwrite>),
    /// A hold, a resignation: what becomes of it is seen elsewhere.
    Other,
}

/// How one prefix is followed.
#[derive(Clone, Copy, Debug, Default)]
struct Feed {
    watch: u64,
    endpoint: usize,
}

#[derive(Debug)]
pub(super) struct Replica {
    pub(super) node: NodeId,
    pub(super) place: Place,
    pub(super) violation: Option<Violation>,
    pub(super) databases: Vec<NodeId>,
    pub(super) setup: Setup,
    pub(super) timing: Timing,
    name: String,
    /// On disk.
    pins: Pins,
    // In memory.
    pub(super) machine: Option<Machine>,
    pub(super) view: View,
    pub(super) board: Board,
    pub(super) peer: PeerWatch,
    pub(super) claims: ClaimWatch,
    /// The other site's members, as last read.
    pub(super) members: Option<MembersRead>,
    pub(super) driver: Driver,
    endpoint: usize,
    due: Micros,
    begun: Micros,
    beating: bool,
    news: bool,
    tag: u64,
    /// The tag of the pause after a failed attempt.
    pause: u64,
    pub(super) pending: BTreeMap<u64, Asked>,
    /// What came from a server that is not compared with the pins yet, as it waits in `store::Compared`.
    uncompared: Vec<Happening<Msg>>,
    acts: VecDeque<Act>,
    feeds: [Feed; 3],
    look_at: Option<Micros>,
    /// Whether the gate was fed since it was last looked at.
    fed: bool,
    /// For each group: until when the gate answers 200 at the most, as long as it is not fed.
    pub(super) serves: [Option<Duration>; GROUPS.len()],
}

impl Replica {
    pub(super) fn new(node: NodeId, place: Place, name: String, timing: Timing, setup: Setup, pins: Pins) -> Self {
        let other = if place == Place::A { Place::B } else { Place::A };
        Self {
            node,
            place,
            violation: None,
            databases: Vec::new(),
            setup,
            timing,
            name,
            pins,
            machine: None,
            view: View::default(),
            board: Board::default(),
            peer: PeerWatch::new(other.site(), timing).with_guards(setup.guards),
            claims: ClaimWatch::new(place.site(), timing).with_guards(setup.guards),
            members: None,
            driver: Driver::default(),
            endpoint: place.index(),
            due: 0,
            begun: 0,
            beating: false,
            news: false,
            tag: 0,
            pause: 0,
            pending: BTreeMap::new(),
            uncompared: Vec::new(),
            acts: VecDeque::new(),
            feeds: [Feed::default(); 3],
            look_at: None,
            fed: false,
            serves: [None; GROUPS.len()],
        }
    }

    /// After every event: what the gate says now, if it was fed.
    pub(super) fn look_at_gate(&mut self, ctx: &Ctx<Msg>) {
        if !std::mem::take(&mut self.fed) {
            return;
        }
        let now = self.now(ctx);
        let until = |(name, ..): (&str, u8, &[&str], bool)| {
            let left = self.gate()?.with(|gate| gate.serves(name, now))?;
            Some(now + left)
        };
        self.serves = GROUPS.map(until);
    }

    pub(super) fn now(&self, ctx: &Ctx<Msg>) -> Duration {
        Duration::from_micros(ctx.boot_clock(self.node))
    }

    pub(super) fn gate(&self) -> Option<&SharedGate> {
        self.machine.as_ref().map(Machine::gate)
    }

    pub(super) fn alive(&self, ctx: &Ctx<Msg>) -> bool {
        self.view.alive(self.now(ctx))
    }

    pub(super) fn leads(&self, ctx: &Ctx<Msg>) -> Option<LeaderToken> {
        self.view.leads(self.now(ctx))
    }

    pub(super) fn active(&self, ctx: &Ctx<Msg>, query: &Query) -> bool {
        let now = self.now(ctx);
        self.gate().is_some_and(|gate| gate.with(|gate| gate.answer(query, now).status == 200))
    }

    pub(super) fn reason(&self, ctx: &Ctx<Msg>, query: &Query) -> String {
        let now = self.now(ctx);
        self.gate().map(|gate| gate.with(|gate| gate.answer(query, now).reason)).unwrap_or_default()
    }

    /// Writes down how it stands, its gate's whole past included.
    pub(super) fn tell(&self, ctx: &Ctx<Msg>, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        let now = self.now(ctx);
        writeln!(out, "{} {:?} {} {}", ctx.net().name(self.node), self.view, self.endpoint, self.tag)?;
        let Some(gate) = self.gate() else { return Ok(()) };
        gate.with(|gate| gate.transitions(now).try_for_each(|transition| writeln!(out, "{transition:?}")))
    }

    pub(super) fn other(&self) -> Place {
        if self.place == Place::A { Place::B } else { Place::A }
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects, what: Happening<Msg>) {
        match what {
            Happening::Started => self.start(ctx),
            Happening::Stopped => self.forget(),
            Happening::Nudged(number) => self.asked(ctx, objects, Ask::of(number)),
            Happening::Answer(answer) => self.answer(ctx, objects, answer),
            Happening::Watch(event) => self.watched(ctx, event),
            Happening::Event(message) => self.event(ctx, objects, message),
        }
    }

    fn forget(&mut self) {
        self.fed = true;
        self.machine = None;
        self.view = View::default();
        self.board = Board::default();
        self.peer = PeerWatch::new(self.other().site(), self.timing).with_guards(self.setup.guards);
        self.claims = ClaimWatch::new(self.place.site(), self.timing).with_guards(self.setup.guards);
        self.members = None;
        self.driver = Driver::default();
        self.pending.clear();
        self.uncompared.clear();
        self.acts.clear();
        self.beating = false;
        self.look_at = None;
    }

    fn start(&mut self, ctx: &mut Ctx<Msg>) {
        self.forget();
        let incarnation = ctx.net().incarnation(self.node).to_string();
        let site = self.place.site();
        let identity = Identity { site: site.to_owned(), replica: self.name.clone(), incarnation, generation: 1 };
        let guards = self.setup.guards;
        let gate = SharedGate::new(Gate::new(site, &self.name, 1, self.timing).with_guards(guards));
        let machine = Machine::with_gate(identity, self.timing, gate);
        self.machine = Some(machine.with_pins(self.pins.clone()).with_guards(guards));
        self.due = ctx.boot_clock(self.node);
        self.tick(ctx);
        for feed in 0..3 {
            self.list(ctx, feed);
        }
        self.read_members(ctx);
        ctx.timer(self.node, micros(self.timing.heartbeat()), Msg::Watch);
        self.look_soon(ctx, MS);
    }

    fn event(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects, message: Msg) {
        match message {
            Msg::Tick => self.tick(ctx),
            Msg::Again(tag) if tag == self.pause && self.beating => self.again(ctx),
            Msg::GiveUp(tag, endpoint) => {
                if let Some(asked) = self.pending.remove(&tag) {
                    // One that was answered, and waits to be compared, says nothing against the endpoint.
                    let waits = |held: &Happening<Msg>| matches!(held, Happening::Answer(answer) if answer.tag == tag);
                    if !self.uncompared.iter().any(waits) {
                        self.turn_from(endpoint);
                    }
                    self.failed(ctx, asked);
                }
            }
            Msg::Watch => {
                self.read_members(ctx);
                ctx.timer(self.node, micros(self.timing.heartbeat()), Msg::Watch);
            }
            Msg::Uncompared(tag) => {
                let of_it = |held: &Happening<Msg>| matches!(held, Happening::Watch(event) if event.tag == tag);
                if self.uncompared.iter().any(of_it) {
                    self.uncompared.retain(|held| !of_it(held));
                    self.unwatched(ctx, tag);
                }
            }
            Msg::Feed(feed) => self.list(ctx, feed),
            Msg::Look(at) if self.look_at == Some(at) => {
                self.look_at = None;
                self.drive(ctx, objects);
            }
            Msg::Poll { from, group, id } => {
                let now = self.now(ctx);
                let name = GROUPS[group].0;
                let Some(gate) = self.gate() else { return };
                let (left, token) = gate.with(|gate| (gate.serves(name, now), gate.token(name)));
                // Rounded down to milliseconds, as the header is.
                let valid_for = Duration::from_millis(left.unwrap_or_default().as_millis() as u64);
                let active = left.is_some() && token.is_some();
                let poll = Poll { active, token: token.unwrap_or_default(), valid_for };
                ctx.send(self.node, from, Msg::Polled { id, poll });
            }
            Msg::Called { id, answer } => self.called(ctx, id, answer),
            Msg::Report { group, place, report } => {
                let now = self.now(ctx);
                self.driver.reported(now, group, place, report);
            }
            _ => {}
        }
    }

    /// Sends a request, which is given up after `T/10`.
    pub(super) fn send(&mut self, ctx: &mut Ctx<Msg>, asked: Asked, request: Request) -> u64 {
        self.tag += 1;
        self.pending.insert(self.tag, asked);
        ctx.etcd(self.node, self.endpoint, self.tag, request);
        ctx.timer(self.node, micros(self.timing.attempt()), Msg::GiveUp(self.tag, self.endpoint));
        self.tag
    }

    fn tick(&mut self, ctx: &mut Ctx<Msg>) {
        self.begun = ctx.boot_clock(self.node);
        let base = if self.begun > self.due + 5 * MS { self.begun } else { self.due };
        self.due = base + micros(self.timing.heartbeat());
        self.beating = true;
        self.news = false;
        self.beat(ctx);
    }

    fn beat(&mut self, ctx: &mut Ctx<Msg>) {
        let Some(machine) = &self.machine else { return };
        if machine.must_look() {
            self.send(ctx, Asked::Identity, Request::Members);
        } else {
            let (txn, sent) = (machine.beat(), ctx.boot_clock(self.node));
            self.send(ctx, Asked::Beat { sent }, Request::Txn(txn));
        }
    }

    fn again(&mut self, ctx: &mut Ctx<Msg>) {
        let gone = ctx.boot_clock(self.node) - self.begun;
        if gone < micros(self.timing.heartbeat()) { self.beat(ctx) } else { self.end_round(ctx) }
    }

    fn end_round(&mut self, ctx: &mut Ctx<Msg>) {
        self.beating = false;
        let now = ctx.boot_clock(self.node);
        ctx.timer(self.node, self.due.saturating_sub(now), Msg::Tick);
    }

    /// Turns away from an endpoint, unless another request has done so already: all of a replica's requests share it.
    fn turn_from(&mut self, endpoint: usize) {
        if self.endpoint % 3 == endpoint % 3 {
            self.endpoint += 1;
        }
    }

    fn failed(&mut self, ctx: &mut Ctx<Msg>, asked: Asked) {
        match asked {
            Asked::Beat { .. } | Asked::Identity => {
                if let Some(machine) = &mut self.machine {
                    machine.connected();
                }
                self.tag += 1;
                self.pause = self.tag;
                ctx.timer(self.node, micros(self.timing.attempt()) / 10, Msg::Again(self.pause));
            }
            Asked::Campaign | Asked::Reap => self.act(ctx),
            Asked::List(feed) => ctx.timer(self.node, 500 * MS, Msg::Feed(feed)),
            Asked::Members => self.driver.reading = false,
            Asked::Move(sent) => self.lost(ctx, &sent),
            Asked::ReadBack { execution, group } => self.read_back(ctx, execution, group),
            // What became of it is read before the next is decided.
            Asked::Spec | Asked::Publish(_) | Asked::Conflict(_) | Asked::Other => {}
        }
    }

    fn answer(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects, answer: Answer) {
        let origin = answer.origin;
        let counts = answer.result.is_err() || self.counts(origin);
        match self.pending.get(&answer.tag) {
            Some(Asked::Identity | Asked::Beat { .. }) => {}
            Some(_) if !counts => return self.uncompared.push(Happening::Answer(answer)),
            _ => {}
        }
        let Some(asked) = self.pending.remove(&answer.tag) else { return };
        match (asked, answer.result) {
            (Asked::Identity, Ok(Payload::Members(members))) => {
                let found = ClusterIdentity { cluster: origin.cluster, members };
                self.identified(ctx, objects, &found, origin.server);
            }
            (Asked::Beat { sent }, Ok(Payload::Txn(txn))) => self.beaten(ctx, sent, &TxnAnswer { origin, ..txn }),
            (Asked::Members, Ok(Payload::Range(range))) => self.read_peer(ctx, &range),
            (Asked::List(feed), Ok(Payload::Range(range))) => self.listed(ctx, feed, &range),
            (Asked::Campaign, Ok(Payload::Txn(txn))) => {
                let now = self.now(ctx);
                if let Some(machine) = &mut self.machine {
                    machine.campaigned(now, &TxnAnswer { origin, ..txn });
                }
                self.publish(ctx);
                self.act(ctx);
            }
            (Asked::Reap, Ok(_)) => self.act(ctx),
            (Asked::Move(sent), Ok(Payload::Txn(txn))) => self.moved(ctx, &sent, &txn),
            (Asked::ReadBack { group, .. }, Ok(Payload::Txn(txn))) => {
                self.feed_both(ctx, txn.one(0), txn.one(1));
                self.driver.settle(&group);
                self.look_soon(ctx, MS);
            }
            (Asked::Spec, Ok(Payload::Txn(txn))) => self.compare(ctx, objects, txn.one(0)),
            (Asked::Publish(publication), Ok(Payload::Txn(txn))) => objects.published(self.place, &publication, &txn),
            (Asked::Conflict(overwrite), Ok(_)) => objects.overwrite(self.place, &overwrite),
            (Asked::Other, _) => {}
            (asked, _) => {
                self.turn_from(answer.endpoint);
                self.failed(ctx, asked);
            }
        }
    }

    fn counts(&self, origin: Origin) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.counts().allow(origin))
    }

    fn identified(&mut self, ctx: &mut Ctx<Msg>, objects: &mut Objects, found: &ClusterIdentity, server: Server) {
        let now = self.now(ctx);
        self.fed = true;
        let Some(machine) = &mut self.machine else { return };
        if machine.looked_at(now, found, server).is_ok() {
            self.beat(ctx);
            for waiting in std::mem::take(&mut self.uncompared) {
                match waiting {
                    Happening::Answer(answer) => self.answer(ctx, objects, answer),
                    Happening::Watch(event) if self.counts(event.origin) => self.watched(ctx, event),
                    Happening::Watch(event) => self.unwatched(ctx, event.tag),
                    _ => {}
                }
            }
        } else {
            self.publish(ctx);
            self.end_round(ctx);
        }
    }

    fn beaten(&mut self, ctx: &mut Ctx<Msg>, sent: Micros, answer: &TxnAnswer) {
        self.fed = true;
        let now = self.now(ctx);
        let Some(machine) = &mut self.machine else { return };
        match machine.answered(Duration::from_micros(sent), now, answer) {
            Ok(Outcome::Counted) => {
                self.acts = machine.acts(now).into();
                if let Some(pins) = machine.pins() {
                    self.pins = pins.clone();
                }
                self.publish(ctx);
                self.take_groups(ctx);
                self.act(ctx);
            }
            Ok(Outcome::Again | Outcome::Look) => self.again(ctx),
            Ok(Outcome::Mismatch(_) | Outcome::OtherT(_)) => {
                self.publish(ctx);
                self.end_round(ctx);
            }
            Err(error) => {
                ctx.say(|| format!("{}: {error}", self.name));
                self.forget();
                ctx.restart(self.node, SECOND);
            }
        }
    }

    fn publish(&mut self, ctx: &Ctx<Msg>) {
        let now = self.now(ctx);
        let Some(machine) = &self.machine else { return };
        let view = machine.view();
        if view.seen < self.view.seen {
            let what = format!("{} had seen {} and now {}", self.name, self.view.seen, view.seen);
            self.violation = Some(Violation::new("seen never falls", what));
        }
        let deadline = view.deadline.filter(|at| *at > now + self.timing.fence());
        if let Some(deadline) = deadline
            && self.setup == Setup::default()
        {
            let what = format!("{} at {now:?} until {deadline:?}", self.name);
            self.violation = Some(Violation::new("no deadline beyond 0.7 T", what));
        }
        self.view = view;
    }

    /// What a heartbeat brought goes to the board; the gate has it, but not the journals that came before their groups.
    fn take_groups(&mut self, ctx: &mut Ctx<Msg>) {
        let groups = self.view.groups.clone();
        let now = self.now(ctx);
        let mut news = false;
        for (name, record) in groups.iter() {
            news |= self.board.enter_group(now, name, record);
            if let Some(execution) = &record.value.execution
                && let Some(held) = self.board.journals.get(&(execution.clone(), name.clone()))
                && let Some(gate) = self.gate()
            {
                gate.with(|gate| gate.journal(now, &held.seen));
            }
        }
        if news {
            self.look_soon(ctx, 10 * MS);
        }
    }

    fn act(&mut self, ctx: &mut Ctx<Msg>) {
        match self.acts.pop_front() {
            Some(Act::Campaign(txn)) => drop(self.send(ctx, Asked::Campaign, Request::Txn(txn))),
            Some(Act::Reap(txn)) => drop(self.send(ctx, Asked::Reap, Request::Txn(txn))),
            None => {
                if !self.news && self.machine.as_ref().is_some_and(Machine::owes_news) {
                    self.news = true;
                    self.beat(ctx);
                } else {
                    self.end_round(ctx);
                }
            }
        }
    }

    pub(super) fn resign(&mut self, ctx: &mut Ctx<Msg>) {
        if let Some(txn) = self.machine.as_mut().and_then(Machine::resign) {
            self.view.leader = None;
            self.send(ctx, Asked::Other, Request::Txn(txn));
        }
        let after = ctx.rng().between(100 * MS, 3 * SECOND);
        ctx.restart(self.node, after);
    }

    pub(super) fn read_members(&mut self, ctx: &mut Ctx<Msg>) {
        if !std::mem::replace(&mut self.driver.reading, true) {
            let members = Key::members(self.other().site());
            self.send(ctx, Asked::Members, Request::Range(members));
        }
    }

    fn read_peer(&mut self, ctx: &mut Ctx<Msg>, range: &Range) {
        self.driver.reading = false;
        let mut read = MembersRead::new(self.other().site(), range);
        let now = self.now(ctx);
        self.peer.read(now, &read);
        if !self.setup.guards.on(Guard::ClaimFreshList)
            && self.claims.pending().next().is_some()
            && let Some(before) = &self.members
        {
            // What the guard forbids: going by the members that were listed before the release, and asking those alone.
            read.members.retain(|member| before.members.iter().any(|known| known.replica == member.replica));
        }
        if self.members.as_ref().is_none_or(|before| before.revision <= read.revision) {
            self.members = Some(read);
        }
        if self.claims.pending().next().is_some() {
            self.look_soon(ctx, 10 * MS);
        }
    }

    pub(super) fn read_back(&mut self, ctx: &mut Ctx<Msg>, execution: String, group: String) {
        let journal = Key::Journal { execution: execution.clone(), group: group.clone() };
        let then = vec![Op::get(Key::Group(group.clone())), Op::get(journal)];
        let txn = Txn { then, ..Txn::default() };
        self.send(ctx, Asked::ReadBack { execution, group }, Request::Txn(txn));
    }

    /// Looks at everything after at most this long.
    pub(super) fn look_soon(&mut self, ctx: &mut Ctx<Msg>, after: Micros) {
        let at = ctx.boot_clock(self.node) + after;
        if self.look_at.is_none_or(|before| before > at) {
            self.look_at = Some(at);
            ctx.timer(self.node, after, Msg::Look(at));
        }
    }
}
