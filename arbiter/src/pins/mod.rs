//! Which arbiter a site knows: pinned on each replica's own disk, and compared before a heartbeat counts.
//!
//! A restored or forced etcd answers as the old one did, with records from the past. What tells it apart: its cluster id
//! (a restore with a fresh token gets a new one), its members, the generation that `tandem arbiter restore` raised, and a
//! revision below one that was already seen. On any difference the site fences until a person changes the pins, through
//! `tandem arbiter restore` or `replace` alone.

mod accept;
mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use accept::{Acceptance, NoAcceptance, NotAccepted};
pub use file::{read_acceptance, read_pins, write_acceptance, write_pins};

use crate::records::{GenerationRecord, GroupRecord, HighestRecord, Mark, RestorePhase, Versioned};

/// What is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pins {
    /// etcd's cluster id.
    pub cluster: u64,
    /// The ids of its members.
    pub members: BTreeSet<u64>,
    /// Generation of the data.
    pub generation: u64,
    /// The highest revision seen.
    pub revision: i64,
    /// The highest epoch seen of each group: what is reported after a restore, also by a replica that restarted since.
    #[serde(default)]
    pub groups: BTreeMap<String, Mark>,
    /// The highest revision seen under the generation before; 0 without one.
    #[serde(default)]
    pub before: i64,
    /// The generation in which this replica met the arbiter first. Of earlier ones it knows nothing, and has nothing to report.
    #[serde(default)]
    pub since: u64,
}

/// Who an arbiter is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// Its cluster id.
    pub cluster: u64,
    /// The ids of its members.
    pub members: BTreeSet<u64>,
}

/// What was observed of an arbiter. Each part is compared where it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The cluster id.
    pub cluster: Option<u64>,
    /// The ids of its members.
    pub members: Option<BTreeSet<u64>>,
    /// The generation, and whether its restore has been carried out; 1 without any record.
    pub generation: Option<(u64, RestorePhase)>,
    /// The revision of a linearizable answer.
    pub revision: Option<i64>,
}

impl Observed {
    /// The generation as the record has it, or as it is where there is none.
    #[must_use]
    pub fn generation(record: Option<&GenerationRecord>) -> (u64, RestorePhase) {
        record.map_or((1, RestorePhase::Confirming), |record| (record.generation, record.phase))
    }
}

/// In what an arbiter differs from the one that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another cluster.
    #[error(
        "the arbiter's cluster id is {observed:x}, {pinned:x} is pinned; if it was restored, run tandem arbiter restore, and \
         accept it at this site"
    )]
    Cluster {
        /// What is pinned.
        pinned: u64,
        /// What was observed.
        observed: u64,
    },
    /// Other members.
    #[error("the arbiter's members changed; if one was replaced, run tandem arbiter replace")]
    Members {
        /// Members that are not pinned.
        unknown: BTreeSet<u64>,
        /// Pinned ones that are not there.
        missing: BTreeSet<u64>,
    },
    /// Data of another generation.
    #[error(
        "the arbiter's data is of generation {observed}, {pinned} is pinned; it was restored: accept it at this site with \
         tandem arbiter restore"
    )]
    Generation {
        /// What is pinned.
        pinned: u64,
        /// What was observed.
        observed: u64,
    },
    /// A restore was begun and not ended.
    #[error("a restore of the arbiter was begun and not ended; run tandem arbiter restore again")]
    Unfinished,
    /// The arbiter has stepped back.
    #[error("the arbiter stands at revision {observed}, after {pinned} was seen: it was restored from a backup")]
    SteppedBack {
        /// The highest revision seen.
        pinned: i64,
        /// What was observed.
        observed: i64,
    },
}

/// Compares what was observed with what is pinned.
///
/// # Errors
/// [`Mismatch`] with the first difference: the site fences.
pub fn check(pins: &Pins, observed: &Observed) -> Result<(), Mismatch> {
    if let Some(cluster) = observed.cluster.filter(|cluster| *cluster != pins.cluster) {
        return Err(Mismatch::Cluster { pinned: pins.cluster, observed: cluster });
    }
    if let Some(members) = observed.members.as_ref().filter(|members| **members != pins.members) {
        let unknown = members.difference(&pins.members).copied().collect();
        let missing = pins.members.difference(members).copied().collect();
        return Err(Mismatch::Members { unknown, missing });
    }
    if let Some((generation, phase)) = observed.generation {
        if generation != pins.generation {
            return Err(Mismatch::Generation { pinned: pins.generation, observed: generation });
        }
        if phase == RestorePhase::Restoring {
            return Err(Mismatch::Unfinished);
        }
    }
    if let Some(revision) = observed.revision.filter(|revision| *revision < pins.revision) {
        return Err(Mismatch::SteppedBack { pinned: pins.revision, observed: revision });
    }
    Ok(())
}

impl Pins {
    /// Pins an arbiter that is met for the first time, at installation, or after a restore that a person ran. The epochs
    /// that were seen stay.
    #[must_use]
    pub fn adopt(identity: ClusterIdentity, generation: u64, revision: i64, groups: BTreeMap<String, Mark>) -> Self {
        let ClusterIdentity { cluster, members } = identity;
        Self { cluster, members, generation, revision, groups, before: 0, since: generation }
    }

    /// Takes in what a heartbeat that counted has shown; says whether an epoch was new. Then the pins are worth writing at
    /// once; a mere revision can wait.
    pub fn advance(&mut self, revision: i64, groups: &BTreeMap<String, Versioned<GroupRecord>>) -> bool {
        self.revision = self.revision.max(revision);
        let mut news = false;
        for (group, record) in groups {
            let GroupRecord { epoch, active, .. } = &record.value;
            if self.groups.get(group).is_none_or(|mark| mark.epoch < *epoch) {
                self.groups.insert(group.clone(), Mark { epoch: *epoch, active: active.clone() });
                news = true;
            }
        }
        news
    }

    /// What this replica reports after a restore to this generation; `None` where it knows of nothing before it. A disk that
    /// was lost must not speak for the site: its silence is no word that nothing was seen.
    #[must_use]
    pub fn highest(&self, replica: &str, generation: u64) -> Option<HighestRecord> {
        let revision = if self.before > 0 { self.before } else { self.revision };
        let replicas = BTreeSet::from([replica.to_owned()]);
        (self.since < generation).then(|| HighestRecord { generation, revision, groups: self.groups.clone(), replicas })
    }
}
