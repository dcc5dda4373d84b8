//! Requests, from their arrival at a member to its answer.

use tandem_arbiter::store::Range;
use tandem_arbiter::txn::Origin;

use super::{Answer, Call, CallId, Cluster, Entry, Failure, Payload, Request, Role, Step, WatchEvent};
use crate::engine::{MS, SECOND};
use crate::fabric::{Fabric, Item};
use crate::net::{NodeId, Running};
use crate::world::Happening;

/// How long a member keeps a request that it cannot pass on (etcd: 5 s and two election time-outs).
const PATIENCE: u64 = 6 * SECOND;

impl Cluster {
    pub(crate) fn call<E>(
        &mut self,
        fabric: &mut Fabric<E>,
        node: NodeId,
        endpoint: usize,
        tag: u64,
        request: Request,
    ) {
        let incarnation = fabric.net.incarnation(node);
        let server = self.nodes[endpoint];
        if let Request::EndWatch = request {
            // The member notices when it next has something to say; nothing comes any more.
            self.streams.retain(|stream| !stream.is(node, incarnation, tag));
            return;
        }
        if fabric.net.running(server) == Running::No || !self.members[endpoint].part {
            if fabric.net.open(node, server) && fabric.net.open(server, node) {
                // The machine refuses the connection; where it is without power, nothing ever comes.
                let delay = 2 * fabric.net.delay(&mut fabric.rng, node, server);
                if fabric.rng.per_mille(700) {
                    let result = Err(Failure::Unavailable);
                    let answer = Answer { tag, endpoint, origin: Origin::default(), result };
                    let item = Item::Node { node, incarnation, what: Happening::Answer(answer) };
                    fabric.queue.after(delay, item);
                }
            }
            return;
        }
        let call = CallId::try_from(self.calls.len()).unwrap_or(CallId::MAX);
        let (sent, served_by) = (fabric.now(), fabric.net.incarnation(server));
        let request = Some(request);
        self.calls.push(Call { node, incarnation, tag, entry: endpoint, served_by, sent, request, result: None });
        let to = served_by;
        let step = Step::Arrive(call);
        fabric.send(node, server, Item::Etcd { node: server, incarnation: to, cluster: self.index, step });
    }

    fn reads_only(&self, call: CallId) -> bool {
        match &self.calls[call as usize].request {
            Some(Request::Txn(txn)) => txn.reads_only(),
            _ => true,
        }
    }

    pub(super) fn arrive<E>(&mut self, fabric: &mut Fabric<E>, m: usize, call: CallId) {
        let refusal = match &self.calls[call as usize].request {
            _ if self.members[m].expired > 0 => Some(Failure::Certificate),
            Some(Request::Txn(txn)) if txn.check().is_err() => Some(Failure::Invalid),
            Some(Request::Txn(txn)) if self.no_space > 0 && !txn.reads_only() => Some(Failure::NoSpace),
            Some(Request::Watch { prefix, from }) => {
                let (prefix, from) = (prefix.clone(), *from);
                return self.watch(fabric, m, call, prefix, from);
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            return self.finish(fabric, m, m, call, Err(refusal));
        }
        if self.leads(m) {
            return self.forwarded(fabric, m, call);
        }
        match self.members[m].leader {
            Some(leader) => self.tell(fabric, m, leader, Step::Forwarded(call)),
            None => self.members[m].waiting.push(call),
        }
    }

    /// Passes on what waited for a leader.
    pub(super) fn flush<E>(&mut self, fabric: &mut Fabric<E>, m: usize) {
        for call in std::mem::take(&mut self.members[m].waiting) {
            if fabric.now() < self.calls[call as usize].sent + PATIENCE {
                self.arrive(fabric, m, call);
            }
        }
    }

    pub(super) fn forwarded<E>(&mut self, fabric: &mut Fabric<E>, m: usize, call: CallId) {
        let reads = self.reads_only(call);
        if !self.leads(m) {
            // etcd drops a proposal that was forwarded to the wrong member; a read is asked for again by the one it came to.
            if reads {
                self.ask_again(fabric, call);
            }
            return;
        }
        let term = self.members[m].term;
        if reads {
            let after = self.quorum_delay(fabric, m, false);
            return self.here(fabric, m, after, Step::Confirm { call, term });
        }
        self.propose(fabric, m, Entry { term, call: Some(call) });
    }

    fn ask_again<E>(&mut self, fabric: &mut Fabric<E>, call: CallId) {
        let Call { sent, entry, .. } = self.calls[call as usize];
        if fabric.now() < sent + PATIENCE {
            self.here(fabric, entry, 500 * MS, Step::Arrive(call));
        }
    }

    pub(super) fn confirm<E>(&mut self, fabric: &mut Fabric<E>, m: usize, call: CallId, term: u64) {
        let ready = self.members[m].role == (Role::Leader { ready: true }) && self.members[m].term == term;
        if !ready || self.acknowledging(fabric, m).count_ones() < self.quorum_bits() {
            return self.ask_again(fabric, call);
        }
        if self.members[m].have != self.commit {
            self.break_with(|| format!("member {m} leads term {term} with a quorum and lacks committed entries"));
        }
        let result = match self.calls[call as usize].request.take() {
            Some(Request::Txn(txn)) => Ok(Payload::Txn(self.store.txn(&txn))),
            Some(Request::Range(prefix)) => {
                let (revision, kvs) = (self.store.revision(), self.store.prefix(&prefix));
                Ok(Payload::Range(Range { revision, kvs, origin: Origin::default() }))
            }
            Some(Request::Members) => Ok(Payload::Members(self.ids.clone())),
            _ => return,
        };
        self.finish(fabric, m, self.calls[call as usize].entry, call, result);
    }

    /// Carries out a committed entry.
    pub(super) fn carry_out<E>(&mut self, fabric: &mut Fabric<E>, leader: usize, entry: Entry) {
        let Some(call) = entry.call else { return };
        let Some(Request::Txn(txn)) = self.calls[call as usize].request.take() else {
            return self.break_with(|| format!("request {call} was carried out twice"));
        };
        let answer = self.store.txn(&txn);
        let Call { node, tag, entry, sent, .. } = self.calls[call as usize];
        fabric.trace.say(fabric.queue.now(), || {
            let name = fabric.net.name(node);
            let late = if fabric.queue.now() > sent + SECOND { " LATE" } else { "" };
            let did = if answer.succeeded { "done" } else { "not as compared" };
            format!("etcd: request {tag} of {name}{late} {did} at revision {}", answer.revision)
        });
        self.finish(fabric, leader, entry, call, Ok(Payload::Txn(answer)));
    }

    fn finish<E>(
        &mut self,
        fabric: &mut Fabric<E>,
        at: usize,
        entry: usize,
        call: CallId,
        result: Result<Payload, Failure>,
    ) {
        self.calls[call as usize].result = Some(result);
        if at == entry {
            self.reply(fabric, at, call);
        } else {
            self.tell(fabric, at, entry, Step::Applied(call));
        }
    }

    pub(super) fn reply<E>(&mut self, fabric: &mut Fabric<E>, m: usize, call: CallId) {
        let Call { node, incarnation, tag, served_by, .. } = self.calls[call as usize];
        let Some(result) = self.calls[call as usize].result.take() else { return };
        // A member that was restarted meanwhile has lost the connection on which it could answer.
        if fabric.net.incarnation(node) != incarnation || fabric.net.incarnation(self.nodes[m]) != served_by {
            return;
        }
        if fabric.rng.per_mille(fabric.lose_answers) {
            let name = fabric.net.name(node).to_owned();
            return fabric.say(|| format!("etcd: the answer to request {tag} of {name} is lost"));
        }
        let what = match &self.calls[call as usize].request {
            Some(Request::Watch { .. }) => {
                let failure = result.err().unwrap_or(Failure::Unavailable);
                Happening::Watch(WatchEvent { tag, origin: self.origin(m), result: Err(failure) })
            }
            _ => Happening::Answer(Answer { tag, endpoint: m, origin: self.origin(m), result }),
        };
        fabric.send(self.nodes[m], node, Item::Node { node, incarnation, what });
    }

    /// A member's process is gone: its clients' connections end. Whether what was under way is carried out, they cannot know.
    pub(crate) fn stopped<E>(&mut self, fabric: &mut Fabric<E>, m: usize, abrupt: bool) {
        let member = &mut self.members[m];
        member.role = Role::Follower;
        member.leader = None;
        member.waiting.clear();
        member.armed = false;
        member.timer += 1;
        self.end_streams(fabric, m);
        if abrupt {
            return;
        }
        let recent = fabric.now().saturating_sub(PATIENCE);
        for call in (0..self.calls.len()).rev().take_while(|call| self.calls[*call].sent >= recent) {
            let Call { node, incarnation, tag, entry, .. } = self.calls[call];
            let open = self.calls[call].request.is_some() || self.calls[call].result.is_some();
            if entry == m && open && fabric.net.open(self.nodes[m], node) && fabric.rng.per_mille(500) {
                let answer = Answer { tag, endpoint: m, origin: Origin::default(), result: Err(Failure::Unknown) };
                let delay = fabric.net.delay(&mut fabric.rng, self.nodes[m], node);
                fabric.queue.after(delay, Item::Node { node, incarnation, what: Happening::Answer(answer) });
            }
        }
    }
}
