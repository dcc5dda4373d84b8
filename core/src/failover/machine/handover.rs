//! Between the release and the claim: nobody is active, and either side may end that. One transaction wins.

use super::super::{Decision, Outcome, Reason, Step, Transaction};
use super::At;

/// The source takes the group back where it is asked to, or where the target does not claim in time.
pub(super) fn reclaim(at: At<'_>) -> Decision {
    let s = &at.seen.situation;
    let deadline = s.record.since.saturating_add(s.policy.deadlines.claim);
    let why = if at.journal.step == Step::RolledBack {
        at.journal.why.clone().or(Some(Reason::Reclaimed))
    } else if at.seen.request.abort {
        Some(Reason::AbortAsked)
    } else if let Some(scope) = &s.hold {
        Some(Reason::Held { scope: scope.clone() })
    } else if !s.heard(&at.journal.to) {
        Some(Reason::TargetSilent { site: at.journal.to.clone() })
    } else if at.now.boot >= deadline {
        Some(Reason::ClaimTooLate { site: at.journal.to.clone() })
    } else {
        None
    };
    match why {
        Some(why) => Decision::transact(Transaction::Reclaim, at.journal.rolled_back(&why, at.now.wall), why),
        None => Decision::idle(Reason::AwaitsClaim { site: at.journal.to.clone() }).waking(Some(deadline)),
    }
}

/// The target takes what was released to it, under a new epoch.
pub(super) fn claim(at: At<'_>) -> Decision {
    let s = &at.seen.situation;
    let journal = at.journal;
    if journal.step == Step::RolledBack {
        return Decision::idle(at.not_driver());
    }
    if journal.fence_proof().is_none() {
        return Decision::idle(Reason::NoFenceProof).alarming(Reason::NoFenceProof);
    }
    if let Some(scope) = &s.hold {
        return Decision::idle(Reason::Held { scope: scope.clone() });
    }
    // A source that is gone cannot take it back: then the group is better here than nowhere.
    if at.seen.request.abort && !s.holder_expired(at.now.boot) {
        return Decision::idle(Reason::AbortAsked).waking(s.silence.map(|x| x.since + s.policy.timing.take_over));
    }
    if !s.ready(&journal.to) {
        return Decision::idle(Reason::TargetNotReady { site: journal.to.clone() });
    }
    // A replica of the source whose watch lags would still answer 200 to the balancer.
    let certain = s.record.since.saturating_add(s.policy.timing.take_over);
    if !at.seen.release_seen && at.now.boot < certain {
        return Decision::idle(Reason::ReleaseNotSeen { site: journal.from.clone() }).waking(Some(certain));
    }
    let next = journal
        .advanced(Step::EpochCommitted, Outcome::Done, "", at.now.wall)
        .knowing(Step::EpochCommitted, |facts| facts.release_seen = Some(at.seen.release_seen));
    Decision::transact(Transaction::ClaimRelease, next, Reason::Going { step: Step::Fencing })
}
