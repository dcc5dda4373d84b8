//! Places, hosts, processes, their clocks, and the links between them.
//!
//! Connections are TCP: a packet that is lost is sent again, so that a cut delays a message until after the heal or, where the
//! connection is given up, loses it ([`Route`]). Messages of one connection may overtake each other, because gRPC answers
//! requests in the order in which they are done; who needs an order (a watch) keeps it himself.

mod clock;

use serde::{Deserialize, Serialize};

pub use clock::BootClock;

use crate::engine::{MS, Micros, Rng};

/// One of the three places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// The first data centre.
    A,
    /// The second data centre.
    B,
    /// The third place: one etcd member and nothing else.
    Witness,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::Witness];

    /// The name of its site, as records bear it.
    #[must_use]
    pub fn site(self) -> &'static str {
        match self {
            Self::A => "dc-a",
            Self::B => "dc-b",
            Self::Witness => "witness",
        }
    }

    /// Its number, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::Witness => 2,
        }
    }
}

/// A machine: its processes share its clocks and its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostId(pub u16);

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u16);

impl NodeId {
    /// Its number, from 0: the order in which the processes were added.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One direction of the way between two places, or within one.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// The shortest delay.
    pub base: Micros,
    /// What comes on top of it, evenly from 0 to this.
    pub jitter: Micros,
    /// What a fault adds.
    pub extra: Micros,
    /// How many packets of a thousand are lost and sent again after 200 ms, 400 ms and so on.
    pub loss: u32,
    /// How many faults cut it at present.
    cuts: u16,
}

#[derive(Clone, Debug)]
struct Host {
    place: Place,
    boot: BootClock,
    boots: u32,
    wall: i64,
    ppm: i64,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    host: HostId,
    incarnation: u32,
    down: u16,
    paused: u16,
    isolated: u16,
}

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It runs.
    Yes,
    /// It is stopped for a while (`SIGSTOP`): everything waits for it, its boot clock goes on.
    Paused,
    /// It does not exist.
    No,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It arrives after this.
    After(Micros),
    /// It waits in the sender's kernel for the heal.
    Held,
    /// It never arrives.
    Lost,
}

/// The network and everything attached to it.
#[derive(Clone, Debug)]
pub struct Net {
    links: [[Link; 3]; 3],
    hosts: Vec<Host>,
    nodes: Vec<Node>,
    /// Of a thousand messages sent into a cut, how many are held rather than lost.
    pub held: u32,
}

impl Net {
    /// Three places at a distance that follows from the random numbers: round trips of at most 20 ms (failover.md, section 1).
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        let mut links: [[Link; 3]; 3] = Default::default();
        for (from, row) in links.iter_mut().enumerate() {
            for (to, link) in row.iter_mut().enumerate() {
                *link = Link { base: 100, jitter: 200, ..Link::default() };
                if from < to {
                    *link =
                        Link { base: rng.between(MS / 2, 8 * MS), jitter: rng.between(100, 2 * MS), ..Link::default() };
                }
            }
        }
        for (from, to) in [(1, 0), (2, 0), (2, 1)] {
            links[from][to] = links[to][from].clone();
        }
        Self { links, hosts: Vec::new(), nodes: Vec::new(), held: 500 }
    }

    /// A new machine. `ppm` is by how many millionths its boot clock runs fast, `age` what it shows at the start and `wall` by
    /// how many microseconds its wall clock is wrong.
    pub fn add_host(&mut self, place: Place, ppm: i64, age: Micros, wall: i64) -> HostId {
        self.hosts.push(Host { place, boot: BootClock::new(0, age, ppm), boots: 0, wall, ppm });
        HostId(u16::try_from(self.hosts.len() - 1).unwrap_or(u16::MAX))
    }

    /// A new process, which runs.
    pub fn add_node(&mut self, host: HostId, name: impl Into<String>) -> NodeId {
        let name = name.into();
        self.nodes.push(Node { name, host, incarnation: 1, down: 0, paused: 0, isolated: 0 });
        NodeId(u16::try_from(self.nodes.len() - 1).unwrap_or(u16::MAX))
    }

    /// Every process, in the order of adding.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u16::try_from(self.nodes.len()).unwrap_or(u16::MAX)).map(NodeId)
    }

    /// The processes of a place.
    pub fn nodes_at(&self, place: Place) -> Vec<NodeId> {
        self.nodes().filter(|node| self.place(*node) == place).collect()
    }

    /// A process's name.
    #[must_use]
    pub fn name(&self, node: NodeId) -> &str {
        &self.nodes[node.index()].name
    }

    /// Where a process is.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Place {
        self.host(node).place
    }

    /// On which machine a process is.
    #[must_use]
    pub fn host_of(&self, node: NodeId) -> HostId {
        self.nodes[node.index()].host
    }

    /// Which start of the process this is, from 1.
    #[must_use]
    pub fn incarnation(&self, node: NodeId) -> u32 {
        self.nodes[node.index()].incarnation
    }

    /// Whether a process runs.
    #[must_use]
    pub fn running(&self, node: NodeId) -> Running {
        let node = &self.nodes[node.index()];
        match (node.down, node.paused) {
            (0, 0) => Running::Yes,
            (0, _) => Running::Paused,
            _ => Running::No,
        }
    }

    /// What the boot clock of a process's machine shows at this instant.
    #[must_use]
    pub fn boot_clock(&self, node: NodeId, now: Micros) -> Micros {
        self.host(node).boot.read(now)
    }

    /// How often a process's machine was started anew: what tells one boot from another, as `boot_id` does in a kernel. The
    /// clock does not: it may show more than before by the time somebody looks.
    #[must_use]
    pub fn boots(&self, node: NodeId) -> u32 {
        self.host(node).boots
    }

    /// How long it takes in real time until the boot clock of a process's machine has gone on by this much.
    #[must_use]
    pub fn real(&self, node: NodeId, local: Micros) -> Micros {
        self.host(node).boot.real(local)
    }

    /// What the wall clock of a process's machine shows, in microseconds since the beginning of the run.
    #[must_use]
    pub fn wall_clock(&self, node: NodeId, now: Micros) -> i64 {
        i64::try_from(now).unwrap_or(i64::MAX).saturating_add(self.host(node).wall)
    }

    /// Sets a machine's wall clock wrong by this many microseconds more.
    pub fn shift_wall_clock(&mut self, host: HostId, by: i64) {
        let wall = &mut self.hosts[usize::from(host.0)].wall;
        *wall = wall.saturating_add(by);
    }

    /// Makes a machine's boot clock run fast by so many millionths, instead of what it was given; `None` for that again.
    pub fn set_drift(&mut self, host: HostId, ppm: Option<i64>, now: Micros) {
        let host = &mut self.hosts[usize::from(host.0)];
        host.boot.set_drift(now, ppm.unwrap_or(host.ppm));
    }

    /// The machine was started anew: its boot clock begins at zero.
    pub fn reboot(&mut self, host: HostId, now: Micros) {
        let host = &mut self.hosts[usize::from(host.0)];
        host.boot = BootClock::new(now, 0, host.ppm);
        host.boots += 1;
    }

    /// One direction between two places.
    pub fn link_mut(&mut self, from: Place, to: Place) -> &mut Link {
        &mut self.links[from.index()][to.index()]
    }

    /// One more fault cuts this direction.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.link_mut(from, to).cuts += 1;
    }

    /// One fault less cuts this direction.
    pub fn heal(&mut self, from: Place, to: Place) {
        let link = self.link_mut(from, to);
        link.cuts = link.cuts.saturating_sub(1);
    }

    /// One more, or one less, fault keeps this process from everybody, those on its own machine included.
    pub fn isolate(&mut self, node: NodeId, on: bool) {
        count(&mut self.nodes[node.index()].isolated, on);
    }

    /// One more, or one less, fault stops this process for a while.
    pub(crate) fn pause(&mut self, node: NodeId, on: bool) {
        count(&mut self.nodes[node.index()].paused, on);
    }

    /// One more, or one less, fault keeps this process from existing. Its end begins the next incarnation.
    pub(crate) fn stop(&mut self, node: NodeId, on: bool) {
        let node = &mut self.nodes[node.index()];
        if on && node.down == 0 {
            node.incarnation += 1;
        }
        count(&mut node.down, on);
    }

    /// Whether a message can get from one process to the other at present, leaving aside whether both run.
    #[must_use]
    pub fn open(&self, from: NodeId, to: NodeId) -> bool {
        if from == to {
            return true;
        }
        let cut = self.nodes[from.index()].isolated + self.nodes[to.index()].isolated;
        cut == 0 && self.links[self.place(from).index()][self.place(to).index()].cuts == 0
    }

    /// Whether both run and reach each other.
    #[must_use]
    pub fn talk(&self, one: NodeId, other: NodeId) -> bool {
        self.running(one) == Running::Yes
            && self.running(other) == Running::Yes
            && self.open(one, other)
            && self.open(other, one)
    }

    /// How long a message takes where nothing is cut.
    pub fn delay(&self, rng: &mut Rng, from: NodeId, to: NodeId) -> Micros {
        if self.host_of(from) == self.host_of(to) {
            return rng.between(20, 60);
        }
        let link = &self.links[self.place(from).index()][self.place(to).index()];
        let noise = rng.next();
        let mut delay = link.base + link.extra + noise % (link.jitter + 1);
        // One message in 256 meets a busy switch or scheduler.
        if noise >> 56 == 0 {
            delay += rng.below(60 * MS);
        }
        if link.loss > 0 {
            let mut again = 200 * MS;
            while rng.per_mille(link.loss) && again < 7000 * MS {
                delay += again;
                again *= 2;
            }
        }
        delay
    }

    /// What becomes of a message that is sent now.
    pub fn route(&self, rng: &mut Rng, from: NodeId, to: NodeId) -> Route {
        if self.open(from, to) {
            Route::After(self.delay(rng, from, to))
        } else if rng.per_mille(self.held) {
            Route::Held
        } else {
            Route::Lost
        }
    }

    fn host(&self, node: NodeId) -> &Host {
        &self.hosts[usize::from(self.nodes[node.index()].host.0)]
    }
}

fn count(counter: &mut u16, up: bool) {
    *counter = if up { *counter + 1 } else { counter.saturating_sub(1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net() -> (Net, Rng, [NodeId; 3]) {
        let mut rng = Rng::new(1);
        let mut net = Net::new(&mut rng);
        let nodes = Place::ALL.map(|place| {
            let host = net.add_host(place, 0, 0, 0);
            net.add_node(host, place.site())
        });
        (net, rng, nodes)
    }

    #[test]
    fn a_cut_is_one_way_and_faults_add_up() {
        let (mut net, mut rng, [a, b, w]) = net();
        net.cut(Place::A, Place::B);
        net.cut(Place::A, Place::B);
        assert!(!net.open(a, b) && net.open(b, a) && net.open(a, w) && !net.talk(a, b));
        net.held = 1000;
        assert_eq!(net.route(&mut rng, a, b), Route::Held);
        net.held = 0;
        assert_eq!(net.route(&mut rng, a, b), Route::Lost);
        net.heal(Place::A, Place::B);
        assert!(!net.open(a, b));
        net.heal(Place::A, Place::B);
        assert!(net.talk(a, b));
        assert!(matches!(net.route(&mut rng, a, b), Route::After(delay) if delay > 0));
        net.isolate(w, true);
        assert!(!net.open(a, w) && !net.open(w, a) && net.open(w, w));
    }

    #[test]
    fn a_stopped_process_comes_back_as_another() {
        let (mut net, _, [a, ..]) = net();
        net.pause(a, true);
        assert_eq!(net.running(a), Running::Paused);
        net.stop(a, true);
        net.stop(a, true);
        net.pause(a, false);
        assert_eq!((net.running(a), net.incarnation(a)), (Running::No, 2));
        net.stop(a, false);
        assert_eq!(net.running(a), Running::No);
        net.stop(a, false);
        assert_eq!((net.running(a), net.incarnation(a)), (Running::Yes, 2));
    }

    #[test]
    fn wall_clocks_lie_and_boot_clocks_begin_again() {
        let (mut net, _, [a, ..]) = net();
        let host = net.host_of(a);
        net.shift_wall_clock(host, -3_600_000_000);
        assert_eq!(net.wall_clock(a, 1_000_000), -3_599_000_000);
        assert_eq!(net.boot_clock(a, 500), 500);
        net.reboot(host, 400);
        assert_eq!(net.boot_clock(a, 500), 100);
    }
}
