//! Between the resources that people write and read, and the machine.

use std::time::Duration;

use tandem_crds::{FailoverGroupSpec, FailoverMode, FailoverType, StateProvider, Why};

use super::{Deadlines, ExecutionKind, Language, Policy, Reason, Replication, Timing};

impl Policy {
    /// The settings of a group as its resource has them. What is negative counts as 0, and is refused by
    /// [`admit`](super::admit) where that is below a floor.
    #[must_use]
    pub fn of(spec: &FailoverGroupSpec, timing: Timing) -> Self {
        let seconds = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
        let defaults = Self::default();
        Self {
            automatic: spec.mode == FailoverMode::Automatic,
            rpo: spec.rpo_seconds.map_or(defaults.rpo, seconds),
            replication: match spec.provider {
                StateProvider::None => Replication::NoData,
                StateProvider::Hook if spec.hook.as_ref().is_some_and(|hook| hook.synchronous) => {
                    Replication::Synchronous
                }
                StateProvider::Patroni if spec.patroni.as_ref().is_some_and(|patroni| patroni.synchronous) => {
                    Replication::Synchronous
                }
                // A provider that this release does not know: what promises least.
                _ => Replication::Asynchronous,
            },
            min_ready: seconds(spec.min_ready_seconds),
            dwell: seconds(spec.dwell_seconds),
            failovers_a_day: u32::try_from(spec.automatic_per_day).unwrap_or(0),
            scale_after: seconds(spec.scale_after_seconds),
            deadlines: deadlines(spec),
            timing,
        }
    }
}

fn deadlines(spec: &FailoverGroupSpec) -> Deadlines {
    let set = &spec.deadlines;
    let or = |n: Option<i64>, default| n.map_or(default, |n| Duration::from_secs(u64::try_from(n).unwrap_or(0)));
    let defaults = Deadlines::default();
    Deadlines {
        quiesce: or(set.quiesce_seconds, defaults.quiesce),
        final_sync: or(set.final_sync_seconds, defaults.final_sync),
        demote: or(set.demote_seconds, defaults.demote),
        fence: or(set.fence_seconds, defaults.fence),
        claim: or(set.claim_seconds, defaults.claim),
        promote: or(set.promote_seconds, defaults.promote),
        redirect: or(set.redirect_seconds, defaults.redirect),
        verify: or(set.verify_seconds, defaults.verify),
        resume: or(set.resume_seconds, defaults.resume),
        resync: or(set.resync_seconds, defaults.resync),
    }
}

impl From<FailoverType> for ExecutionKind {
    fn from(kind: FailoverType) -> Self {
        match kind {
            FailoverType::Switchover => Self::Switchover,
            FailoverType::Failover => Self::Failover,
            FailoverType::Drill => Self::Drill,
            FailoverType::Failback => Self::Failback,
        }
    }
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        Self {
            reason: reason.code().to_owned(),
            message: reason.sentence(Language::English),
            message_zh: reason.sentence(Language::Chinese),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Floors, admit};

    #[test]
    fn the_defaults_of_the_resource_are_those_of_the_machine() {
        assert_eq!(Policy::of(&FailoverGroupSpec::default(), Timing::default()), Policy::default());
    }

    #[test]
    fn the_rules_of_the_resource_have_the_floors_of_the_machine() {
        let least = FailoverGroupSpec {
            min_ready_seconds: 60,
            dwell_seconds: 300,
            automatic_per_day: 3,
            scale_after_seconds: 60,
            ..FailoverGroupSpec::default()
        };
        assert_eq!(admit(&Policy::of(&least, Timing::default()), &Floors::default()), []);
        let below = FailoverGroupSpec {
            min_ready_seconds: 59,
            dwell_seconds: 299,
            automatic_per_day: 4,
            scale_after_seconds: -1,
            ..FailoverGroupSpec::default()
        };
        assert_eq!(admit(&Policy::of(&below, Timing::default()), &Floors::default()).len(), 4);
    }
}
