//! An unplanned failover up to its take-over: the target drives, and nothing is touched.

use super::super::{Decision, Outcome, Reason, Step, Transaction};
use super::At;

/// Looks at every gate before each entry, and last before the take-over, which compares what must not change.
pub(super) fn drive(at: At<'_>) -> Decision {
    let (journal, wall) = (at.journal, at.now.wall);
    if journal.step == Step::RolledBack {
        return at.drop_it(&journal.why.clone().unwrap_or(Reason::Reclaimed));
    }
    if at.seen.situation.drill && !at.seen.request.abort {
        return super::calls::decide(at, &[super::super::EffectKind::SweepDrill], Reason::DrillRunning).0;
    }
    if let Some(decision) = at.admission() {
        return decision;
    }
    let going = Reason::Going { step: journal.step };
    match (journal.step, at.seen.situation.silence) {
        (Step::Validating | Step::AwaitingApproval, _) => {
            let skipped = [Step::Quiescing, Step::FinalSync, Step::Demoting];
            let next = journal.advanced(Step::Fencing, Outcome::Done, "", wall).skipped(
                &skipped,
                Outcome::SkippedUnreachable,
                wall,
            );
            Decision::transact(Transaction::PutJournal, next, going)
        }
        (Step::Fencing, Some(silence)) => {
            let proof = format!(
                "heartbeats of {} unmoved since revision {} for {} s; it fences itself after {} s",
                journal.from,
                silence.newest,
                at.now.boot.saturating_sub(silence.since).as_secs(),
                at.seen.situation.policy.timing.fence_after().as_secs(),
            );
            let next = journal
                .advanced(Step::EpochCommitted, Outcome::Done, &proof, wall)
                .knowing(Step::Fencing, |facts| at.decided(facts, silence));
            let automatic = at.seen.request.automatic.is_some();
            Decision::transact(Transaction::TakeOver { watched: silence.newest, automatic }, next, going)
        }
        // `place` leaves nothing else, and without a watched silence no gate passes.
        _ => Decision::idle(Reason::StaleView),
    }
}
