//! How groups move, as the platform's operators set it.

use serde::Deserialize;
use std::time::Duration;
use tandem_core::failover::{Deadlines, Policy, Timing};
use tandem_crds::{DEFAULT_MAX_PARALLEL, FailoverGroupSpec, FailoverMode};

/// How groups move. What is given here holds for every group, in place of what the group says, and may be below the
/// platform's floors: rehearsals and measurements need that, a city does not.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FailoverConfig {
    /// Whether an unplanned failover of `platform`, the group that decides who publishes, may start by itself.
    pub platform_mode: FailoverMode,
    /// The mode of a group that is made from now on for an application that names none. It stands in the group afterwards,
    /// for people to change.
    pub new_groups: FailoverMode,
    /// How many groups move at once, where a request says nothing.
    pub max_parallel: usize,
    /// For how long a site must have been ready before a group fails over to it by itself, in seconds.
    pub min_ready_seconds: Option<u64>,
    /// For how long a group stays where it is before it fails over again or goes home, in seconds.
    pub dwell_seconds: Option<u64>,
    /// Automatic failovers of a group within a day.
    pub automatic_per_day: Option<u32>,
    /// When a fenced site puts its workloads to rest although nobody took over, in seconds.
    pub scale_after_seconds: Option<u64>,
    /// For how many days the arbiter keeps what was asked for and how it went, once it is over. 0 keeps it for ever.
    pub retention_days: u32,
    /// For how many days the arbiter keeps the reports on failovers, from when they were written last.
    pub report_retention_days: u32,
    /// How often a site says how its groups' data stands, in seconds, 1 at least. An automatic failover cannot keep an RPO
    /// that is shorter than 0.7 `T` and this.
    pub report_seconds: u64,
}

impl Default for FailoverConfig {
    fn default() -> Self {
        Self {
            platform_mode: FailoverMode::Manual,
            new_groups: FailoverMode::Manual,
            max_parallel: usize::try_from(DEFAULT_MAX_PARALLEL).unwrap_or(1),
            min_ready_seconds: None,
            dwell_seconds: None,
            automatic_per_day: None,
            scale_after_seconds: None,
            retention_days: 30,
            report_retention_days: 400,
            report_seconds: 2,
        }
    }
}

impl FailoverConfig {
    /// How often a site says how its groups' data stands.
    #[must_use]
    pub fn report_interval(&self) -> Duration {
        Duration::from_secs(self.report_seconds.max(1))
    }

    /// The settings of a group; of `platform`, which has no object, where there is no specification. `take_over` is `T`.
    #[must_use]
    pub fn policy(&self, group: Option<&FailoverGroupSpec>, take_over: Duration) -> Policy {
        let timing = Timing { take_over, report_interval: self.report_interval() };
        let mode = group.map_or(self.platform_mode, |group| group.mode);
        let says = group.map_or_else(|| Policy { timing, ..Policy::default() }, |group| Policy::of(group, timing));
        let seconds = |given: Option<u64>, says| given.map_or(says, Duration::from_secs);
        let deadlines = Deadlines {
            // A claim may have to wait for T: a shorter deadline would take back every such move just before it succeeds.
            claim: says.deadlines.claim.max(take_over + Duration::from_secs(1)),
            ..says.deadlines
        };
        Policy {
            automatic: mode == FailoverMode::Automatic,
            min_ready: seconds(self.min_ready_seconds, says.min_ready),
            dwell: seconds(self.dwell_seconds, says.dwell),
            failovers_a_day: self.automatic_per_day.unwrap_or(says.failovers_a_day),
            scale_after: seconds(self.scale_after_seconds, says.scale_after),
            deadlines,
            ..says
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::failover::{Floors, admit};

    #[test]
    fn what_nobody_set_keeps_the_platforms_floors_with_every_t() {
        let automatic = FailoverGroupSpec { mode: FailoverMode::Automatic, ..FailoverGroupSpec::default() };
        for seconds in [5, 10, 60] {
            for group in [None, Some(&automatic)] {
                let policy = FailoverConfig::default().policy(group, Duration::from_secs(seconds));
                assert_eq!(admit(&policy, &Floors::default()), Vec::new(), "T = {seconds} s");
                assert_eq!(policy.automatic, group.is_some());
            }
        }
    }

    #[test]
    fn the_platforms_setting_stands_before_the_groups() {
        let group = FailoverGroupSpec { dwell_seconds: 400, ..FailoverGroupSpec::default() };
        let config = FailoverConfig { min_ready_seconds: Some(3), ..FailoverConfig::default() };
        let policy = config.policy(Some(&group), Duration::from_secs(5));
        assert_eq!((policy.min_ready, policy.dwell), (Duration::from_secs(3), Duration::from_secs(400)));
    }
}
