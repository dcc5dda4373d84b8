//! What follows from the records for gate and workloads, apart from any step.

use std::time::Duration;

use super::{GroupView, Journal, Situation, Step};

/// Whether the gate of `site` answers 200 for a group: it holds the group, is not fenced, and its execution is not between
/// Quiescing and Promoting.
///
/// `journal` is that of the execution named in the record. Without it, or with one that is older than the record, the
/// answer is no.
#[must_use]
pub fn may_serve(site: &str, fenced: bool, record: &GroupView, journal: Option<&Journal>) -> bool {
    if fenced || !record.held_by(site) {
        return false;
    }
    let Some(execution) = &record.execution else { return true };
    let Some(journal) = journal.filter(|journal| journal.execution == *execution) else { return false };
    match journal.step {
        // The record names an execution from Begin or TakeOver on: a journal from before that is an old view.
        Step::Validating | Step::AwaitingApproval => false,
        Step::Quiescing | Step::FinalSync | Step::Demoting | Step::Fencing => false,
        Step::EpochCommitted | Step::Promoting => false,
        Step::Redirecting | Step::Verifying | Step::Completed | Step::Resyncing | Step::Protected => true,
        // Taken back: the gate opens before the data is writable again, else its dead-man switch would refuse.
        Step::RolledBack => journal.from == site,
    }
}

/// Whether this site's workloads go to the replicas of a standby: another site holds the group, or this one has been
/// fenced since `fenced_since` for longer than `fence.scaleAfter`. Before that an arbiter's short absence would empty the
/// city.
#[must_use]
pub fn to_standby(situation: &Situation, fenced_since: Option<Duration>, now: Duration) -> bool {
    let s = situation;
    let elsewhere = s.record.active != s.me && s.record.held_by(&s.record.active);
    elsewhere || fenced_since.is_some_and(|since| now.saturating_sub(since) >= s.policy.scale_after)
}
