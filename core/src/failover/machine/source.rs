//! The source's part of a planned move, up to the release; and its way back.

use super::super::{Decision, EffectKind, Journal, Outcome, Reason, Side, Step, Stood, Transaction};
use super::At;
use super::calls::{self, Calls};

/// A planned move before its release: the source holds the group and drives.
pub(super) fn drive(at: At<'_>) -> Decision {
    match at.journal.step {
        Step::Validating | Step::AwaitingApproval => at.admission().unwrap_or_else(|| begin(at)),
        Step::Quiescing | Step::FinalSync | Step::Demoting | Step::Fencing => match stop(at) {
            Some(why) => take_back(at, &why),
            None => forward(at),
        },
        // `place` leaves nothing else; a journal that says otherwise is not acted on.
        _ => Decision::idle(Reason::StaleView),
    }
}

/// Takes the group for this execution. From here on the gate answers 503.
fn begin(at: At<'_>) -> Decision {
    let (journal, wall) = (at.journal, at.now.wall);
    let looking = journal.step;
    let next = if at.has_data() {
        journal.advanced(Step::Quiescing, Outcome::Done, "", wall)
    } else {
        let skipped = [Step::Quiescing, Step::FinalSync, Step::Demoting];
        journal.advanced(Step::Fencing, Outcome::Done, "", wall).skipped(&skipped, Outcome::SkippedNoData, wall)
    };
    let next = next.knowing(looking, |facts| {
        at.approved(facts);
        at.reports(facts);
    });
    Decision::transact(Transaction::Begin, next, Reason::Going { step: Step::Validating })
}

/// Why a planned move must not go on. Whatever it is, the source can still serve: nothing was released.
fn stop(at: At<'_>) -> Option<Reason> {
    let s = &at.seen.situation;
    let journal = at.journal;
    if at.seen.request.abort {
        return Some(Reason::AbortAsked);
    }
    if let Some(scope) = &s.hold {
        // A hold has no end that is known, and writes are refused meanwhile.
        return Some(Reason::Held { scope: scope.clone() });
    }
    if s.record.execution.as_deref() != Some(journal.execution.as_str()) {
        return Some(at.other_execution());
    }
    if !s.ready(&journal.to) {
        return Some(Reason::TargetNotReady { site: journal.to.clone() });
    }
    at.overdue().then_some(Reason::TooLong { step: journal.step })
}

fn forward(at: At<'_>) -> Decision {
    let step = at.journal.step;
    let (calls, next): (&[EffectKind], Step) = match step {
        Step::Quiescing => (&[EffectKind::Quiesce], Step::FinalSync),
        Step::FinalSync => (&[EffectKind::FinalSync], Step::Demoting),
        Step::Demoting => (&[EffectKind::Demote], Step::Fencing),
        _ if at.has_data() => (&[EffectKind::Fence], Step::EpochCommitted),
        _ => (&[], Step::EpochCommitted),
    };
    let (decision, answer) = calls::decide(at, calls, Reason::Going { step });
    let Calls::Done(heard) = answer else { return decision };
    if step == Step::FinalSync && !target_has_everything(at, heard.position) {
        return Decision::idle(Reason::TargetBehind { site: at.journal.to.clone() }).waking(at.deadline());
    }
    if step == Step::Fencing {
        // The proof goes into the release itself, so that a released group always has it.
        let note = if at.has_data() { &heard.note } else { "no data; gate closed" };
        let proven = at.journal.ended(Outcome::Done, note, at.now.wall).knowing(step, |facts| at.heard(facts, &heard));
        return Decision::transact(Transaction::Release, proven, Reason::Going { step });
    }
    let next = at.journal.advanced(next, Outcome::Done, &heard.note, at.now.wall).knowing(step, |facts| {
        at.reports(facts);
        facts.source = heard.position.map(Stood::answered).or(facts.source);
        at.heard(facts, &heard);
    });
    Decision::transact(Transaction::PutJournal, next, Reason::Going { step })
}

/// The target's position is not below the source's final one: nothing can be lost. The final position comes with the
/// answer, not from a report, which may be older than the last write.
fn target_has_everything(at: At<'_>, last: Option<u64>) -> bool {
    let target = at.seen.situation.data(&at.journal.to).and_then(|data| data.position);
    matches!((last, target), (Some(last), Some(target)) if target >= last)
}

/// Raises the entry first, so that whatever is still under way is refused, then restores.
fn take_back(at: At<'_>, why: &Reason) -> Decision {
    let next = at.journal.rolled_back(why, at.now.wall);
    Decision::transact(Transaction::PutJournal, next, why.clone())
}

/// The source holds the group again, under a new epoch.
pub(super) fn reclaimed(at: At<'_>) -> Decision {
    if at.journal.step == Step::RolledBack { restore(at) } else { take_back(at, &Reason::Reclaimed) }
}

/// Makes the source serve again: the group is held here, and no claim can succeed any more.
pub(super) fn restore(at: At<'_>) -> Decision {
    let journal: &Journal = at.journal;
    let why = journal.why.clone().unwrap_or(Reason::Reclaimed);
    let calls: &[EffectKind] =
        if at.has_data() { &[EffectKind::Resume, EffectKind::ScaleActive] } else { &[EffectKind::ScaleActive] };
    let (decision, answer) = calls::decide(at, calls, why.clone());
    match answer {
        Calls::Done(heard) => {
            let over = journal.closed(Outcome::Done, at.now.wall);
            let over = over.knowing(Step::RolledBack, |facts| at.heard(facts, &heard));
            let ours = at.seen.situation.record.execution.as_deref() == Some(journal.execution.as_str());
            let transaction = if ours { Transaction::End } else { Transaction::PutJournal };
            Decision::transact(transaction, over, why)
        }
        Calls::Open => calls_for_help(at, decision),
    }
}

/// Past its deadline a step that cannot be taken back calls a person, once, and is tried again for ever.
pub(super) fn calls_for_help(at: At<'_>, decision: Decision) -> Decision {
    let why = Reason::TooLong { step: at.journal.step };
    match &at.journal.side {
        Some(Side::NeedsHuman { why }) => decision.alarming(why.clone()),
        _ if at.overdue() => at.aside(Side::NeedsHuman { why: why.clone() }, why),
        _ => decision,
    }
}
