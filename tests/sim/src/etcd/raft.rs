//! Terms, votes and logs.

use super::{Cluster, ELECTION, Entry, HEARTBEAT, Role, Step};
use crate::engine::{MS, Micros};
use crate::fabric::Fabric;
use crate::net::Running;

/// How long a write waits for an ordinary disk.
const DISK: Micros = MS / 2;

impl Cluster {
    pub(super) fn quorum_bits(&self) -> u32 {
        u32::try_from(self.quorum()).unwrap_or(3)
    }

    fn runs<E>(&self, fabric: &Fabric<E>, m: usize) -> bool {
        self.members[m].part && fabric.net.running(self.nodes[m]) == Running::Yes
    }

    fn talk<E>(&self, fabric: &Fabric<E>, one: usize, other: usize) -> bool {
        self.members[one].part && self.members[other].part && fabric.net.talk(self.nodes[one], self.nodes[other])
    }

    /// Who would acknowledge an append of this member's in its term, itself included: a set of bits.
    pub(super) fn acknowledging<E>(&self, fabric: &Fabric<E>, leader: usize) -> u8 {
        let term = self.members[leader].term;
        (0..3)
            .filter(|&m| m == leader || (self.members[m].term <= term && self.talk(fabric, leader, m)))
            .fold(0, |set, m| set | 1 << m)
    }

    /// How long it takes a leader to hear from a quorum; with `disk`, until a quorum has written.
    pub(super) fn quorum_delay<E>(&self, fabric: &mut Fabric<E>, leader: usize, disk: bool) -> Micros {
        let mut delays = [Micros::MAX; 3];
        for (m, delay) in delays.iter_mut().enumerate() {
            let writes = if disk { DISK + self.members[m].disk } else { 0 };
            if m == leader {
                *delay = writes;
            } else if self.talk(fabric, leader, m) {
                let there = fabric.net.delay(&mut fabric.rng, self.nodes[leader], self.nodes[m]);
                let back = fabric.net.delay(&mut fabric.rng, self.nodes[m], self.nodes[leader]);
                *delay = there + back + writes;
            }
        }
        delays.sort_unstable();
        let delay = delays[self.quorum() - 1];
        if delay == Micros::MAX { HEARTBEAT } else { delay }
    }

    pub(super) fn propose<E>(&mut self, fabric: &mut Fabric<E>, leader: usize, entry: Entry) {
        let member = &mut self.members[leader];
        member.tail.push(entry);
        let (term, upto) = (member.term, member.have + member.tail.len() as u64);
        let after = self.quorum_delay(fabric, leader, true);
        self.here(fabric, leader, after, Step::Commit { term, upto });
    }

    /// Commits a leader's log up to an index, if a quorum takes it at this instant.
    pub(super) fn try_commit<E>(&mut self, fabric: &mut Fabric<E>, leader: usize, term: u64, upto: u64) {
        let member = &self.members[leader];
        if !self.leads(leader) || member.term != term || member.have >= upto {
            return;
        }
        let count = usize::try_from(upto - member.have).unwrap_or_default();
        let from = self.nodes[leader];
        // Who receives it, though the acknowledgement may not come back.
        let received: u8 = (0..3)
            .filter(|&m| {
                let open = self.runs(fabric, m) && fabric.net.open(from, self.nodes[m]);
                m == leader || (open && self.members[m].term <= term)
            })
            .fold(0, |set, m| set | 1 << m);
        if self.acknowledging(fabric, leader).count_ones() < self.quorum_bits() {
            return self.not_committed(fabric, leader, term, upto, received, count);
        }
        if member.have != self.commit || term < self.log.last().map_or(0, |entry| entry.term) {
            self.break_with(|| format!("member {leader} commits in term {term} without what was committed before"));
        }
        let entries: Vec<Entry> = self.members[leader].tail.drain(..count).collect();
        let last = entries.last().map_or(0, |entry| entry.term);
        self.members[leader].role = Role::Leader { ready: true };
        self.commit = upto;
        for (m, member) in self.members.iter_mut().enumerate() {
            if received & (1 << m) != 0 {
                member.have = upto;
                member.have_term = last;
                member.term = term;
                if m != leader {
                    member.tail.clear();
                }
            }
        }
        self.depose(leader, received);
        for entry in entries {
            self.log.push(entry);
            self.carry_out(fabric, leader, entry);
            let revision = self.store.revision();
            if let Some(audit) = &mut self.audit {
                audit.push(super::Committed { term, leader, copies: received.count_ones() as usize, revision });
            }
        }
        let revision = self.store.revision();
        for m in 0..3 {
            if received & (1 << m) != 0 && self.has_streams(m) {
                self.tell(fabric, leader, m, Step::Feed(revision));
            }
        }
    }

    fn not_committed<E>(
        &mut self,
        fabric: &mut Fabric<E>,
        leader: usize,
        term: u64,
        upto: u64,
        received: u8,
        count: usize,
    ) {
        let newer = (0..3).filter(|&m| self.talk(fabric, leader, m)).map(|m| self.members[m].term).max();
        if newer.is_some_and(|newer| newer > term) {
            // A rejected append tells it so.
            self.members[leader].term = newer.unwrap_or(term);
            self.step_down(leader);
            return self.reassess(fabric);
        }
        let (have, have_term) = (self.members[leader].have, self.members[leader].have_term);
        let entries: Vec<Entry> = self.members[leader].tail[..count].to_vec();
        for m in 0..3 {
            if m != leader && received & (1 << m) != 0 && self.members[m].have <= have {
                let member = &mut self.members[m];
                (member.term, member.have, member.have_term) = (term, have, have_term);
                member.tail.clone_from(&entries);
            }
        }
        self.depose(leader, received);
        self.here(fabric, leader, HEARTBEAT, Step::Commit { term, upto });
    }

    /// Who takes an append of a later term leads no more.
    fn depose(&mut self, leader: usize, received: u8) {
        for m in 0..3 {
            if m != leader && received & (1 << m) != 0 && self.leads(m) {
                self.step_down(m);
            }
        }
    }

    fn step_down(&mut self, m: usize) {
        let member = &mut self.members[m];
        member.role = Role::Follower;
        member.leader = None;
        member.armed = false;
        member.timer += 1;
    }

    /// The leader of the highest term that this member hears, unless its own term is higher.
    fn hears<E>(&self, fabric: &Fabric<E>, m: usize) -> Option<usize> {
        (0..3)
            .filter(|&l| {
                l != m && self.leads(l) && self.runs(fabric, l) && self.members[l].term >= self.members[m].term
            })
            .filter(|&l| fabric.net.open(self.nodes[l], self.nodes[m]))
            .max_by_key(|&l| self.members[l].term)
    }

    /// The network, a process or a role changed: who hears whom is looked at anew.
    pub(crate) fn reassess<E>(&mut self, fabric: &mut Fabric<E>) {
        for m in 0..3 {
            if !self.runs(fabric, m) {
                continue;
            }
            let heard = self.hears(fabric, m);
            if let Some(leader) = heard.filter(|&l| !self.leads(m) || self.members[l].term > self.members[m].term) {
                self.disarm(m);
                let (term, have) = (self.members[leader].term, self.members[leader].have);
                let member = &self.members[m];
                if self.leads(m) || member.leader != Some(leader) || member.term < term || member.have < have {
                    let beat = fabric.rng.below(HEARTBEAT);
                    let way = fabric.net.delay(&mut fabric.rng, self.nodes[leader], self.nodes[m]);
                    let leader = u8::try_from(leader).unwrap_or_default();
                    self.here(fabric, m, beat + way, Step::Learn { leader, term });
                }
            } else if self.leads(m) {
                if self.in_touch(fabric, m) {
                    self.disarm(m);
                } else {
                    self.arm(fabric, m, Step::Abdicate);
                }
            } else {
                self.arm(fabric, m, Step::Election);
            }
        }
        self.revive_streams(fabric);
    }

    fn in_touch<E>(&self, fabric: &Fabric<E>, m: usize) -> bool {
        (0..3).filter(|&v| v == m || self.talk(fabric, m, v)).count() >= self.quorum()
    }

    fn disarm(&mut self, m: usize) {
        if self.members[m].armed {
            self.members[m].armed = false;
            self.members[m].timer += 1;
        }
    }

    fn arm<E>(&mut self, fabric: &mut Fabric<E>, m: usize, step: fn(u32) -> Step) {
        if !self.members[m].armed {
            self.members[m].armed = true;
            self.members[m].timer += 1;
            let after = ELECTION + fabric.rng.below(ELECTION);
            self.here(fabric, m, after, step(self.members[m].timer));
        }
    }

    pub(super) fn check_quorum<E>(&mut self, fabric: &mut Fabric<E>, m: usize, timer: u32) {
        if self.members[m].timer != timer || !self.leads(m) {
            return;
        }
        self.members[m].armed = false;
        if !self.in_touch(fabric, m) {
            fabric.say(|| format!("etcd: member {m} has lost its quorum and steps down"));
            self.step_down(m);
        }
        self.reassess(fabric);
    }

    fn last(&self, m: usize) -> (u64, u64) {
        let member = &self.members[m];
        let term = member.tail.last().map_or(member.have_term, |entry| entry.term);
        (term, member.have + member.tail.len() as u64)
    }

    /// An election time-out: asks the others for their votes (pre-vote and vote in one).
    pub(super) fn campaign<E>(&mut self, fabric: &mut Fabric<E>, m: usize, timer: u32) {
        if self.members[m].timer != timer || self.leads(m) {
            return;
        }
        self.members[m].armed = false;
        if self.hears(fabric, m).is_some() {
            return self.reassess(fabric);
        }
        let votes: Vec<usize> = (0..3)
            .filter(|&v| {
                let free = !self.leads(v) && self.hears(fabric, v).is_none();
                v == m || (self.talk(fabric, m, v) && free && self.last(m) >= self.last(v))
            })
            .collect();
        // Two candidates may split the votes; both try again.
        if votes.len() < self.quorum() || fabric.rng.per_mille(100) {
            return self.arm(fabric, m, Step::Election);
        }
        let term = votes.iter().map(|&v| self.members[v].term).max().unwrap_or_default() + 1;
        for &v in &votes {
            self.members[v].term = term;
            self.step_down(v);
        }
        self.members[m].role = Role::Leader { ready: false };
        fabric.say(|| format!("etcd: member {m} leads term {term} (cluster {})", self.index));
        self.settle_log(m);
        self.propose(fabric, m, Entry { term, call: None });
        self.flush(fabric, m);
        self.reassess(fabric);
    }

    /// What the new leader has beyond the committed entries that it knows as such may be committed in truth.
    fn settle_log(&mut self, m: usize) {
        let lacking = usize::try_from(self.commit.saturating_sub(self.members[m].have)).unwrap_or(usize::MAX);
        let first = usize::try_from(self.members[m].have).unwrap_or(usize::MAX);
        let committed = self.log.get(first..).unwrap_or(&[]);
        if self.members[m].tail.len() < lacking || self.members[m].tail[..lacking] != committed[..lacking] {
            return self.break_with(|| format!("member {m} was elected without what is committed"));
        }
        self.members[m].tail.drain(..lacking);
        self.members[m].have = self.commit;
        self.members[m].have_term = self.log.last().map_or(self.members[m].have_term, |entry| entry.term);
    }

    /// A leader is heard: its log replaces what this member has beyond it.
    pub(super) fn learn<E>(&mut self, fabric: &mut Fabric<E>, m: usize, leader: usize, term: u64) {
        let valid = self.leads(leader) && self.members[leader].term == term && leader != m;
        if !valid || term < self.members[m].term || !fabric.net.open(self.nodes[leader], self.nodes[m]) {
            return;
        }
        if self.leads(m) {
            fabric.say(|| format!("etcd: member {m} learns that it was deposed"));
            self.step_down(m);
        }
        let (have, have_term) = (self.members[leader].have, self.members[leader].have_term);
        if self.members[m].have > have {
            self.break_with(|| format!("member {m} knows more committed entries than the leader of term {term}"));
        }
        let member = &mut self.members[m];
        member.term = term;
        member.leader = Some(leader);
        (member.have, member.have_term) = (have, have_term);
        member.tail.clear();
        self.disarm(m);
        self.flush(fabric, m);
        if self.has_streams(m) {
            self.here(fabric, m, 0, Step::Feed(self.store.revision()));
        }
    }

    /// A member's process runs again. One that led and was stalled may hear of its successor before or after it reads what its
    /// clients sent meanwhile: then that is passed on and carried out late, or lost.
    pub(crate) fn resumed<E>(&mut self, fabric: &mut Fabric<E>, m: usize) {
        if self.runs(fabric, m)
            && self.leads(m)
            && let Some(leader) = self.hears(fabric, m)
            && self.members[leader].term > self.members[m].term
            && fabric.rng.per_mille(500)
        {
            self.learn(fabric, m, leader, self.members[leader].term);
        }
    }

    /// The leader gives its role up, as by `etcdctl move-leader`.
    pub(crate) fn elect_anew<E>(&mut self, fabric: &mut Fabric<E>) {
        if let Some((leader, _)) = self.leader() {
            self.step_down(leader);
            self.reassess(fabric);
        }
    }

    /// The member at this endpoint stops for ever.
    pub(crate) fn retire<E>(&mut self, fabric: &mut Fabric<E>, m: usize) {
        self.stopped(fabric, m, false);
        self.members[m].part = false;
        self.reassess(fabric);
    }
}
