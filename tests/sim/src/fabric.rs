//! The event queue and the network put together: how a message gets from one process to another.

use std::collections::VecDeque;

use crate::engine::{MS, Micros, Queue, Rng, SECOND, Trace};
use crate::etcd::Step;
use crate::net::{HostId, Net, NodeId, Place, Route, Running};
use crate::world::Happening;

/// What the queue holds.
#[derive(Debug)]
pub(crate) enum Item<E> {
    /// Something for a process in one of its incarnations.
    Node { node: NodeId, incarnation: u32, what: Happening<E> },
    /// Something for an etcd member in one of its incarnations.
    Etcd { node: NodeId, incarnation: u32, cluster: u8, step: Step },
    /// A message that leaves only now, after its sender worked on it.
    Leave { from: NodeId, incarnation: u32, to: NodeId, item: Box<Item<E>> },
    /// A fault of the schedule begins.
    Begin(usize),
    /// A fault of the schedule ends.
    End(usize),
    /// A flapping link changes.
    Flap(usize, bool),
    /// A process that ended by itself is started again.
    Up(NodeId),
}

impl<E> Item<E> {
    /// The process for which it is, and in which incarnation.
    pub(crate) fn owner(&self) -> Option<(NodeId, u32)> {
        match self {
            Self::Node { node, incarnation, .. } | Self::Etcd { node, incarnation, .. } => Some((*node, *incarnation)),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Held<E> {
    from: NodeId,
    to: NodeId,
    item: Item<E>,
}

/// Queue, network, random numbers and trace.
#[derive(Debug)]
pub(crate) struct Fabric<E> {
    pub(crate) queue: Queue<Item<E>>,
    pub(crate) net: Net,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    /// Of a thousand of etcd's answers, how many are lost.
    pub(crate) lose_answers: u32,
    pub(crate) etcd_nodes: [NodeId; 3],
    /// Processes that the world ends; done as soon as it has handled its event.
    pub(crate) pending_stops: Vec<NodeId>,
    held: Vec<Held<E>>,
    backlog: Vec<VecDeque<Item<E>>>,
}

impl<E> Fabric<E> {
    pub(crate) fn new(mut rng: Rng, trace: Trace) -> Self {
        let mut net = Net::new(&mut rng);
        let mut fabric = {
            let etcd_nodes = [NodeId(0), NodeId(1), NodeId(2)];
            net.held = u32::try_from(rng.below(1001)).unwrap_or_default();
            Self {
                queue: Queue::default(),
                net,
                rng,
                trace,
                lose_answers: 0,
                etcd_nodes,
                pending_stops: Vec::new(),
                held: Vec::new(),
                backlog: Vec::new(),
            }
        };
        for place in Place::ALL {
            let host = fabric.ordinary_host(place);
            fabric.net.add_node(host, format!("{}/etcd", place.site()));
        }
        fabric
    }

    pub(crate) fn ordinary_host(&mut self, place: Place) -> HostId {
        let ppm = i64::try_from(self.rng.below(401)).unwrap_or_default() - 200;
        let age = self.rng.below(1_000_000 * SECOND);
        let wall = i64::try_from(self.rng.below(10 * SECOND)).unwrap_or_default() - 5_000_000;
        self.net.add_host(place, ppm, age, wall)
    }

    pub(crate) fn now(&self) -> Micros {
        self.queue.now()
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.say(self.queue.now(), line);
    }

    /// Something for a process in its present incarnation.
    pub(crate) fn deliver(&self, node: NodeId, what: Happening<E>) -> Item<E> {
        Item::Node { node, incarnation: self.net.incarnation(node), what }
    }

    /// Sends an item on its way from one process to another; returns when it arrives, if that is known already.
    pub(crate) fn send(&mut self, from: NodeId, to: NodeId, item: Item<E>) -> Option<Micros> {
        match self.net.route(&mut self.rng, from, to) {
            Route::After(delay) => {
                self.queue.after(delay, item);
                Some(self.now() + delay)
            }
            Route::Held => {
                self.held.push(Held { from, to, item });
                None
            }
            Route::Lost => None,
        }
    }

    pub(crate) fn send_later(&mut self, from: NodeId, to: NodeId, work: Micros, item: Item<E>) {
        let incarnation = self.net.incarnation(from);
        self.queue.after(work, Item::Leave { from, incarnation, to, item: Box::new(item) });
    }

    /// After a heal: what was held and can pass now arrives, each when its connection tries the next time.
    pub(crate) fn release_held(&mut self) {
        let mut place = 0;
        while place < self.held.len() {
            if self.net.open(self.held[place].from, self.held[place].to) {
                let Held { from, to, item } = self.held.remove(place);
                // TCP has backed off by now; its next try comes within this.
                let delay = self.net.delay(&mut self.rng, from, to) + self.rng.below(1500 * MS);
                self.queue.after(delay, item);
            } else {
                place += 1;
            }
        }
    }

    /// What is for a process that runs comes back out; what is for a paused one is kept for later, for a dead one dropped.
    pub(crate) fn admit(&mut self, item: Item<E>) -> Option<Item<E>> {
        let Some((node, incarnation)) = item.owner() else { return Some(item) };
        if self.net.incarnation(node) != incarnation {
            return None;
        }
        match self.net.running(node) {
            Running::Yes => Some(item),
            Running::No => None,
            Running::Paused => {
                if self.backlog.len() <= node.index() {
                    self.backlog.resize_with(node.index() + 1, VecDeque::new);
                }
                self.backlog[node.index()].push_back(item);
                None
            }
        }
    }

    /// After a pause: everything that waited happens at once. A runtime that wakes may look at its sockets before its timers,
    /// and so take an answer that came long after its time-out.
    pub(crate) fn resume(&mut self, node: NodeId) {
        let sockets_first = self.rng.per_mille(500);
        let Some(backlog) = self.backlog.get_mut(node.index()) else { return };
        let backlog = std::mem::take(backlog);
        let from_socket =
            |item: &Item<E>| matches!(item, Item::Node { what: Happening::Answer(_) | Happening::Watch(_), .. });
        let (sockets, others): (Vec<_>, Vec<_>) =
            backlog.into_iter().partition(|item| sockets_first && from_socket(item));
        for item in sockets.into_iter().chain(others) {
            self.queue.after(0, item);
        }
    }

    /// What waited for a process that is gone is gone.
    pub(crate) fn forget(&mut self, node: NodeId) {
        if let Some(backlog) = self.backlog.get_mut(node.index()) {
            backlog.clear();
        }
    }
}
