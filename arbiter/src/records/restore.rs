//! What stands in the arbiter because it was restored from a backup.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a restore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RestorePhase {
    /// Not every group is `Unconfirmed` yet. Whoever sees this must not act: run `tandem arbiter restore` again, which goes on.
    Restoring,
    /// Every group is, or was, `Unconfirmed`; sites report and groups are confirmed one by one.
    Confirming,
}

/// Which restore the arbiter's data come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// One more with every restore; 1 without any, and then there is no record.
    pub generation: u64,
    /// How far the restore has come.
    pub phase: RestorePhase,
    /// The sites that have to report before a group is confirmed.
    pub sites: Vec<String>,
    /// When the restore began, by the wall clock of whoever ran it; for people.
    pub at: Timestamp,
    /// Who ran it.
    pub by: String,
    /// etcd's cluster id, by which it is known whether this restore was carried out on the etcd at hand; 0 where an earlier
    /// release did not write it.
    #[serde(default)]
    pub cluster: u64,
}

/// The highest epoch of a group that somebody has seen, and who held it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The epoch.
    pub epoch: u64,
    /// The site that was active under it.
    pub active: String,
}

/// The high-water marks of a site, reported after a restore: what its replicas have on their own disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighestRecord {
    /// The generation that the report is for; one of an earlier generation does not count.
    pub generation: u64,
    /// The highest revision of the arbiter seen, under the generation before.
    pub revision: i64,
    /// The highest epoch seen of each group.
    pub groups: BTreeMap<String, Mark>,
    /// The replicas whose disks this is from.
    #[serde(default)]
    pub replicas: BTreeSet<String>,
}

impl HighestRecord {
    /// Both reports in one, each group with its higher mark: a site's replicas add to one record.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        if self.generation != other.generation {
            return if self.generation > other.generation { self } else { other };
        }
        self.revision = self.revision.max(other.revision);
        self.replicas.extend(other.replicas);
        for (group, mark) in other.groups {
            match self.groups.get_mut(&group) {
                Some(before) if before.epoch >= mark.epoch => {}
                Some(before) => *before = mark,
                None => drop(self.groups.insert(group, mark)),
            }
        }
        self
    }
}

/// A person's word that a silent site is off, so that groups are confirmed without its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationRecord {
    /// The generation that it is for.
    pub generation: u64,
    /// How the person knows.
    pub reason: String,
    /// When, by the approver's wall clock; for people.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(generation: u64, revision: i64, epochs: &[(&str, u64)]) -> HighestRecord {
        let mark = |epoch| Mark { epoch, active: format!("dc-{epoch}") };
        let groups = epochs.iter().map(|(group, epoch)| ((*group).to_owned(), mark(*epoch))).collect();
        HighestRecord { generation, revision, groups, replicas: BTreeSet::from([format!("op-{revision}")]) }
    }

    #[test]
    fn reports_of_one_site_add_up_to_the_highest_of_each() {
        let one = report(2, 10, &[("g", 3), ("h", 1)]);
        let other = report(2, 9, &[("g", 4), ("i", 2)]);
        let replicas = BTreeSet::from(["op-9".to_owned(), "op-10".to_owned()]);
        let both = HighestRecord { replicas, ..report(2, 10, &[("g", 4), ("h", 1), ("i", 2)]) };
        assert_eq!(one.clone().merged(other.clone()), both);
        assert_eq!(other.merged(one.clone()), both);
        let older = report(1, 99, &[("g", 9)]);
        assert_eq!(older.clone().merged(one.clone()), one);
        assert_eq!(one.clone().merged(older), one);
    }
}
