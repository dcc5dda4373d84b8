//! Clients that read, write and swap one key, and others that watch it.

use tandem_arbiter::txn::{Compare, Op, Ordering, Span, Target, Txn};

use super::history::{Did, Operation, linearizable};
use crate::engine::{MS, Micros, SECOND};
use crate::etcd::{Failure, Payload, Request};
use crate::net::{NodeId, Place};
use crate::schedule::{Case, Fault, Profile};
use crate::world::{Ctx, Happening, Violation, World};

const KEY: &str = "k";
const CLIENTS: usize = 4;
const OPERATIONS: usize = 20;

#[derive(Debug)]
pub(super) enum Timer {
    Next,
    GiveUp(u64),
    Last,
}

#[derive(Debug, Default)]
struct Client {
    node: Option<NodeId>,
    endpoint: usize,
    tag: u64,
    /// The operation that is under way: its place in the history.
    open: Option<usize>,
    left: usize,
    read: u32,
    settled: bool,
}

#[derive(Debug)]
struct Watcher {
    node: NodeId,
    endpoint: usize,
    tag: u64,
    listed: bool,
    /// Revision and value as far as it knows.
    known: (i64, u32),
    last: i64,
}

#[derive(Debug)]
pub(super) struct Register {
    clients: Vec<Client>,
    watchers: Vec<Watcher>,
    history: Vec<Operation>,
    /// Revision and value of every acknowledged write.
    acknowledged: Vec<(i64, u32)>,
    value: u32,
    end: Micros,
    in_order: bool,
    violation: Option<Violation>,
}

fn value(bytes: &[u8]) -> u32 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
}

fn put(value: u32) -> Op {
    Op::Put { key: KEY.to_owned(), value: value.to_string().into_bytes() }
}

impl World for Register {
    type Event = Timer;
    type Config = ();

    const NAME: &'static str = "register";

    fn profile(_: u64) -> Profile {
        Profile { faulty: 15 * SECOND, tail: 15 * SECOND, most: 10, ..Profile::of(5 * SECOND) }
    }

    fn build(ctx: &mut Ctx<Timer>, case: &Case, (): &()) -> Self {
        ctx.cluster().audit();
        let mut node = |n: usize| {
            let host = ctx.ordinary_host(Place::ALL[n % 2]);
            ctx.net_mut().add_node(host, format!("client-{n}"))
        };
        let client = |n: usize, node| Client { node: Some(node), endpoint: n, left: OPERATIONS, ..Client::default() };
        let clients = (0..CLIENTS).map(|n| client(n, node(n))).collect();
        let watchers = (CLIENTS..CLIENTS + 2)
            .map(|n| Watcher { node: node(n), endpoint: n, tag: 0, listed: false, known: (0, 0), last: 0 })
            .collect();
        let in_order = !case.schedule.faults.iter().any(|planned| matches!(planned.fault, Fault::Watches(_)));
        Self {
            clients,
            watchers,
            history: Vec::new(),
            acknowledged: Vec::new(),
            value: 0,
            end: case.schedule.end,
            in_order,
            violation: None,
        }
    }

    fn handle(&mut self, ctx: &mut Ctx<Timer>, node: NodeId, what: Happening<Timer>) {
        match self.clients.iter().position(|client| client.node == Some(node)) {
            Some(n) => self.client(ctx, n, what),
            None => self.watcher(ctx, node, what),
        }
    }

    fn check(&mut self, _: &Ctx<Timer>) -> Result<(), Violation> {
        self.violation.take().map_or(Ok(()), Err)
    }

    fn tell(&self, _: &Ctx<Self::Event>, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        write!(out, "{:?}", (&self.history, &self.acknowledged))
    }

    fn settle(&mut self, ctx: &Ctx<Timer>) -> Result<(), Violation> {
        let fail = |invariant, what: String| Err(Violation::new(invariant, what));
        let cluster = &ctx.clusters()[0];
        if !linearizable(&self.history) {
            return fail("linearizable", format!("{:#?}", self.history));
        }
        for (n, client) in self.clients.iter().enumerate() {
            if !client.settled {
                return fail("available after the heal", format!("client {n}"));
            }
        }
        let batches = cluster.store().since("", 0, usize::MAX);
        for (revision, value) in &self.acknowledged {
            let kept =
                *revision < cluster.store().compacted() || batches.iter().any(|batch| batch.revision == *revision);
            if !kept {
                return fail("no acknowledged write is lost", format!("{value} at {revision}"));
            }
        }
        let commits = cluster.commits();
        for pair in commits.windows(2) {
            if pair[1].term < pair[0].term || (pair[1].term == pair[0].term && pair[1].leader != pair[0].leader) {
                return fail("one leader a term", format!("{pair:?}"));
            }
        }
        if let Some(thin) = commits.iter().find(|commit| commit.copies < 2) {
            return fail("no commit without a quorum", format!("{thin:?}"));
        }
        let now = cluster.store().prefix(KEY);
        let truth = now.first().map_or((0, 0), |kv| (kv.mod_revision, value(&kv.value)));
        match self.watchers.iter().find(|watcher| watcher.known != truth) {
            Some(watcher) => fail("watches arrive in the end", format!("{:?}, truth {truth:?}", watcher.known)),
            None => Ok(()),
        }
    }
}

impl Register {
    fn client(&mut self, ctx: &mut Ctx<Timer>, n: usize, what: Happening<Timer>) {
        let Some(node) = self.clients[n].node else { return };
        match what {
            Happening::Started => {
                let last = self.end.saturating_sub(ctx.now() + 5 * SECOND);
                ctx.timer(node, last, Timer::Last);
                self.pause(ctx, n);
            }
            Happening::Stopped => self.clients[n].open = None,
            Happening::Event(Timer::Next) if self.clients[n].left > 0 => {
                self.clients[n].left -= 1;
                self.operate(ctx, n, false);
            }
            Happening::Event(Timer::Last) => {
                self.clients[n].left = 0;
                self.clients[n].open = None;
                self.operate(ctx, n, true);
            }
            Happening::Event(Timer::GiveUp(tag)) if tag == self.clients[n].tag && self.clients[n].open.is_some() => {
                self.fail(ctx, n);
            }
            Happening::Answer(answer) if answer.tag == self.clients[n].tag => match answer.result {
                Ok(payload) => self.done(ctx, n, payload),
                Err(failure) => {
                    if let (Some(open), true) = (self.clients[n].open, failure != Failure::Unknown) {
                        // Certainly nothing was changed: it must not be met.
                        self.history[open].did = Did::Read(u32::MAX);
                    }
                    self.fail(ctx, n);
                }
            },
            _ => {}
        }
    }

    fn pause(&mut self, ctx: &mut Ctx<Timer>, n: usize) {
        if let Some(node) = self.clients[n].node {
            let think = ctx.rng().between(MS, 1200 * MS);
            ctx.timer(node, think, Timer::Next);
        }
    }

    fn operate(&mut self, ctx: &mut Ctx<Timer>, n: usize, reads: bool) {
        let client = &mut self.clients[n];
        let Some(node) = client.node else { return };
        client.tag += 1;
        client.open = Some(self.history.len());
        let kind = if reads { 0 } else { ctx.rng().below(5) };
        let (request, did) = match kind {
            0 => (Request::Range(KEY.to_owned()), Did::Read(u32::MAX)),
            1 => (Request::Txn(Txn { then: vec![Op::get(KEY)], ..Txn::default() }), Did::Read(u32::MAX)),
            2 | 3 => {
                self.value += 1;
                (Request::Txn(Txn { then: vec![put(self.value)], ..Txn::default() }), Did::Write(self.value))
            }
            _ => {
                self.value += 1;
                let compare = if client.read == 0 {
                    Compare::absent(KEY)
                } else {
                    let target = Target::Value(client.read.to_string().into_bytes());
                    Compare { span: Span::Key(KEY.to_owned()), ordering: Ordering::Equal, target }
                };
                let then = vec![put(self.value)];
                let txn = Txn { compare: vec![compare], then, otherwise: vec![Op::get(KEY)] };
                (Request::Txn(txn), Did::Swap(client.read, self.value))
            }
        };
        self.history.push(Operation { invoked: ctx.now(), returned: None, did });
        ctx.etcd(node, client.endpoint, client.tag, request);
        ctx.timer(node, 700 * MS, Timer::GiveUp(client.tag));
    }

    fn done(&mut self, ctx: &mut Ctx<Timer>, n: usize, payload: Payload) {
        let client = &mut self.clients[n];
        let Some(open) = client.open.take() else { return };
        let operation = &mut self.history[open];
        operation.returned = Some(ctx.now());
        let (wrote, revision, found) = match payload {
            Payload::Range(range) => (false, range.revision, range.kvs.first().map_or(0, |kv| value(&kv.value))),
            Payload::Txn(txn) => (txn.succeeded, txn.revision, txn.one(0).map_or(0, |kv| value(&kv.value))),
            // Nobody asks for the members here.
            Payload::Members(_) => return,
        };
        match operation.did {
            Did::Write(value) | Did::Swap(_, value) if wrote => {
                self.acknowledged.push((revision, value));
                client.read = value;
            }
            _ => {
                operation.did = Did::Read(found);
                client.read = found;
            }
        }
        client.settled = client.left == 0 && ctx.now() + 6 * SECOND > self.end;
        self.pause(ctx, n);
    }

    fn fail(&mut self, ctx: &mut Ctx<Timer>, n: usize) {
        let client = &mut self.clients[n];
        client.open = None;
        client.tag += 1;
        client.endpoint += 1;
        if client.left == 0 {
            // The last read is asked for until it is answered.
            self.operate(ctx, n, true);
        } else {
            self.pause(ctx, n);
        }
    }

    fn watcher(&mut self, ctx: &mut Ctx<Timer>, node: NodeId, what: Happening<Timer>) {
        let in_order = self.in_order;
        let Some(watcher) = self.watchers.iter_mut().find(|watcher| watcher.node == node) else { return };
        match what {
            Happening::Started => watcher.list(ctx),
            Happening::Event(Timer::GiveUp(tag)) if tag == watcher.tag && !watcher.listed => watcher.list(ctx),
            Happening::Answer(answer) if answer.tag == watcher.tag => match answer.result {
                Ok(Payload::Range(range)) => {
                    watcher.listed = true;
                    watcher.known = range.kvs.first().map_or((0, 0), |kv| (kv.mod_revision, value(&kv.value)));
                    watcher.last = range.revision;
                    watcher.watch(ctx, range.revision + 1);
                }
                _ => ctx.timer(node, 300 * MS, Timer::GiveUp(watcher.tag)),
            },
            Happening::Watch(event) if event.tag == watcher.tag => match event.result {
                Ok(batch) => {
                    if in_order && batch.revision <= watcher.last {
                        let what = format!("{} after {}", batch.revision, watcher.last);
                        self.violation = Some(Violation::new("watches are in order", what));
                    }
                    watcher.last = watcher.last.max(batch.revision);
                    for event in batch.events {
                        if let tandem_arbiter::store::Event::Put(kv) = event
                            && kv.mod_revision > watcher.known.0
                        {
                            watcher.known = (kv.mod_revision, value(&kv.value));
                        }
                    }
                }
                Err(Failure::Unavailable) => watcher.watch(ctx, watcher.last + 1),
                Err(_) => watcher.list(ctx),
            },
            // A watch that is not answered is not known to be one: a client's keep-alive would find out.
            Happening::Event(Timer::Last) => watcher.list(ctx),
            _ => {}
        }
    }
}

impl Watcher {
    fn list(&mut self, ctx: &mut Ctx<Timer>) {
        self.listed = false;
        self.endpoint += 1;
        self.tag += 1;
        ctx.etcd(self.node, self.endpoint, self.tag, Request::Range(KEY.to_owned()));
        ctx.timer(self.node, 700 * MS, Timer::GiveUp(self.tag));
    }

    fn watch(&mut self, ctx: &mut Ctx<Timer>, from: i64) {
        self.tag += 1;
        self.endpoint += 1;
        self.listed = true;
        ctx.etcd(self.node, self.endpoint, self.tag, Request::Watch { prefix: KEY.to_owned(), from });
        // Its request may be lost on the way.
        ctx.timer(self.node, 7 * SECOND, Timer::Last);
    }
}
