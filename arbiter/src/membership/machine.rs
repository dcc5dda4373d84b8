//! The rules of the membership, with time and answers passed in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Identity, LeaderToken, MembershipError, Timing, View};
use crate::arbiter::{groups, read};
use crate::gate::{Gate, SharedGate};
use crate::guards::{Guard, Guards};
use crate::pins::{ClusterIdentity, Mismatch, Observed, Pins, check};
use crate::records::{GenerationRecord, GroupRecord, Key, LeaderRecord, MemberRecord, Versioned};
use crate::store::Counts;
use crate::txn::{self, Kv, Origin, Server, Txn, TxnAnswer};

/// A key's `mod_revision`, and since when it has been seen to stand there.
#[derive(Clone, Copy, Debug)]
struct Mark {
    revision: i64,
    since: Duration,
}

impl Mark {
    fn renewed(before: Option<&Self>, revision: i64, now: Duration) -> Self {
        before.filter(|mark| mark.revision == revision).copied().unwrap_or(Self { revision, since: now })
    }
}

/// What an answer to a heartbeat meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was counted: the deadline moved.
    Counted,
    /// The member key was not as it was known; it is known now: send again.
    Again,
    /// The arbiter is not the one that is pinned: it was not counted, and the gate is barred.
    Mismatch(Mismatch),
    /// A replica with another `T` lives, or one that does not say: it was not counted, and the gate is barred.
    OtherT(OtherT),
    /// A connection may be new, and the arbiter's members have not been compared since: it was not counted. Read the
    /// arbiter's identity, hand it to [`Machine::looked`], send again.
    Look,
}

/// A replica with another `T`. Who waits for `T` relies on everybody else's deadlines hanging on the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "replica {replica} of site {site} has T = {found} ms (0: it does not say), this one has {ours} ms; set the same \
     heartbeatSeconds at both sites, or delete the key of a replica that is gone"
)]
pub struct OtherT {
    /// Its site.
    pub site: String,
    /// The replica.
    pub replica: String,
    /// Its `T`, in milliseconds; 0 where it does not say.
    pub found: u64,
    /// This replica's, in milliseconds.
    pub ours: u64,
}

/// What a replica should do beside its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Try to become the leader, by this transaction.
    Campaign(Txn),
    /// Remove the heartbeat of a replica that is gone, by this transaction.
    Reap(Txn),
}

/// The state of one replica's membership.
#[derive(Clone, Debug)]
pub struct Machine {
    identity: Identity,
    timing: Timing,
    /// `mod_revision` of our member key.
    known: i64,
    /// Whether a heartbeat of ours was ever answered.
    begun: bool,
    seen: i64,
    groups: Arc<BTreeMap<String, Versioned<GroupRecord>>>,
    deadline: Option<Duration>,
    /// The site's leader: the record, and its mark.
    leader: Option<(LeaderRecord, Mark)>,
    /// The site's members, ours left out.
    members: BTreeMap<String, Mark>,
    /// Replicas of any site with another `T`, by key.
    others: BTreeMap<String, Mark>,
    gate: SharedGate,
    /// What `seen` the last heartbeat that counted has told.
    told: i64,
    /// When the heartbeat of a predecessor under our name was found. Until `T` later our key tells no `seen`: should the
    /// predecessor live after all, it answers by what *it* has seen until its own deadline, and a claimant that trusted
    /// ours would be active beside it.
    predecessor: Option<Duration>,
    pins: Option<Pins>,
    /// Whether the arbiter's members are still to be compared.
    look: bool,
    /// Whose word of the arbiter's members was compared.
    looked_at: Option<Server>,
    guards: Guards,
}

impl Machine {
    /// A replica that has just started, with a gate of its own.
    #[must_use]
    pub fn new(identity: Identity, timing: Timing) -> Self {
        let Identity { site, replica, generation, .. } = &identity;
        let gate = SharedGate::new(Gate::new(site, replica, *generation, timing));
        Self::with_gate(identity, timing, gate)
    }

    /// A replica that has just started and feeds this gate. The gate is new too, or has been told to forget.
    #[must_use]
    pub fn with_gate(identity: Identity, timing: Timing, gate: SharedGate) -> Self {
        Self {
            identity,
            timing,
            known: 0,
            begun: false,
            seen: 0,
            groups: Arc::default(),
            deadline: None,
            leader: None,
            members: BTreeMap::new(),
            others: BTreeMap::new(),
            gate,
            told: 0,
            predecessor: None,
            pins: None,
            look: false,
            looked_at: None,
            guards: Guards::ALL,
        }
    }

    /// The same with these pins: no heartbeat counts before the arbiter was compared with them.
    #[must_use]
    pub fn with_pins(self, pins: Pins) -> Self {
        Self { pins: Some(pins), look: true, ..self }
    }

    /// The same with other guards; the gate has its own.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &SharedGate {
        &self.gate
    }

    /// The pins, with what the heartbeats that counted have added.
    #[must_use]
    pub fn pins(&self) -> Option<&Pins> {
        self.pins.as_ref()
    }

    /// A connection may be a new one: a request failed, or another endpoint is asked from now on.
    pub fn connected(&mut self) {
        self.look = self.pins.is_some();
    }

    /// Whether the arbiter's identity has to be read before the next heartbeat.
    #[must_use]
    pub fn must_look(&self) -> bool {
        self.look
    }

    /// Whose answers count, beside those to heartbeats.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match (&self.pins, self.looked_at) {
            _ if !self.guards.on(Guard::Pins) || !self.guards.on(Guard::AnswersCompared) => Counts::Everybodys,
            (None, _) => Counts::Everybodys,
            (Some(_), None) => Counts::Nobodys,
            (Some(pins), Some(server)) => Counts::Of(Origin { cluster: pins.cluster, server }),
        }
    }

    /// As [`Machine::looked_at`], where there is but one server.
    ///
    /// # Errors
    /// [`Mismatch`]: the gate is barred.
    pub fn looked(&mut self, received: Duration, found: &ClusterIdentity) -> Result<(), Mismatch> {
        self.looked_at(received, found, Server::default())
    }

    /// Takes in the arbiter's identity as this server said it, received at this time. Heartbeats count as long as the same
    /// server answers them in the same term.
    ///
    /// # Errors
    /// [`Mismatch`]: the gate is barred.
    pub fn looked_at(&mut self, received: Duration, found: &ClusterIdentity, server: Server) -> Result<(), Mismatch> {
        let observed =
            Observed { cluster: Some(found.cluster), members: Some(found.members.clone()), ..Observed::default() };
        self.compare(received, &observed)?;
        self.look = false;
        self.looked_at = Some(server);
        Ok(())
    }

    /// Goes on with these pins: a member of the arbiter was replaced, and all else is as it was.
    pub fn repin(&mut self, pins: Pins) {
        self.pins = Some(pins);
        self.look = true;
    }

    /// Compares, and bars the gate on a difference. It is opened again by the next heartbeat that counts.
    fn compare(&mut self, now: Duration, observed: &Observed) -> Result<(), Mismatch> {
        if !self.guards.on(Guard::Pins) {
            return Ok(());
        }
        let found = match &self.pins {
            Some(pins) => check(pins, observed),
            // Without pins there is only the generation to go by, which the configuration names.
            None => {
                let pins = Pins { generation: self.identity.generation, ..Pins::default() };
                check(&pins, &Observed { generation: observed.generation, ..Observed::default() })
            }
        };
        if let Err(mismatch) = &found {
            self.gate.with(|gate| gate.bar(now, &mismatch.to_string()));
            self.deadline = None;
            self.look = self.pins.is_some();
            self.looked_at = None;
        }
        found
    }

    /// Whether a heartbeat is worth sending at once: this site has released a group at a revision above the one that its
    /// last heartbeat said it had seen, and another site waits to hear it.
    #[must_use]
    pub fn owes_news(&self) -> bool {
        self.gate.with(|gate| gate.owes_news(self.told))
    }

    /// What the next heartbeat says it has seen.
    fn tells(&self) -> i64 {
        if self.predecessor.is_some() { 0 } else { self.seen }
    }

    /// The next heartbeat.
    #[must_use]
    pub fn beat(&self) -> Txn {
        let Identity { site, replica, incarnation, generation } = &self.identity;
        let t_millis = self.t_millis();
        let record =
            MemberRecord { seen: self.tells(), generation: *generation, incarnation: incarnation.clone(), t_millis };
        txn::beat(site, replica, self.known, &record)
    }

    fn t_millis(&self) -> u64 {
        u64::try_from(self.timing.t().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes in the answer to a heartbeat that was sent and received at these times.
    ///
    /// # Errors
    /// [`MembershipError`]: the membership has to end.
    pub fn answered(
        &mut self,
        sent: Duration,
        received: Duration,
        answer: &TxnAnswer,
    ) -> Result<Outcome, MembershipError> {
        if !answer.succeeded {
            return self.rebase(received, answer.one(0));
        }
        if answer.revision < self.known {
            // One that was given up, and whose key was written again since: what it read is older than what is known.
            return Ok(Outcome::Again);
        }
        self.begun = true;
        self.known = answer.revision;
        // The cluster id, the revision and the generation are compared in every answer, since a connection may be made anew
        // underneath without a word; the members whenever a request failed, or another server answers or the same in another
        // term: a forced new cluster keeps its id and its revision, and has to elect a leader.
        let record = answer.one(4).map(read::<GenerationRecord>).transpose()?;
        let observed = Observed {
            cluster: Some(answer.origin.cluster),
            members: None,
            generation: Some(Observed::generation(record.as_ref())),
            revision: Some(answer.revision),
        };
        if let Err(mismatch) = self.compare(received, &observed) {
            return Ok(Outcome::Mismatch(mismatch));
        }
        if self.pins.is_some() && self.guards.on(Guard::Pins) && self.looked_at != Some(answer.origin.server) {
            self.look = true;
        }
        if self.look {
            return Ok(Outcome::Look);
        }
        if let Some(other) = self.other_t(received, answer.read(3)) {
            self.gate.with(|gate| gate.bar(received, &other.to_string()));
            self.deadline = None;
            return Ok(Outcome::OtherT(other));
        }
        let fresh = groups(answer.read(0))?;
        let told = self.tells();
        self.predecessor = self.predecessor.filter(|since| received.saturating_sub(*since) < self.timing.t());
        // The gate first: `seen` promises what it has applied.
        self.gate.with(|gate| {
            gate.unbar(received);
            gate.counted(sent, received, answer.revision, &fresh);
        });
        if let Some(pins) = &mut self.pins {
            pins.advance(answer.revision, &fresh);
        }
        self.apply(fresh, answer.revision);
        self.told = told;
        self.watch_leader(received, answer.one(1))?;
        self.watch_members(received, answer.read(3));
        let from = if self.guards.on(Guard::DeadlineFromSending) { sent } else { received };
        let deadline = from + self.timing.fence();
        // An answer that overtook a later one does not take the deadline back.
        self.deadline = Some(self.deadline.map_or(deadline, |before| before.max(deadline)));
        Ok(Outcome::Counted)
    }

    fn rebase(&mut self, received: Duration, found: Option<&Kv>) -> Result<Outcome, MembershipError> {
        let Some(kv) = found else {
            // Also where the arbiter stands at an earlier time: then the answer to the next one says so.
            self.known = 0;
            return Ok(Outcome::Again);
        };
        let ours = read::<MemberRecord>(kv).is_ok_and(|record| record.incarnation == self.identity.incarnation);
        if self.begun && !ours {
            let Identity { site, replica, .. } = self.identity.clone();
            return Err(MembershipError::Superseded { site, replica });
        }
        if !ours {
            self.predecessor = Some(received);
        }
        // An attempt of ours that was given up and arrived after all, or the last heartbeat of our predecessor.
        self.known = kv.mod_revision;
        Ok(Outcome::Again)
    }

    /// A record is applied only if it is not older than the one applied. One that is missing is kept: none is ever deleted.
    fn apply(&mut self, fresh: BTreeMap<String, Versioned<GroupRecord>>, revision: i64) {
        let newer = |name: &str, record: &Versioned<GroupRecord>| {
            self.groups.get(name).is_none_or(|before| before.revision < record.revision)
        };
        if fresh.iter().any(|(name, record)| newer(name, record)) {
            let mut next = BTreeMap::clone(&self.groups);
            for (name, record) in fresh {
                if next.get(&name).is_none_or(|before| before.revision < record.revision) {
                    next.insert(name, record);
                }
            }
            self.groups = Arc::new(next);
        }
        self.seen = self.seen.max(revision);
    }

    fn watch_leader(&mut self, now: Duration, found: Option<&Kv>) -> Result<(), MembershipError> {
        let before = self.leader.take();
        if let Some(kv) = found {
            let mark = Mark::renewed(before.as_ref().map(|(_, mark)| mark), kv.mod_revision, now);
            self.leader = Some((read(kv)?, mark));
        }
        Ok(())
    }

    /// A replica of any site with another `T`. One that says which, and has not moved for the longer of both, is gone: its
    /// own deadline has passed, and its site's leader may delete it.
    fn other_t(&mut self, now: Duration, found: &[Kv]) -> Option<OtherT> {
        if !self.guards.on(Guard::OneTiming) {
            return None;
        }
        let mut others = BTreeMap::new();
        let mut alive = None;
        for kv in found {
            let Some((site, replica)) = Key::member_of(&kv.key) else { continue };
            let record = read::<MemberRecord>(kv).ok();
            let us = site == self.identity.site && replica == self.identity.replica;
            if us || record.as_ref().is_some_and(|record| record.has_t(self.timing.t())) {
                continue;
            }
            let mark = Mark::renewed(self.others.get(&kv.key), kv.mod_revision, now);
            others.insert(kv.key.clone(), mark);
            let found = record.map_or(0, |record| record.t_millis);
            let longer = Duration::from_millis(found).max(self.timing.t());
            if found == 0 || now.saturating_sub(mark.since) < longer {
                let (site, replica) = (site.to_owned(), replica.to_owned());
                alive.get_or_insert(OtherT { site, replica, found, ours: self.t_millis() });
            }
        }
        self.others = others;
        alive
    }

    fn watch_members(&mut self, now: Duration, found: &[Kv]) {
        let mut members: BTreeMap<String, Mark> = BTreeMap::new();
        for kv in found {
            if let Some((site, replica)) = Key::member_of(&kv.key)
                && site == self.identity.site
                && replica != self.identity.replica
            {
                let mark = Mark::renewed(self.members.get(replica), kv.mod_revision, now);
                members.insert(replica.to_owned(), mark);
            }
        }
        self.members = members;
    }

    fn leads(&self) -> Option<i64> {
        let (record, mark) = self.leader.as_ref()?;
        let Identity { replica, incarnation, .. } = &self.identity;
        (record.replica == *replica && record.incarnation == *incarnation).then_some(mark.revision)
    }

    /// What to do beside the next heartbeat.
    #[must_use]
    pub fn acts(&self, now: Duration) -> Vec<Act> {
        if self.deadline.is_none_or(|deadline| now >= deadline) {
            // Who does not know how things stand takes nothing.
            return Vec::new();
        }
        match self.leads() {
            Some(revision) => self.reap(now, revision),
            None => self.campaign(now).into_iter().collect(),
        }
    }

    fn campaign(&self, now: Duration) -> Option<Act> {
        let Identity { site, replica, incarnation, .. } = &self.identity;
        let record = LeaderRecord { replica: replica.clone(), incarnation: incarnation.clone() };
        let Some((leader, mark)) = &self.leader else {
            return Some(Act::Campaign(txn::campaign(site, 0, None, &record)));
        };
        if leader.replica == *replica {
            // Our predecessor under this name; see the module's documentation.
            return Some(Act::Campaign(txn::campaign(site, mark.revision, None, &record)));
        }
        // A leader without a member key counts as unmoved since its record was first seen.
        let member = self.members.get(&leader.replica).copied().unwrap_or(Mark { revision: 0, since: mark.since });
        let unmoved = self.unmoved(now, *mark) && self.unmoved(now, member);
        unmoved.then(|| {
            let old = Some((leader.replica.as_str(), member.revision));
            Act::Campaign(txn::campaign(site, mark.revision, old, &record))
        })
    }

    fn reap(&self, now: Duration, leader: i64) -> Vec<Act> {
        let site = self.identity.site.as_str();
        self.members
            .iter()
            .filter(|(_, mark)| self.unmoved(now, **mark))
            .map(|(replica, mark)| Act::Reap(txn::reap_guarded((site, leader), replica, mark.revision, self.guards)))
            .collect()
    }

    fn unmoved(&self, now: Duration, mark: Mark) -> bool {
        now.saturating_sub(mark.since) >= self.timing.t()
    }

    /// Takes in the answer to a campaign that was received at this time.
    pub fn campaigned(&mut self, received: Duration, answer: &TxnAnswer) {
        if answer.succeeded && self.counts().allow(answer.origin) {
            let Identity { replica, incarnation, .. } = self.identity.clone();
            let mark = Mark { revision: answer.revision, since: received };
            self.leader = Some((LeaderRecord { replica, incarnation }, mark));
        }
    }

    /// Gives up the leadership, if this replica has it: the transaction to send, after which nothing is led.
    pub fn resign(&mut self) -> Option<Txn> {
        let revision = self.leads()?;
        self.leader = None;
        Some(txn::resign(&self.identity.site, revision))
    }

    /// What is known, for others.
    #[must_use]
    pub fn view(&self) -> View {
        let token = |mod_revision| self.deadline.map(|valid_until| LeaderToken { mod_revision, valid_until });
        View {
            leader: self.leads().and_then(token),
            groups: Arc::clone(&self.groups),
            seen: self.seen,
            deadline: self.deadline,
        }
    }
}
