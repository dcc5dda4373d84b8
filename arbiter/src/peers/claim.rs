//! When a release may be claimed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::MembersRead;
use crate::guards::{Guard, Guards};
use crate::membership::Timing;
use crate::records::{GroupRecord, Versioned};

/// Why a release may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Every replica of the releasing site has applied the release.
    Seen {
        /// The revision of the member list that says so.
        list: i64,
    },
    /// `T` has passed since the claimant first applied the release: a replica that has not applied it is fenced.
    Waited,
}

/// That a release may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimProof {
    group: String,
    release: i64,
    from: String,
    basis: Basis,
}

impl ClaimProof {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// `mod_revision` of the released record.
    #[must_use]
    pub fn release(&self) -> i64 {
        self.release
    }

    /// The releasing site.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Why.
    #[must_use]
    pub fn basis(&self) -> Basis {
        self.basis
    }
}

/// A release to this site that is not claimed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The group.
    pub group: String,
    /// The releasing site, whose members are to be read.
    pub from: String,
    /// `mod_revision` of the released record: what the read has to reach.
    pub release: i64,
    /// When this replica first applied it, on its boot clock.
    pub since: Duration,
}

/// Watches for releases to this site.
///
/// Why waiting for `seen` is enough. A replica of the releasing site answers 200 as long as it has not applied the release
/// and its deadline has not passed. Its deadline moves only by heartbeats, and every heartbeat that is committed after the
/// release is answered with it. So a replica that is alive and has not applied the release has a heartbeat from before the
/// release as its last one: its key existed then, and says a `seen` below the release. Hence a list at a revision not below
/// the release contains every replica that matters, and an older list may miss one that joined in between. A replica whose
/// key appears after the list joined by a heartbeat after the release, whose answer shows the release: it is passive until
/// that answer, and knows after it. The claim compares all the same that no key of the range was *created* after the list
/// (not that none moved: every living replica's heartbeat would make the claim fail).
///
/// Why waiting for `T` is enough: the release was committed before this replica applied it, so every heartbeat from before
/// it was sent before; `T_f < T` later all of these have run out.
#[derive(Clone, Debug)]
pub struct ClaimWatch {
    site: String,
    wait: Duration,
    released: BTreeMap<String, Pending>,
    guards: Guards,
}

impl ClaimWatch {
    /// Nothing is released to this site yet.
    #[must_use]
    pub fn new(site: &str, timing: Timing) -> Self {
        Self { site: site.to_owned(), wait: timing.t(), released: BTreeMap::new(), guards: Guards::ALL }
    }

    /// The same with other guards.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// Takes in the group records that this replica has applied by this time of its boot clock.
    pub fn observe(&mut self, now: Duration, groups: &BTreeMap<String, Versioned<GroupRecord>>) {
        self.released.retain(|group, _| groups.get(group).is_some_and(|record| released(&record.value, &self.site)));
        for (group, record) in groups {
            let known = self.released.get(group).is_some_and(|pending| pending.release >= record.revision);
            if known || !released(&record.value, &self.site) {
                continue;
            }
            let pending = Pending {
                group: group.clone(),
                from: record.value.active.clone(),
                release: record.revision,
                since: now,
            };
            self.released.insert(group.clone(), pending);
        }
    }

    /// What waits to be claimed.
    pub fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.released.values()
    }

    /// The proof that a group may be claimed now, from a read of the releasing site's members where there is one.
    /// `generation` is that of the arbiter's data; a replica of another one has seen nothing of this release.
    #[must_use]
    pub fn ready(
        &self,
        group: &str,
        now: Duration,
        generation: u64,
        members: Option<&MembersRead>,
    ) -> Option<ClaimProof> {
        let pending = self.released.get(group)?;
        if members.is_some_and(|members| members.site == pending.from && members.other_t(self.wait).is_some())
            && self.guards.on(Guard::OneTiming)
        {
            return None;
        }
        let proof =
            |basis| ClaimProof { group: group.to_owned(), release: pending.release, from: pending.from.clone(), basis };
        if now.saturating_sub(pending.since) >= self.wait {
            return Some(proof(Basis::Waited));
        }
        let members = members.filter(|members| members.site == pending.from)?;
        if members.revision < pending.release && self.guards.on(Guard::ClaimFreshList) {
            return None;
        }
        let seen =
            |record: &crate::records::MemberRecord| record.generation == generation && record.seen >= pending.release;
        // An empty list says nothing about a replica that lives: it waits for `T`.
        let all = !members.members.is_empty()
            && members.members.iter().all(|member| member.record.as_ref().is_some_and(seen));
        (all || !self.guards.on(Guard::ClaimSeen)).then(|| proof(Basis::Seen { list: members.revision }))
    }
}

fn released(record: &GroupRecord, site: &str) -> bool {
    record.released_to() == Some(site) && !record.retired
}
