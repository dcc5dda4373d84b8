//! The rules of the membership, with time and answers passed in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Identity, LeaderToken, MembershipError, Timing, View};
use crate::arbiter::{groups, read};
use crate::records::{GroupRecord, Key, LeaderRecord, MemberRecord, Versioned};
use crate::txn::{self, Kv, Txn, TxnAnswer};

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
}

impl Machine {
    /// A replica that has just started.
    #[must_use]
    pub fn new(identity: Identity, timing: Timing) -> Self {
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
        }
    }

    /// The next heartbeat.
    #[must_use]
    pub fn beat(&self) -> Txn {
        let Identity { site, replica, incarnation, generation } = &self.identity;
        let record = MemberRecord { seen: self.seen, generation: *generation, incarnation: incarnation.clone() };
        txn::beat(site, replica, self.known, &record)
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
            return self.rebase(answer.one(0));
        }
        self.begun = true;
        self.known = answer.revision;
        self.apply(groups(answer.read(0))?, answer.revision);
        self.watch_leader(received, answer.one(1))?;
        self.watch_members(received, answer.read(3));
        let deadline = sent + self.timing.fence();
        // An answer that overtook a later one does not take the deadline back.
        self.deadline = Some(self.deadline.map_or(deadline, |before| before.max(deadline)));
        Ok(Outcome::Counted)
    }

    fn rebase(&mut self, found: Option<&Kv>) -> Result<Outcome, MembershipError> {
        let Some(kv) = found else {
            self.known = 0;
            return Ok(Outcome::Again);
        };
        let ours = read::<MemberRecord>(kv).is_ok_and(|record| record.incarnation == self.identity.incarnation);
        if self.begun && !ours {
            let Identity { site, replica, .. } = self.identity.clone();
            return Err(MembershipError::Superseded { site, replica });
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

    fn watch_members(&mut self, now: Duration, found: &[Kv]) {
        let mut members: BTreeMap<String, Mark> = BTreeMap::new();
        for kv in found {
            if let Ok(Key::Member { replica, .. }) = kv.key.parse()
                && replica != self.identity.replica
            {
                let mark = Mark::renewed(self.members.get(&replica), kv.mod_revision, now);
                members.insert(replica, mark);
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
            .map(|(replica, mark)| Act::Reap(txn::reap((site, leader), replica, mark.revision)))
            .collect()
    }

    fn unmoved(&self, now: Duration, mark: Mark) -> bool {
        now.saturating_sub(mark.since) >= self.timing.t()
    }

    /// Takes in the answer to a campaign that was received at this time.
    pub fn campaigned(&mut self, received: Duration, answer: &TxnAnswer) {
        if answer.succeeded {
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
