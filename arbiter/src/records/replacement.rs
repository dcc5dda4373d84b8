//! Which members of the arbiter were replaced.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One member that was replaced, or is being. Written before anything is changed, so that a site that meets other members than
/// it has pinned can tell a replacement from a forced new cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// etcd's cluster id.
    pub cluster: u64,
    /// Generation of the data.
    pub generation: u64,
    /// The ids of all members before.
    pub before: BTreeSet<u64>,
    /// The id of the one that goes.
    pub removed: u64,
    /// Its name, which the new one takes over.
    pub name: String,
    /// Where the new one is reached by the other members.
    pub peer_urls: Vec<String>,
    /// The id of the one that comes, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// Whether the new one votes.
    #[serde(default)]
    pub done: bool,
    /// When it was begun, by the wall clock of whoever ran it; for people.
    pub at: Timestamp,
    /// Who ran it.
    pub by: String,
}

impl Replacement {
    /// The members that stay.
    #[must_use]
    pub fn middle(&self) -> BTreeSet<u64> {
        self.before.iter().copied().filter(|member| *member != self.removed).collect()
    }

    /// How far it had come where these were the members: 0 before it, 1 with one member less, 2 with the new one. `None` where
    /// these were never its members. All members that stay are among them at any stage: a forced new cluster has one of them
    /// alone.
    #[must_use]
    pub fn stage(&self, members: &BTreeSet<u64>) -> Option<u8> {
        let middle = self.middle();
        if *members == self.before {
            return Some(0);
        }
        if *members == middle {
            return Some(1);
        }
        let mut new = members.difference(&middle);
        let (first, second) = (new.next(), new.next());
        // Its id is not known before it is there, and written down a moment later.
        let expected = first.is_some_and(|new| self.added.is_none_or(|added| added == *new) && *new != self.removed);
        (expected && second.is_none() && middle.is_subset(members)).then_some(2)
    }
}

/// The replacements so far, the oldest first: a site that was off during several of them follows one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacementsRecord {
    /// The replacements.
    pub replacements: Vec<Replacement>,
}

/// How many replacements are kept.
const KEPT: usize = 32;

impl ReplacementsRecord {
    /// With one more, or a newer state of the last one. The oldest is forgotten where there are many.
    #[must_use]
    pub fn with(mut self, replacement: Replacement) -> Self {
        match self.replacements.last_mut() {
            Some(last) if last.removed == replacement.removed && last.before == replacement.before => {
                *last = replacement
            }
            _ => self.replacements.push(replacement),
        }
        let surplus = self.replacements.len().saturating_sub(KEPT);
        self.replacements.drain(..surplus);
        self
    }

    /// The one that has been begun and not ended.
    #[must_use]
    pub fn open(&self) -> Option<&Replacement> {
        self.replacements.last().filter(|last| !last.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacement(before: [u64; 3], removed: u64, added: Option<u64>) -> Replacement {
        Replacement {
            cluster: 7,
            generation: 1,
            before: before.into(),
            removed,
            name: "witness".into(),
            peer_urls: vec!["https://192.0.2.3:2380".into()],
            added,
            done: added.is_some(),
            at: Timestamp::UNIX_EPOCH,
            by: "wang".into(),
        }
    }

    #[test]
    fn stages_are_told_apart_and_a_forced_new_cluster_is_none() {
        for added in [None, Some(4)] {
            let replacement = replacement([1, 2, 3], 3, added);
            assert_eq!(replacement.stage(&[1, 2, 3].into()), Some(0));
            assert_eq!(replacement.stage(&[1, 2].into()), Some(1));
            assert_eq!(replacement.stage(&[1, 2, 4].into()), Some(2));
            for forced in [vec![1], vec![1, 4], vec![1, 4, 5], vec![1, 2, 4, 5], vec![1, 3], vec![]] {
                assert_eq!(replacement.stage(&forced.iter().copied().collect()), None, "{forced:?}");
            }
        }
        assert_eq!(replacement([1, 2, 3], 3, Some(4)).stage(&[1, 2, 5].into()), None);
    }

    #[test]
    fn a_newer_state_takes_the_place_of_the_older() {
        let record = ReplacementsRecord::default().with(replacement([1, 2, 3], 3, None));
        assert!(record.open().is_some());
        let record = record.with(replacement([1, 2, 3], 3, Some(4)));
        assert_eq!((record.replacements.len(), record.open()), (1, None));
        let record = record.with(replacement([1, 2, 4], 1, None));
        assert_eq!(record.replacements.len(), 2);
    }
}
