//! The guards of the protocol, by name, so that a simulator can take one away and show what then happens.
//!
//! A build without the feature `mutations` has nothing to switch: [`Guards`] has no content and no constructor but
//! [`Guards::ALL`], [`Guards::on`] is always true, and the compiler leaves the question out. With the feature, only
//! `Guards::without` takes one away; nothing reads it from a configuration, an environment or the arbiter. Programs are
//! built package by package for release, without the feature; [`Guards::FIXED`] says so for whoever wants to assert it.

#[cfg(all(test, feature = "mutations"))]
mod mutants;

/// One guard. For each but [`Guard::TakeOverGroup`] a test of this crate shows what it prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// Take-over compares every key of the holder's `members/`.
    TakeOverRange,
    /// Take-over compares `mod(groups/g)`. The explicit-state model found no counterexample without it: the range and the
    /// journal suffice. It stays, so that a refusal names its cause.
    TakeOverGroup,
    /// The wait for the holder counts from the taker's own first sight, never from a time that the holder wrote or that
    /// the taker's predecessor saw.
    OwnFirstSight,
    /// A claim needs every replica's `seen`, or a wait of `T`.
    ClaimSeen,
    /// The member list of a claim is read at a revision not below the release, and nobody joined after it. A list on which
    /// everybody has seen the release is never older than it, since nobody can say so before; what this forbids is to go by
    /// *who* was there earlier. So the simulator's claimant, without it, asks those that it had listed before.
    ClaimFreshList,
    /// The deadline counts from the sending of a heartbeat, not from the arrival of its answer.
    DeadlineFromSending,
    /// Claim and reclaim compare `mod(groups/g)`.
    ClaimGroup,
    /// Release and reclaim compare `mod(groups/g)` and `mod(executions/…)`.
    ReleaseCompares,
    /// A heartbeat's answer renews the gate's `groups/`.
    HeartbeatReadsGroups,
    /// A record is applied only if its `mod_revision` is not below the one applied.
    NeverBackwards,
    /// A member key is deleted only as it was watched.
    DeleteAsWatched,
    /// Promotion compares the holds.
    Holds,
    /// After a fence the agent refuses a refresh whose token is not higher.
    FenceToken,
    /// A journal's put compares `mod(executions/…)`.
    JournalCompare,
    /// A journal's put compares the site's leader. No counterexample is known in which more than this breaks: whatever compares
    /// the leader compares the journal too, so that of two leaders of a site one writes each entry; both decide by the same
    /// records; their effects bear the entry's number, and leave before a deadline that has passed when a successor begins.
    /// What a former leader still has under way is then either refused by the journal or an entry that its successor goes on
    /// from. It stays because it ends a former leader's part at once, whatever else is ever written without a journal.
    LeaderCompare,
    /// Pins are compared before a heartbeat counts.
    Pins,
    /// What a server answers counts only once that server was compared with the pins.
    AnswersCompared,
    /// Who sees a replica with another `T` holds and takes nothing.
    OneTiming,
}

/// Which guards stand: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    #[cfg(feature = "mutations")]
    off: u32,
}

impl Guards {
    /// All guards stand.
    pub const ALL: Self = Self {
        #[cfg(feature = "mutations")]
        off: 0,
    };

    /// Whether this build cannot take any guard away.
    pub const FIXED: bool = !cfg!(feature = "mutations");

    /// Whether a guard stands. Without the feature `mutations` the answer is a constant.
    #[must_use]
    pub const fn on(self, guard: Guard) -> bool {
        #[cfg(feature = "mutations")]
        let on = self.off & (1 << guard as u32) == 0;
        #[cfg(not(feature = "mutations"))]
        let on = {
            let _ = guard;
            true
        };
        on
    }

    /// The same without one guard. For simulators that show what the guard is there for.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub const fn without(self, guard: Guard) -> Self {
        Self { off: self.off | (1 << guard as u32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_stands_unless_taken_away() {
        assert!(Guards::ALL.on(Guard::TakeOverRange) && Guards::default().on(Guard::Pins));
        assert_eq!(Guards::ALL, Guards::default());
        #[cfg(not(feature = "mutations"))]
        {
            const { assert!(Guards::FIXED && size_of::<Guards>() == 0) }
        }
        #[cfg(feature = "mutations")]
        {
            let weak = Guards::ALL.without(Guard::Holds);
            assert!(!weak.on(Guard::Holds) && weak.on(Guard::TakeOverRange));
        }
    }
}
