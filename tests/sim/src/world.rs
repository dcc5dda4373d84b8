//! What is simulated: a [`World`] of processes, and the [`Ctx`] through which it acts.
//!
//! A world owns the state of all its processes. The run hands it one [`Happening`] at a time, always for one process that runs;
//! the world changes that process's state and acts through the context: it sends messages, sets timers, asks etcd. What is
//! for a paused process waits; what is for a dead one, or for its former incarnation, is dropped. After every event
//! [`World::check`] looks for a broken invariant.

use std::fmt::Debug;

use crate::engine::{Micros, Rng};
use crate::etcd::{Answer, Cluster, Request, Snapshot, WatchEvent};
use crate::fabric::{Fabric, Item};
use crate::net::{HostId, Net, NodeId, Place};
use crate::schedule::{Case, Profile, generate};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Violation {
    /// Which invariant, by a short name that is the same for every way of breaking it.
    pub invariant: &'static str,
    /// How it was broken.
    pub what: String,
}

impl Violation {
    /// A broken invariant.
    #[must_use]
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

/// What happens to one process.
#[derive(Clone, Debug)]
pub enum Happening<E> {
    /// It starts, for the first time or again, and remembers nothing that it has not on its disk.
    Started,
    /// It is gone: killed, or without power. It can do nothing about it; the world forgets what it held in memory.
    Stopped,
    /// A timer of its own, or a message from another process.
    Event(E),
    /// An answer of etcd's to one of its requests.
    Answer(Answer),
    /// News of one of its watches.
    Watch(WatchEvent),
    /// A fault that only the world knows; the number is the one in [`Fault::Nudge`](crate::schedule::Fault::Nudge).
    Nudged(u64),
}

/// Processes that are simulated together.
pub trait World: Sized {
    /// What its processes send each other, and set timers for.
    type Event: Debug;

    /// The name under which its failures are kept: lower case, no spaces.
    const NAME: &'static str;

    /// What is decided outside of the seed: which guard is left out, for instance, to see that it is missed.
    type Config: Clone + Default + Debug + Send + Sync;

    /// What kind of schedule this seed gets.
    fn profile(seed: u64) -> Profile;

    /// The case of this seed.
    fn case(seed: u64) -> Case {
        generate(seed, &Self::profile(seed))
    }

    /// Sets the world up: machines, processes, first records. Every process gets [`Happening::Started`] afterwards. Sizes and
    /// times follow from `case.seed` alone ([`Rng::stream`]), so that a schedule that is made smaller meets the same world.
    fn build(ctx: &mut Ctx<Self::Event>, case: &Case, config: &Self::Config) -> Self;

    /// Something happens to a process.
    fn handle(&mut self, ctx: &mut Ctx<Self::Event>, node: NodeId, what: Happening<Self::Event>);

    /// Looks at all processes at this instant; called after every event, so that it must be quick.
    ///
    /// # Errors
    /// The invariant that does not hold.
    fn check(&mut self, ctx: &Ctx<Self::Event>) -> Result<(), Violation>;

    /// Looks at the end: faults have long stopped, so that what should come about in the end must have.
    ///
    /// # Errors
    /// The invariant that does not hold.
    fn settle(&mut self, ctx: &Ctx<Self::Event>) -> Result<(), Violation>;

    /// Writes down how things stand with its processes, for [`digest`](crate::digest): what differs between two runs must
    /// differ here.
    ///
    /// # Errors
    /// Those of `out`.
    fn tell(&self, ctx: &Ctx<Self::Event>, out: &mut dyn std::fmt::Write) -> std::fmt::Result;
}

/// The simulated surroundings, as a world acts in them.
#[derive(Debug)]
pub struct Ctx<E> {
    pub(crate) fabric: Fabric<E>,
    pub(crate) clusters: Vec<Cluster>,
    /// Which cluster's member answers at each of the three endpoints.
    pub(crate) serving: [u8; 3],
    pub(crate) slow_api: [Micros; 3],
    pub(crate) backup: Option<Snapshot>,
}

impl<E: Debug> Ctx<E> {
    pub(crate) fn new(mut fabric: Fabric<E>) -> Self {
        let first = Cluster::start(&mut fabric, 0);
        Self { fabric, clusters: vec![first], serving: [0; 3], slow_api: [0; 3], backup: None }
    }

    /// The present instant of real time: for invariants and traces, never for a process's decision.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.fabric.queue.now()
    }

    /// The network, to look at.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.fabric.net
    }

    /// The network, to add machines and processes while the world is built.
    pub fn net_mut(&mut self) -> &mut Net {
        &mut self.fabric.net
    }

    /// A machine with an ordinary clock: up to ±200 ppm of drift, an age of its own, a wall clock that is some seconds wrong.
    pub fn ordinary_host(&mut self, place: Place) -> HostId {
        self.fabric.ordinary_host(place)
    }

    /// Random numbers.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.fabric.rng
    }

    /// What a process's boot clock shows now.
    #[must_use]
    pub fn boot_clock(&self, node: NodeId) -> Micros {
        self.fabric.net.boot_clock(node, self.now())
    }

    /// Which boot of its machine a process runs in.
    #[must_use]
    pub fn boots(&self, node: NodeId) -> u32 {
        self.fabric.net.boots(node)
    }

    /// What a process's wall clock shows now.
    #[must_use]
    pub fn wall_clock(&self, node: NodeId) -> i64 {
        self.fabric.net.wall_clock(node, self.now())
    }

    /// Lets something happen to a process after this long on its own boot clock. It dies with the process.
    pub fn timer(&mut self, node: NodeId, local: Micros, event: E) {
        let item = self.fabric.deliver(node, Happening::Event(event));
        let real = self.fabric.net.real(node, local);
        self.fabric.queue.after(real, item);
    }

    /// Sends a message to another process, over a connection to its present incarnation. Whether it arrives is not known.
    pub fn send(&mut self, from: NodeId, to: NodeId, event: E) {
        let item = self.fabric.deliver(to, Happening::Event(event));
        self.fabric.send(from, to, item);
    }

    /// As [`Ctx::send`], after `local` microseconds of work on the sender's clock, for which it must live but need not run.
    pub fn send_after(&mut self, from: NodeId, to: NodeId, local: Micros, event: E) {
        let item = self.fabric.deliver(to, Happening::Event(event));
        let work = self.fabric.net.real(from, local);
        self.fabric.send_later(from, to, work, item);
    }

    /// By how much the Kubernetes API of a place is slow at present.
    #[must_use]
    pub fn slow_api(&self, place: Place) -> Micros {
        self.slow_api[place.index()]
    }

    /// Sends a request to the etcd member at an endpoint (0 to 2; others count modulo 3). An answer comes as
    /// [`Happening::Answer`] with this tag, or never: time-outs are the caller's, and an answer that comes after one is for
    /// the caller to throw away, as a client does that has dropped its call.
    pub fn etcd(&mut self, node: NodeId, endpoint: usize, tag: u64, request: Request) {
        let endpoint = endpoint % 3;
        let cluster = self.serving[endpoint];
        self.clusters[usize::from(cluster)].call(&mut self.fabric, node, endpoint, tag, request);
    }

    /// The etcd cluster that most endpoints serve: to look at, and to put records in while the world is built.
    pub fn cluster(&mut self) -> &mut Cluster {
        let index = self.main_cluster();
        &mut self.clusters[index]
    }

    /// The clusters there are, the first one first; more than one after a restore or a fork.
    #[must_use]
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Which of [`Ctx::clusters`] most endpoints serve: the one that counts. A forced one beside it does not.
    #[must_use]
    pub fn main_cluster(&self) -> usize {
        let [a, b, c] = self.serving;
        usize::from(if b == c { b } else { a })
    }

    /// Starts a new cluster from a snapshot at these endpoints (a mask of their bits), as `etcdctl snapshot restore` with a
    /// fresh token does: with another cluster id, and at the snapshot's revision. The members that were there stop for ever; a
    /// cluster that keeps some of its endpoints goes on beside the new one.
    pub fn restore(&mut self, snapshot: Snapshot, endpoints: u8) {
        let id = snapshot.cluster_id().wrapping_mul(31).wrapping_add(self.clusters.len() as u64);
        self.replace(snapshot, endpoints, id);
    }

    /// As [`Ctx::restore`] with the cluster's own data at this endpoint and the same cluster id: `--force-new-cluster`.
    pub fn force_new_cluster(&mut self, endpoint: usize) {
        let endpoint = endpoint % 3;
        let old = &self.clusters[usize::from(self.serving[endpoint])];
        let (snapshot, id, term) = (old.snapshot(), old.id(), old.term(endpoint));
        self.replace(snapshot, 1 << endpoint, id);
        if let Some(forced) = self.clusters.last_mut() {
            forced.begin_at(endpoint, term);
        }
    }

    fn replace(&mut self, snapshot: Snapshot, endpoints: u8, id: u64) {
        let index = u8::try_from(self.clusters.len()).unwrap_or(u8::MAX);
        for (endpoint, serving) in self.serving.iter_mut().enumerate() {
            if endpoints & (1 << endpoint) != 0 {
                let old = *serving;
                *serving = index;
                self.clusters[usize::from(old)].retire(&mut self.fabric, endpoint);
            }
        }
        let mut cluster = Cluster::from_snapshot(snapshot, index, id, endpoints & 7, self.fabric.etcd_nodes);
        cluster.reassess(&mut self.fabric);
        self.clusters.push(cluster);
    }

    /// Ends a process from within the world and starts it again after a while of real time.
    pub fn restart(&mut self, node: NodeId, after: Micros) {
        self.fabric.pending_stops.push(node);
        self.fabric.queue.after(after.max(1), Item::Up(node));
    }

    /// Adds a line to the trace, if anybody reads it.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        self.fabric.say(line);
    }
}
