//! The other site, as this replica sees it: whether it has been silent for `T`, and whether what it released can be claimed.
//!
//! Both give a proof that cannot be made in another way, and that the transaction builders ask for: [`Silence`] for a
//! take-over, [`ClaimProof`] for a claim. A proof is not the last word. Each stands for a comparison that the transaction
//! carries, so that what happened after the look is found by the arbiter itself.

mod claim;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use claim::{Basis, ClaimProof, ClaimWatch, Pending};

use crate::guards::{Guard, Guards};
use crate::membership::Timing;
use crate::records::{Key, MemberRecord, decode};
use crate::store::Range;

/// One heartbeat of another site, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeen {
    /// The replica.
    pub replica: String,
    /// `create_revision` of its key.
    pub created: i64,
    /// `mod_revision` of its key.
    pub revision: i64,
    /// What it says; `None` where that cannot be read, and then nothing is known to be seen by it.
    pub record: Option<MemberRecord>,
}

/// A site's `members/`, read linearizably: everything that was committed before the read began is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersRead {
    /// The site.
    pub site: String,
    /// The revision that it shows.
    pub revision: i64,
    /// The heartbeats, in the order of their keys.
    pub members: Vec<MemberSeen>,
}

impl MembersRead {
    /// What [`Store::range`](crate::store::Store::range) found under [`Key::members`].
    #[must_use]
    pub fn new(site: &str, range: &Range) -> Self {
        let members = range.kvs.iter().map(|kv| {
            // A key of a shape that is not known still moves, and so counts.
            let replica = Key::member_of(&kv.key).map_or_else(|| kv.key.clone(), |(_, replica)| replica.to_owned());
            let record = decode(&kv.value).ok();
            MemberSeen { replica, created: kv.create_revision, revision: kv.mod_revision, record }
        });
        Self { site: site.to_owned(), revision: range.revision, members: members.collect() }
    }

    /// A replica with another `T` than this, or one that does not say: nothing can be concluded from waiting for ours.
    #[must_use]
    pub fn other_t(&self, t: Duration) -> Option<&str> {
        let same = |member: &&MemberSeen| member.record.as_ref().is_some_and(|record| record.has_t(t));
        self.members.iter().find(|member| !same(member)).map(|member| member.replica.as_str())
    }

    /// The newest `mod_revision`; 0 where there is no heartbeat at all.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.members.iter().map(|member| member.revision).max().unwrap_or(0)
    }
}

/// That a site's heartbeats have not moved for `T` on this replica's own clock, since this replica first saw them so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    site: String,
    newest: i64,
}

impl Silence {
    /// The silent site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// `R`: the newest revision in its `members/`. The transaction compares the whole range with it, so that a heartbeat
    /// which came after the last look prevents the take-over.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.newest
    }
}

/// The range as it stood still.
#[derive(Clone, Debug)]
struct Still {
    /// Revision of the read that last showed it.
    read: i64,
    /// Each key with its `mod_revision`.
    keys: Vec<(String, i64)>,
    newest: i64,
    since: Duration,
    /// A replica with another `T`.
    other_t: Option<String>,
}

/// Watches another site's heartbeats, by linearizable reads that the caller makes about as often as its own heartbeats.
///
/// Why `T` of silence on the watcher's own clock is enough: the holder counts its deadline, `T_f = 0.7 T`, from the
/// *sending* of a heartbeat, and that is before the heartbeat was committed, which is before this watcher saw it. Every
/// heartbeat committed later has a newer revision, and the take-over compares the whole range. One that is committed after
/// the take-over is answered with the new group record.
///
/// Why the count starts with this process's own first sight: what it did not see itself it does not know. A time that the
/// holder wrote is of another clock; a time that a predecessor kept may be of another boot.
#[derive(Clone, Debug)]
pub struct PeerWatch {
    site: String,
    wait: Duration,
    still: Option<Still>,
    guards: Guards,
}

impl PeerWatch {
    /// Nothing has been seen of this site yet.
    #[must_use]
    pub fn new(site: &str, timing: Timing) -> Self {
        Self { site: site.to_owned(), wait: timing.t(), still: None, guards: Guards::ALL }
    }

    /// The same with other guards.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Takes in a read whose answer was received at this time of the boot clock.
    ///
    /// The count starts anew with every change: a key that moved, one that came back, and one that is gone too, since only
    /// a living leader of that site deletes keys. A read that is older than the last one says nothing.
    pub fn read(&mut self, received: Duration, read: &MembersRead) {
        if read.site != self.site || self.still.as_ref().is_some_and(|still| read.revision < still.read) {
            return;
        }
        let keys: Vec<(String, i64)> =
            read.members.iter().map(|member| (member.replica.clone(), member.revision)).collect();
        if let Some(still) = &mut self.still
            && still.keys == keys
        {
            still.read = read.revision;
            return;
        }
        let first_sight = self.still.is_none() && !self.guards.on(Guard::OwnFirstSight);
        let since = if first_sight { received.saturating_sub(self.wait) } else { received };
        let other_t = read.other_t(self.wait).filter(|_| self.guards.on(Guard::OneTiming)).map(str::to_owned);
        self.still = Some(Still { read: read.revision, keys, newest: read.newest(), since, other_t });
    }

    /// Forgets everything: after the arbiter was replaced, revisions of before mean nothing.
    pub fn forget(&mut self) {
        self.still = None;
    }

    /// The replica of the site that has another `T`, or does not say: while its heartbeat is there, silence proves nothing.
    #[must_use]
    pub fn other_t(&self) -> Option<&str> {
        self.still.as_ref()?.other_t.as_deref()
    }

    /// For how long the heartbeats have been seen to stand still; `None` before the first read.
    #[must_use]
    pub fn still_for(&self, now: Duration) -> Option<Duration> {
        self.still.as_ref().map(|still| now.saturating_sub(still.since))
    }

    /// The newest revision among the heartbeats, and since when they have been seen to stand still; `None` before the first
    /// read.
    #[must_use]
    pub fn still(&self) -> Option<(i64, Duration)> {
        self.still.as_ref().map(|still| (still.newest, still.since))
    }

    /// The proof of silence, once the heartbeats have stood still for `T`. `now` is read just before the transaction is sent.
    #[must_use]
    pub fn take_over_ready(&self, now: Duration) -> Option<Silence> {
        let still = self.still.as_ref()?;
        let silent = still.other_t.is_none() && now.saturating_sub(still.since) >= self.wait;
        silent.then(|| Silence { site: self.site.clone(), newest: still.newest })
    }
}
