//! A model of etcd as its clients see it: three members, one of which leads, over the multi-version store that the arbiter's
//! own tests use.
//!
//! It is Raft without its heartbeats: who hears whom follows from the network, so that only changes of the network, elections
//! and requests cost events. Terms, votes (with pre-vote and check-quorum), each member's durable log and its uncommitted end
//! are kept as Raft has them, and the dangerous histories come out of that: a write that was given up is committed late, by
//! the next leader or by a stalled one that wakes; an answer is lost; a deposed leader's writes vanish. Reads are linearizable
//! by read index and are never answered by a deposed leader. Nothing is carried out twice, as gRPC repeats nothing by itself.

mod raft;
mod serve;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;

use tandem_arbiter::store::mvcc::Mvcc;
use tandem_arbiter::store::{Cause, Range, StoreError, WatchBatch};
use tandem_arbiter::txn::{Origin, Server, Txn, TxnAnswer};

use crate::engine::{MS, Micros};
use crate::fabric::Fabric;
use crate::net::NodeId;

/// A request to a member.
#[derive(Clone, Debug)]
pub enum Request {
    /// One transaction. It is answered with [`Payload::Txn`].
    Txn(Txn),
    /// Every key with this prefix, linearizably. It is answered with [`Payload::Range`].
    Range(String),
    /// Who the members are. It is answered with [`Payload::Members`].
    Members,
    /// Watches a prefix from a revision on (inclusive). No answer; its news are [`Happening::Watch`](crate::Happening::Watch).
    Watch {
        /// The prefix.
        prefix: String,
        /// The first revision of interest; 0 for whatever comes.
        from: i64,
    },
    /// Ends the watch of this tag.
    EndWatch,
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A transaction's answer.
    Txn(TxnAnswer),
    /// The keys with a prefix.
    Range(Range),
    /// The ids of the members.
    Members(BTreeSet<u64>),
}

/// Why a request was not carried out, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The member's process does not run, or a read found no leader: certainly nothing was changed.
    #[error("the member cannot be reached")]
    Unavailable,
    /// The connection ended while a write was under way: whether it was or will be carried out is not known.
    #[error("the answer was lost")]
    Unknown,
    /// Out of space: writes are refused until somebody mends it.
    #[error("mvcc: database space exceeded")]
    NoSpace,
    /// The member's certificate has expired.
    #[error("the certificate has expired")]
    Certificate,
    /// A request that no store would take.
    #[error("the request is not possible")]
    Invalid,
    /// The revisions asked for are gone.
    #[error("compacted; there are revisions from {from} on")]
    Compacted {
        /// The oldest revision still kept.
        from: i64,
    },
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let cause = Cause(failure.to_string().into());
        match failure {
            Failure::Unavailable => Self::Unavailable(cause),
            Failure::Unknown => Self::Unknown(cause),
            Failure::NoSpace | Failure::Certificate | Failure::Invalid => Self::Refused(cause),
            Failure::Compacted { from } => Self::Compacted { from },
        }
    }
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request's tag.
    pub tag: u64,
    /// The endpoint that answered.
    pub endpoint: usize,
    /// Who answered, as every answer's header says; nobody where the connection just ended.
    pub origin: Origin,
    /// What came.
    pub result: Result<Payload, Failure>,
}

impl Answer {
    /// The transaction's answer, if it is one.
    #[must_use]
    pub fn txn(self) -> Option<TxnAnswer> {
        match self.result {
            Ok(Payload::Txn(answer)) => Some(answer),
            _ => None,
        }
    }
}

/// News of a watch. After an error the watch is over.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// The watch's tag.
    pub tag: u64,
    /// Who says so.
    pub origin: Origin,
    /// Whole revisions, or why it ended.
    pub result: Result<WatchBatch, Failure>,
}

/// A backup: the data, and the id of the cluster from which it came.
#[derive(Clone, Debug)]
pub struct Snapshot {
    store: Mvcc,
    cluster: u64,
}

impl Snapshot {
    /// The id of the cluster from which it came.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        self.cluster
    }

    /// The data.
    #[must_use]
    pub fn store(&self) -> &Mvcc {
        &self.store
    }
}

/// Number of a request within its cluster.
pub(crate) type CallId = u32;

/// What happens at a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A client's request arrives.
    Arrive(CallId),
    /// A request arrives at the leader from another member.
    Forwarded(CallId),
    /// The leader has heard from a quorum since a read arrived.
    Confirm { call: CallId, term: u64 },
    /// The leader has heard from a quorum, and from its disk, about its log up to this index.
    Commit { term: u64, upto: u64 },
    /// The member has carried out a client's request, and answers.
    Applied(CallId),
    /// A leader has not been heard for an election time-out.
    Election(u32),
    /// A leader has not heard from a quorum for an election time-out.
    Abdicate(u32),
    /// The leader of a term is heard.
    Learn { leader: u8, term: u64 },
    /// The member has applied everything up to this revision, and tells its watches.
    Feed(i64),
}

/// A committed entry, for the model's own tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The term whose leader committed it.
    pub term: u64,
    /// That leader.
    pub leader: usize,
    /// How many members had it on disk then.
    pub copies: usize,
    /// The store's revision afterwards.
    pub revision: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    term: u64,
    /// `None` for the empty entry with which a term begins.
    call: Option<CallId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    /// `ready` once an entry of its own term is committed; before, it answers no reads.
    Leader {
        ready: bool,
    },
}

#[derive(Clone, Debug)]
struct Member {
    /// Whether it belongs to this cluster and was not retired.
    part: bool,
    // On disk.
    term: u64,
    /// How many committed entries it has, ...
    have: u64,
    /// ... the term of the last of them, ...
    have_term: u64,
    /// ... and what follows them in its log.
    tail: Vec<Entry>,
    // In memory.
    role: Role,
    leader: Option<usize>,
    waiting: Vec<CallId>,
    timer: u32,
    armed: bool,
    applied: i64,
    // Faults.
    disk: Micros,
    expired: u16,
}

#[derive(Clone, Debug)]
struct Call {
    node: NodeId,
    incarnation: u32,
    tag: u64,
    entry: usize,
    /// The incarnation of the member to which the connection leads.
    served_by: u32,
    sent: Micros,
    request: Option<Request>,
    result: Option<Result<Payload, Failure>>,
}

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    index: u8,
    id: u64,
    /// The members' ids. A forced new cluster has the one of the member that was forced, and nothing else tells it apart.
    ids: BTreeSet<u64>,
    nodes: [NodeId; 3],
    members: [Member; 3],
    /// With how many members it was made.
    size: usize,
    store: Mvcc,
    /// How many entries are committed.
    commit: u64,
    /// Term and call of every committed entry.
    log: Vec<Entry>,
    calls: Vec<Call>,
    streams: Vec<watch::Stream>,
    no_space: u16,
    /// Of a thousand deliveries of a watch, how many come twice.
    pub(crate) watch_twice: u32,
    /// Of a thousand pairs of revisions of a watch, how many come in the wrong order.
    pub(crate) watch_swapped: u32,
    audit: Option<Vec<Committed>>,
    broken: Option<String>,
}

impl Cluster {
    /// A fresh cluster over all three places, one member of which leads.
    pub(crate) fn start<E>(fabric: &mut Fabric<E>, index: u8) -> Self {
        let id = fabric.rng.next() | 1;
        let snapshot = Snapshot { store: Mvcc::new(), cluster: id };
        let mut cluster = Self::from_snapshot(snapshot, index, id, 7, fabric.etcd_nodes);
        let leader = usize::try_from(fabric.rng.below(3)).unwrap_or_default();
        for member in &mut cluster.members {
            member.term = 1;
            member.leader = Some(leader);
        }
        cluster.members[leader].role = Role::Leader { ready: true };
        cluster
    }

    pub(crate) fn from_snapshot(snapshot: Snapshot, index: u8, id: u64, endpoints: u8, nodes: [NodeId; 3]) -> Self {
        let member = |place: u8| Member {
            part: endpoints & (1 << place) != 0,
            term: 0,
            have: 0,
            have_term: 0,
            tail: Vec::new(),
            role: Role::Follower,
            leader: None,
            waiting: Vec::new(),
            timer: 0,
            armed: false,
            applied: snapshot.store.revision(),
            disk: 0,
            expired: 0,
        };
        let ids = (0..3).filter(|place| endpoints & (1 << place) != 0).map(|place| member_id(id, place)).collect();
        Self {
            index,
            id,
            ids,
            nodes,
            members: [member(0), member(1), member(2)],
            size: (endpoints & 7).count_ones() as usize,
            commit: 0,
            log: Vec::new(),
            calls: Vec::new(),
            streams: Vec::new(),
            no_space: 0,
            watch_twice: 0,
            watch_swapped: 0,
            audit: None,
            broken: None,
            store: snapshot.store,
        }
    }

    /// The cluster's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The members' ids.
    #[must_use]
    pub fn ids(&self) -> &BTreeSet<u64> {
        &self.ids
    }

    /// Who a member says that it is, in an answer that it gives now.
    fn origin(&self, m: usize) -> Origin {
        let server = Server { member: member_id(self.id, m as u64), term: self.members[m].term };
        Origin { cluster: self.id, server }
    }

    /// Has the member at this endpoint go on from a term: as one that is forced to be a cluster of its own, from its disk.
    pub(crate) fn begin_at(&mut self, m: usize, term: u64) {
        self.members[m].term = term;
    }

    /// The term that a member has on its disk.
    pub(crate) fn term(&self, m: usize) -> u64 {
        self.members[m].term
    }

    /// What is committed: for invariants; no process sees it.
    #[must_use]
    pub fn store(&self) -> &Mvcc {
        &self.store
    }

    /// Carries a transaction out at once: for the first records of a world.
    pub fn apply(&mut self, txn: &Txn) -> TxnAnswer {
        let answer = self.store.txn(txn);
        for member in &mut self.members {
            member.applied = self.store.revision();
        }
        answer
    }

    /// A backup of what is committed.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { store: self.store.clone(), cluster: self.id }
    }

    /// Forgets what happened up to so many revisions ago.
    pub fn compact(&mut self, keep: i64) {
        self.store.compact(self.store.revision() - keep);
    }

    /// Begins to record every commit.
    pub fn audit(&mut self) {
        self.audit = Some(Vec::new());
    }

    /// The commits that were recorded.
    #[must_use]
    pub fn commits(&self) -> &[Committed] {
        self.audit.as_deref().unwrap_or(&[])
    }

    /// How the model broke a promise of Raft's, if it ever did: then it is the model that is wrong.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The endpoint and the term of the member that leads the highest term, if any believes to.
    #[must_use]
    pub fn leader(&self) -> Option<(usize, u64)> {
        let leading = (0..3).filter(|&m| self.members[m].part && self.leads(m));
        leading.max_by_key(|&m| self.members[m].term).map(|m| (m, self.members[m].term))
    }

    fn leads(&self, member: usize) -> bool {
        matches!(self.members[member].role, Role::Leader { .. })
    }

    /// How many members a quorum has. Retired ones still count: a cluster that has lost its quorum stays without.
    fn quorum(&self) -> usize {
        self.size / 2 + 1
    }

    pub(crate) fn handle<E>(&mut self, fabric: &mut Fabric<E>, node: NodeId, step: Step) {
        let Some(m) = self.nodes.iter().position(|known| *known == node) else { return };
        if !self.members[m].part {
            return;
        }
        match step {
            Step::Arrive(call) => self.arrive(fabric, m, call),
            Step::Forwarded(call) => self.forwarded(fabric, m, call),
            Step::Confirm { call, term } => self.confirm(fabric, m, call, term),
            Step::Commit { term, upto } => self.try_commit(fabric, m, term, upto),
            Step::Applied(call) => self.reply(fabric, m, call),
            Step::Election(timer) => self.campaign(fabric, m, timer),
            Step::Abdicate(timer) => self.check_quorum(fabric, m, timer),
            Step::Learn { leader, term } => self.learn(fabric, m, usize::from(leader), term),
            Step::Feed(revision) => self.feed(fabric, m, revision),
        }
    }

    fn here<E>(&self, fabric: &mut Fabric<E>, m: usize, after: Micros, step: Step) {
        let node = self.nodes[m];
        let incarnation = fabric.net.incarnation(node);
        fabric.queue.after(after, crate::fabric::Item::Etcd { node, incarnation, cluster: self.index, step });
    }

    fn tell<E>(&self, fabric: &mut Fabric<E>, from: usize, to: usize, step: Step) {
        if from == to {
            return self.here(fabric, to, 0, step);
        }
        let node = self.nodes[to];
        let incarnation = fabric.net.incarnation(node);
        let item = crate::fabric::Item::Etcd { node, incarnation, cluster: self.index, step };
        fabric.send(self.nodes[from], node, item);
    }

    /// Makes a member's disk slow by this much more for every write, or by this much less.
    pub(crate) fn slow_disk(&mut self, m: usize, by: Micros, on: bool) {
        let disk = &mut self.members[m].disk;
        *disk = if on { *disk + by } else { disk.saturating_sub(by) };
    }

    /// A member's certificate expires, or is renewed.
    pub(crate) fn expire(&mut self, m: usize, on: bool) {
        let expired = &mut self.members[m].expired;
        *expired = if on { *expired + 1 } else { expired.saturating_sub(1) };
    }

    /// The store is out of space, or has space again.
    pub(crate) fn fill(&mut self, on: bool) {
        self.no_space = if on { self.no_space + 1 } else { self.no_space.saturating_sub(1) };
    }

    fn break_with(&mut self, how: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(how());
        }
    }
}

fn member_id(cluster: u64, place: u64) -> u64 {
    cluster.rotate_left(8) ^ place
}

/// etcd's election time-out, and the time of one of its heartbeats (failover.md, section 1).
const ELECTION: Micros = 500 * MS;
const HEARTBEAT: Micros = 100 * MS;
