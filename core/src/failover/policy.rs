//! A group's settings, the platform's floors under them, and what is refused.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Reason, Step};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// How a group's data reaches the other site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Replication {
    /// It has none: the provider is `None`, the gate alone is promised.
    NoData,
    /// What was acknowledged may not be there yet.
    Asynchronous,
    /// What was acknowledged is there.
    Synchronous,
}

/// The arbiter's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `T`: for how long a holder has to be silent before it may be taken over. 5 s at least.
    pub take_over: Duration,
    /// How often positions are reported.
    pub report_interval: Duration,
}

impl Timing {
    /// `T_f` = 0.7 `T`: when a site that is not answered fences itself.
    #[must_use]
    pub fn fence_after(&self) -> Duration {
        self.take_over * 7 / 10
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { take_over: seconds(10), report_interval: seconds(2) }
    }
}

/// For how long a step may take, from when its journal entry is first seen by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Quiescing; later it is taken back.
    pub quiesce: Duration,
    /// The final synchronisation; later it is taken back.
    pub final_sync: Duration,
    /// Demoting; later it is taken back.
    pub demote: Duration,
    /// Fencing; later it is taken back.
    pub fence: Duration,
    /// From the release to the claim; later the source reclaims. Above `T`, which a claim may have to wait for.
    pub claim: Duration,
    /// Promoting; later a person is called.
    pub promote: Duration,
    /// Redirecting; later a person is called.
    pub redirect: Duration,
    /// Verifying; later a person is called.
    pub verify: Duration,
    /// Restoring the source of a move that is taken back; later a person is called.
    pub resume: Duration,
    /// The former source's return as a standby, once it is heard; later a person is called.
    pub resync: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            quiesce: seconds(5),
            final_sync: seconds(10),
            demote: seconds(10),
            fence: seconds(5),
            claim: seconds(15),
            promote: seconds(60),
            redirect: seconds(30),
            verify: seconds(120),
            resume: seconds(60),
            resync: seconds(3600),
        }
    }
}

impl Deadlines {
    /// The deadline of a step; `None` where there is none.
    #[must_use]
    pub fn of(&self, step: Step) -> Option<Duration> {
        match step {
            Step::Quiescing => Some(self.quiesce),
            Step::FinalSync => Some(self.final_sync),
            Step::Demoting => Some(self.demote),
            Step::Fencing => Some(self.fence),
            Step::Promoting => Some(self.promote),
            Step::Redirecting => Some(self.redirect),
            Step::Verifying => Some(self.verify),
            Step::Resyncing => Some(self.resync),
            Step::RolledBack => Some(self.resume),
            _ => None,
        }
    }

    fn all(&self) -> [(&'static str, Duration); 10] {
        [
            ("quiesce", self.quiesce),
            ("finalSync", self.final_sync),
            ("demote", self.demote),
            ("fence", self.fence),
            ("claim", self.claim),
            ("promote", self.promote),
            ("redirect", self.redirect),
            ("verify", self.verify),
            ("resume", self.resume),
            ("resync", self.resync),
        ]
    }
}

/// A group's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// An unplanned failover may begin by itself.
    pub automatic: bool,
    /// How much may be lost: the strictest RPO among the group's applications.
    pub rpo: Duration,
    /// How its data reaches the other site.
    pub replication: Replication,
    /// For how long the target must have been ready before an automatic failover.
    pub min_ready: Duration,
    /// For how long a group stays where it is before an automatic failover or a failback.
    pub dwell: Duration,
    /// Automatic failovers a day.
    pub failovers_a_day: u32,
    /// `fence.scaleAfter`: when a fenced site puts its workloads to rest although nobody took over.
    pub scale_after: Duration,
    /// For how long each step may take.
    pub deadlines: Deadlines,
    /// The arbiter's times.
    pub timing: Timing,
}

impl Default for Policy {
    /// By hand, with the defaults of failover.md, section 5.
    fn default() -> Self {
        Self {
            automatic: false,
            rpo: seconds(60),
            replication: Replication::NoData,
            min_ready: seconds(600),
            dwell: seconds(1800),
            failovers_a_day: 1,
            scale_after: seconds(600),
            deadlines: Deadlines::default(),
            timing: Timing::default(),
        }
    }
}

/// What the platform allows of a group's settings at the least, and of failovers a day at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// Least [`Policy::min_ready`].
    pub min_ready: Duration,
    /// Least [`Policy::dwell`].
    pub dwell: Duration,
    /// Most [`Policy::failovers_a_day`].
    pub failovers_a_day: u32,
    /// Least [`Policy::scale_after`].
    pub scale_after: Duration,
    /// Least of every deadline.
    pub deadline: Duration,
    /// Least [`Timing::take_over`].
    pub take_over: Duration,
}

impl Default for Floors {
    fn default() -> Self {
        Self {
            min_ready: seconds(60),
            dwell: seconds(300),
            failovers_a_day: 3,
            scale_after: seconds(60),
            deadline: seconds(1),
            take_over: seconds(5),
        }
    }
}

/// What is wrong with a group's settings; nothing where they can be kept.
#[must_use]
pub fn admit(policy: &Policy, floors: &Floors) -> Vec<Reason> {
    let mut wrong = Vec::new();
    let mut least = |field: &str, value: Duration, least: Duration| {
        if value < least {
            wrong.push(Reason::BelowFloor { field: field.to_owned(), seconds: whole(value), least: ceiling(least) });
        }
    };
    least("minReady", policy.min_ready, floors.min_ready);
    least("dwell", policy.dwell, floors.dwell);
    least("fence.scaleAfter", policy.scale_after, floors.scale_after);
    least("takeOver", policy.timing.take_over, floors.take_over);
    for (name, value) in policy.deadlines.all() {
        least(&format!("deadlines.{name}"), value, floors.deadline);
    }
    // A replica of the source whose watch lags makes the target wait for T: a shorter deadline would take back every
    // such move just before it succeeds.
    least("deadlines.claim", policy.deadlines.claim, policy.timing.take_over + floors.deadline);
    if policy.failovers_a_day > floors.failovers_a_day {
        wrong.push(Reason::AboveCeiling {
            field: "failoversADay".to_owned(),
            value: policy.failovers_a_day,
            most: floors.failovers_a_day,
        });
    }
    // Between its last report and its fence the holder may acknowledge writes for this long: an automatic failover could
    // never pass the gate, and whoever relied on it would learn that on the worst day.
    let window = policy.timing.fence_after() + policy.timing.report_interval;
    if policy.automatic && policy.replication == Replication::Asynchronous && policy.rpo < window {
        wrong.push(Reason::RpoTooStrictForAutomatic { rpo: whole(policy.rpo), least: ceiling(window) });
    }
    wrong
}

/// Whole seconds, rounded down: for people.
pub(super) fn whole(duration: Duration) -> u64 {
    duration.as_secs()
}

/// Whole seconds, rounded up: for what has to be reached or waited for.
pub(super) fn ceiling(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
