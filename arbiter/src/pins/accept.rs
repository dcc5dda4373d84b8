//! How pins change: by a person's word after a restore, and by what the arbiter says of a replaced member.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Observed, Pins};
use crate::records::{ReplacementsRecord, RestorePhase};

/// A person's word at a site: this, and no other, is the restored arbiter. It names everything that tells one arbiter from
/// another, so that it cannot be meant for one and be taken for another.
///
/// As text: `GENERATION:CLUSTER:MEMBER,MEMBER,MEMBER`, the ids in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Generation of its data.
    pub generation: u64,
    /// Its cluster id.
    pub cluster: u64,
    /// The ids of its members.
    pub members: BTreeSet<u64>,
}

impl fmt::Display for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:x}:", self.generation, self.cluster)?;
        for (place, member) in self.members.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{member:x}")?;
        }
        Ok(())
    }
}

/// A text that names no arbiter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no arbiter; it is written GENERATION:CLUSTER:MEMBER,MEMBER,… as tandem arbiter restore prints it")]
pub struct NoAcceptance(pub String);

impl FromStr for Acceptance {
    type Err = NoAcceptance;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no = || NoAcceptance(text.to_owned());
        let [generation, cluster, members] = text.trim().split(':').collect::<Vec<_>>()[..] else { return Err(no()) };
        let id = |text: &str| u64::from_str_radix(text, 16).map_err(|_| no());
        let members = members.split(',').map(id).collect::<Result<BTreeSet<u64>, _>>()?;
        Ok(Self { generation: generation.parse().map_err(|_| no())?, cluster: id(cluster)?, members })
    }
}

/// Why a person's word is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// Something of the arbiter is not known yet.
    #[error("not everything of the arbiter has been read")]
    Unknown,
    /// The word names another arbiter than the one that answers.
    #[error(
        "{accepted} was accepted, the arbiter that answers is {found}; run tandem arbiter restore again and accept what it prints"
    )]
    Other {
        /// What was accepted.
        accepted: Acceptance,
        /// What answers.
        found: Acceptance,
    },
    /// The restore has not been carried out to its end.
    #[error("the restore was begun and not ended; run tandem arbiter restore again")]
    Unfinished,
    /// A generation that is not above the one that is pinned: nothing was restored since.
    #[error("generation {found} was accepted, {pinned} is pinned; a restore raises it: run tandem arbiter restore")]
    NotRaised {
        /// What is pinned.
        pinned: u64,
        /// What was accepted.
        found: u64,
    },
    /// The cluster id that is pinned: restored with the same token, or forced.
    #[error("the arbiter kept its cluster id; restore the snapshot again with a fresh --initial-cluster-token")]
    SameCluster,
}

impl Pins {
    /// The pins after a restore that a person accepted at this site. What was seen of groups stays, to be reported.
    ///
    /// # Errors
    /// [`NotAccepted`]: in doubt nothing changes, and the site stays fenced.
    pub fn accept(&self, word: &Acceptance, observed: &Observed) -> Result<Self, NotAccepted> {
        let (Some(cluster), Some(members), Some((generation, phase)), Some(revision)) =
            (observed.cluster, &observed.members, observed.generation, observed.revision)
        else {
            return Err(NotAccepted::Unknown);
        };
        let found = Acceptance { generation, cluster, members: members.clone() };
        if *word != found {
            return Err(NotAccepted::Other { accepted: word.clone(), found });
        }
        if phase == RestorePhase::Restoring {
            return Err(NotAccepted::Unfinished);
        }
        if generation <= self.generation {
            return Err(NotAccepted::NotRaised { pinned: self.generation, found: generation });
        }
        if cluster == self.cluster {
            return Err(NotAccepted::SameCluster);
        }
        let Acceptance { generation, cluster, members } = found;
        let (groups, before) = (self.groups.clone(), self.revision);
        Ok(Self { cluster, members, generation, revision, groups, before, since: self.since })
    }

    /// The pins after one or more members were replaced, where that is how the members came to differ; `None` where it is not,
    /// or where anything else differs too.
    #[must_use]
    pub fn replaced(&self, record: &ReplacementsRecord, observed: &Observed) -> Option<Self> {
        let members = observed.members.as_ref()?;
        let same = observed.cluster? == self.cluster
            && observed.generation? == (self.generation, RestorePhase::Confirming)
            && observed.revision? >= self.revision;
        if !same {
            return None;
        }
        let of_this = |cluster: u64, generation: u64| cluster == self.cluster && generation == self.generation;
        let mut here: Option<BTreeSet<u64>> = None;
        for replacement in record.replacements.iter().filter(|known| of_this(known.cluster, known.generation)) {
            let from = here.as_ref().unwrap_or(&self.members);
            let Some(reached) = replacement.stage(from) else { continue };
            if replacement.stage(members).is_some_and(|stage| stage > reached) {
                return Some(Self { members: members.clone(), ..self.clone() });
            }
            // All that it leads to; without an end it leads to nothing else.
            let mut after = replacement.middle();
            after.extend(Some(replacement.added?));
            here = Some(after);
        }
        None
    }
}
