//! What a move is expected to cost, for `tandem failover plan`.

use std::time::Duration;

use super::{ExecutionKind, Policy, Replication, Step};

/// What one step is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepExpectation {
    /// The step.
    pub step: Step,
    /// What it takes on a good day.
    pub typical: Duration,
    /// After this it is taken back or a person is called; for steps without a deadline, the longest that they wait.
    pub most: Duration,
    /// Nobody is served meanwhile.
    pub refuses: bool,
}

/// What a move is expected to cost one group, from its beginning until it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Step by step; those that are left out are not here.
    pub steps: Vec<StepExpectation>,
    /// For how long nobody is served, on a good day.
    pub refused: Duration,
    /// For how long nobody is served before the move is taken back or a person is called.
    pub refused_most: Duration,
    /// What could be lost, on a good day: nothing where the move is planned or there is no data.
    pub loss: Duration,
}

/// One transaction across the city, with the record's way back through the watch.
const COMMIT: Duration = Duration::from_millis(40);

/// What a move of this kind is expected to cost a group with these settings. Rough: the figures for data are those of
/// PostgreSQL under Patroni (failover.md, section 4), without what people and other groups take, and without the time that
/// pods need at the target.
#[must_use]
pub fn expectation(kind: ExecutionKind, policy: &Policy) -> Expectation {
    let data = policy.replication != Replication::NoData;
    let unplanned = kind == ExecutionKind::Failover;
    let limits = &policy.deadlines;
    let take_over = policy.timing.take_over;
    let ms = Duration::from_millis;
    let mut steps = Vec::new();
    let mut push = |step, typical: Duration, most: Duration, refuses| {
        steps.push(StepExpectation { step, typical: typical + COMMIT, most: most.max(typical + COMMIT), refuses });
    };
    match kind {
        // A rehearsal refuses nobody; what it costs is what it measures.
        ExecutionKind::Drill => {}
        ExecutionKind::Failover => {
            push(Step::Validating, COMMIT, COMMIT, true);
            push(Step::Fencing, take_over, take_over + COMMIT, true);
        }
        ExecutionKind::Switchover | ExecutionKind::Failback => {
            push(Step::Validating, COMMIT, COMMIT, false);
            if data {
                push(Step::Quiescing, ms(150), limits.quiesce, true);
                push(Step::FinalSync, ms(100), limits.final_sync, true);
                push(Step::Demoting, ms(50), limits.demote, true);
            }
            push(Step::Fencing, ms(20), limits.fence + limits.claim, true);
        }
    }
    if kind != ExecutionKind::Drill {
        push(Step::EpochCommitted, COMMIT, COMMIT, true);
        let promote = if !data {
            ms(50)
        } else if unplanned {
            ms(1300)
        } else {
            ms(300)
        };
        push(Step::Promoting, promote, limits.promote, true);
        push(Step::Redirecting, ms(100), limits.redirect, true);
        push(Step::Verifying, ms(500), limits.verify, false);
    }
    let sum = |of: fn(&StepExpectation) -> Duration| steps.iter().filter(|s| s.refuses).map(of).sum();
    let (refused, refused_most) = (sum(|s| s.typical), sum(|s| s.most));
    let lost = unplanned && policy.replication == Replication::Asynchronous;
    let loss = if lost { policy.timing.fence_after() + policy.timing.report_interval } else { Duration::ZERO };
    Expectation { steps, refused, refused_most, loss }
}
