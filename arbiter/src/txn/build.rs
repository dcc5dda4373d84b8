//! The transactions of failover.md, section 1, for publishing and for the membership.

use tandem_core::sync::Record;

use super::{Compare, Op, Txn};
use crate::guards::{Guard, Guards};
use crate::records::{
    Applied, BrakeRecord, ConflictRecord, DataRecord, GroupRecord, Key, LeaderRecord, LedgerRecord, MemberRecord,
    PLATFORM, StatusRecord,
};

/// What a replica relies on when it acts for its site: the authority record and its own leadership, as it saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// `mod_revision` of `groups/platform`.
    pub authority: i64,
    /// `mod_revision` of `sites/<site>/leader`.
    pub leader: i64,
}

/// A record that replaces another.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecChange {
    /// Revision of the record that is replaced; 0 to create.
    pub base: i64,
    /// What is written.
    pub record: Record,
}

/// A ledger as it was read, and as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSwap {
    /// The unit.
    pub unit: String,
    /// `mod_revision` of the ledger as it was read; 0 where there was none.
    pub revision: i64,
    /// The new ledger; `None` to delete it.
    pub next: Option<LedgerRecord>,
}

/// The group record that goes with a `FailoverGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupChange {
    /// The group.
    pub group: String,
    /// `mod_revision` of the record as it was read; 0 where there was none.
    pub revision: i64,
    /// The record to write; `None` where it stays as it is.
    pub next: Option<GroupRecord>,
    /// What else is compared: where the record is made, that no site has seen the group, see [`super::founding`].
    pub also: Vec<Compare>,
}

/// Creates `groups/platform`: held by the preferred site under epoch 1. Never in an arbiter that was restored: there the
/// record is in the backup, or is confirmed from what the sites report.
#[must_use]
pub fn create_platform(preferred: &str) -> Txn {
    let key = Key::Group(PLATFORM.to_owned());
    Txn {
        compare: vec![Compare::absent(&key), Compare::absent(Key::Generation)],
        then: vec![Op::put(&key, &GroupRecord::first(preferred))],
        otherwise: vec![Op::get(&key)],
    }
}

/// Publishes a record or a tombstone, with the change of the ledger and of the group record that goes with it. Where a
/// comparison fails, the answer reads, in order: authority, leader, the record, the ledger, the group.
#[must_use]
pub fn publish(
    site: &str,
    mandate: &Mandate,
    change: &SpecChange,
    ledger: Option<&LedgerSwap>,
    group: Option<&GroupChange>,
) -> Txn {
    let spec = Key::Spec(change.record.key().clone());
    let mut txn = acting(site, mandate);
    txn.compare.push(Compare::unchanged(&spec, change.base));
    txn.then.push(Op::put(&spec, &change.record));
    txn.otherwise.push(Op::get(&spec));
    if let Some(LedgerSwap { unit, revision, next }) = ledger {
        let key = Key::Ledger(unit.clone());
        txn.compare.push(Compare::unchanged(&key, *revision));
        match next {
            Some(next) => txn.then.push(Op::put(&key, next)),
            None if *revision > 0 => txn.then.push(Op::delete(&key)),
            None => {}
        }
        txn.otherwise.push(Op::get(&key));
    }
    if let Some(GroupChange { group, revision, next, also }) = group {
        let key = Key::Group(group.clone());
        txn.compare.push(Compare::unchanged(&key, *revision));
        txn.compare.extend(also.iter().cloned());
        txn.then.extend(next.as_ref().map(|next| Op::put(&key, next)));
        txn.otherwise.push(Op::get(&key));
    }
    txn
}

/// Deletes tombstones that every site has applied, each only as it was seen.
#[must_use]
pub fn collect(site: &str, mandate: &Mandate, tombstones: &[(Key, i64)]) -> Txn {
    let mut txn = acting(site, mandate);
    for (key, revision) in tombstones {
        txn.compare.push(Compare::unchanged(key, *revision));
        txn.then.push(Op::delete(key));
    }
    txn
}

/// The comparisons of whoever acts for the authority.
fn acting(site: &str, mandate: &Mandate) -> Txn {
    let platform = Key::Group(PLATFORM.to_owned());
    let leader = Key::Leader(site.to_owned());
    Txn {
        compare: vec![Compare::unchanged(&platform, mandate.authority), Compare::unchanged(&leader, mandate.leader)],
        then: Vec::new(),
        otherwise: vec![Op::get(&platform), Op::get(&leader)],
    }
}

/// Writes a site's status; `None` deletes it.
#[must_use]
pub fn status_batch(leader: (&str, i64), changes: &[(Key, Option<StatusRecord>)]) -> Txn {
    let (site, revision) = leader;
    Txn {
        compare: vec![Compare::unchanged(Key::Leader(site.to_owned()), revision)],
        then: changes
            .iter()
            .map(|(key, status)| status.as_ref().map_or_else(|| Op::delete(key), |status| Op::put(key, status)))
            .collect(),
        otherwise: Vec::new(),
    }
}

/// Says how groups' data stands at a site.
#[must_use]
pub fn data(leader: (&str, i64), reports: &[(String, DataRecord)]) -> Txn {
    let (site, revision) = leader;
    let key = |group: &String| Key::Data { site: site.to_owned(), group: group.clone() };
    Txn {
        compare: vec![Compare::unchanged(Key::Leader(site.to_owned()), revision)],
        then: reports.iter().map(|(group, record)| Op::put(key(group), record)).collect(),
        otherwise: Vec::new(),
    }
}

/// Says how far the site has applied the records; `known` is the `mod_revision` of what it said before.
#[must_use]
pub fn applied(leader: (&str, i64), known: i64, revision: i64) -> Txn {
    let (site, leads) = leader;
    let key = Key::Applied(site.to_owned());
    Txn {
        compare: vec![Compare::unchanged(Key::Leader(site.to_owned()), leads), Compare::unchanged(&key, known)],
        then: vec![Op::put(&key, &Applied { revision })],
        otherwise: vec![Op::get(&key)],
    }
}

/// Keeps a conflict, once.
#[must_use]
pub fn conflict(record: &ConflictRecord) -> Txn {
    let key = Key::Conflict(record.conflict.clone());
    Txn { compare: vec![Compare::absent(&key)], then: vec![Op::put(&key, record)], otherwise: Vec::new() }
}

/// Replaces the record of a site's brake as it was read at `known` (0: there was none).
#[must_use]
pub fn brake(site: &str, known: i64, record: &BrakeRecord) -> Txn {
    let key = Key::Brake(site.to_owned());
    Txn {
        compare: vec![Compare::unchanged(&key, known)],
        then: vec![Op::put(&key, record)],
        otherwise: vec![Op::get(&key)],
    }
}

/// A heartbeat: puts the member key and reads, in order: `groups/`, the site's leader, (the put), what every site's replicas
/// say of themselves (of all sites, since all must have one `T`), the generation. The comparison keeps a late repetition from taking `seen` back, and two processes from sharing one name.
#[must_use]
pub fn beat(site: &str, replica: &str, known: i64, record: &MemberRecord) -> Txn {
    let key = Key::Member { site: site.to_owned(), replica: replica.to_owned() };
    Txn {
        compare: vec![Compare::unchanged(&key, known)],
        then: vec![
            Op::range(Key::groups()),
            Op::get(Key::Leader(site.to_owned())),
            Op::put(&key, record),
            Op::range(Key::sites()),
            Op::get(Key::Generation),
        ],
        otherwise: vec![Op::get(&key)],
    }
}

/// Takes the site's leadership, from the leader as it was seen: its record's `mod_revision` (0: none) and, where it is
/// another replica, its member key and that key's `mod_revision`.
#[must_use]
pub fn campaign(site: &str, leader: i64, member: Option<(&str, i64)>, record: &LeaderRecord) -> Txn {
    let key = Key::Leader(site.to_owned());
    let mut compare = vec![Compare::unchanged(&key, leader)];
    compare.extend(member.map(|(replica, revision)| {
        Compare::unchanged(Key::Member { site: site.to_owned(), replica: replica.to_owned() }, revision)
    }));
    Txn { compare, then: vec![Op::put(&key, record)], otherwise: Vec::new() }
}

/// Gives the site's leadership up.
#[must_use]
pub fn resign(site: &str, leader: i64) -> Txn {
    let key = Key::Leader(site.to_owned());
    Txn { compare: vec![Compare::unchanged(&key, leader)], then: vec![Op::delete(&key)], otherwise: Vec::new() }
}

/// Deletes the heartbeat of a replica that is gone, as it was watched, by the site's leader.
#[must_use]
pub fn reap(leader: (&str, i64), replica: &str, known: i64) -> Txn {
    reap_guarded(leader, replica, known, Guards::ALL)
}

/// The same with other guards.
#[cfg(feature = "mutations")]
#[must_use]
pub fn reap_with(leader: (&str, i64), replica: &str, known: i64, guards: Guards) -> Txn {
    reap_guarded(leader, replica, known, guards)
}

pub(crate) fn reap_guarded(leader: (&str, i64), replica: &str, known: i64, guards: Guards) -> Txn {
    let (site, revision) = leader;
    let key = Key::Member { site: site.to_owned(), replica: replica.to_owned() };
    let mut compare = vec![Compare::unchanged(Key::Leader(site.to_owned()), revision)];
    if guards.on(Guard::DeleteAsWatched) {
        // One that came back meanwhile lives: without its key a claimant would not wait for what it has seen.
        compare.push(Compare::unchanged(&key, known));
    }
    Txn { compare, then: vec![Op::delete(&key)], otherwise: Vec::new() }
}
