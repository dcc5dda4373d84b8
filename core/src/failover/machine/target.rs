//! After the epoch is committed: the target holds the group and drives; the former source lets go for good.

use super::super::{Decision, EffectKind, Outcome, Reason, Role, Side, Step, Stood, Transaction};
use super::At;
use super::calls::{self, Calls};
use super::source::calls_for_help;

/// The target's part. There is no way back from here: what fails is tried again and a person is called.
pub(super) fn drive(at: At<'_>) -> Decision {
    let journal = at.journal;
    match journal.step {
        // Cannot be: only a reclaim rolls back what was released, and then the source holds it.
        Step::RolledBack => need_human(at, Reason::Contradiction),
        Step::Completed => put(at, Step::Resyncing, ""),
        Step::Resyncing => resyncing(at),
        Step::Promoting | Step::Redirecting | Step::Verifying => forward(at),
        // Written beside the journal, the take-over's success is itself the proof: it compared the holder's silence.
        Step::Validating | Step::AwaitingApproval | Step::Fencing if !journal.planned() => {
            put(at, Step::EpochCommitted, "taken over: the holder's heartbeats had not moved for T")
        }
        _ if journal.fence_proof().is_none() => need_human(at, Reason::NoFenceProof),
        Step::EpochCommitted => put(at, Step::Promoting, ""),
        _ => put(at, Step::EpochCommitted, ""),
    }
}

fn put(at: At<'_>, step: Step, note: &str) -> Decision {
    let mut journal = at.journal.clone();
    if step == Step::EpochCommitted && journal.step < Step::Fencing {
        journal = journal.advanced(Step::Fencing, Outcome::Done, "", at.now.wall);
    }
    let mut next = journal.advanced(step, Outcome::Done, note, at.now.wall);
    next.entry = at.journal.entry.saturating_add(1);
    Decision::transact(Transaction::PutJournal, next, Reason::Going { step: at.journal.step })
}

fn need_human(at: At<'_>, why: Reason) -> Decision {
    at.aside(Side::NeedsHuman { why: why.clone() }, why)
}

fn forward(at: At<'_>) -> Decision {
    let step = at.journal.step;
    if at.journal.fence_proof().is_none() {
        return need_human(at, Reason::NoFenceProof);
    }
    let (calls, next): (&[EffectKind], Step) = match step {
        Step::Promoting if at.has_data() => (&[EffectKind::Promote, EffectKind::ScaleActive], Step::Redirecting),
        Step::Promoting => (&[EffectKind::ScaleActive], Step::Redirecting),
        Step::Redirecting => (&[EffectKind::Redirect], Step::Verifying),
        _ => (&[EffectKind::Verify], Step::Completed),
    };
    let (decision, answer) = calls::decide(at, calls, Reason::Going { step });
    match answer {
        Calls::Open => calls_for_help(at, decision),
        Calls::Done(heard) => {
            let next = at.journal.advanced(next, Outcome::Done, &heard.note, at.now.wall).knowing(step, |facts| {
                facts.target = heard.position.map(Stood::answered);
                at.heard(facts, &heard);
            });
            let end = step == Step::Verifying;
            let transaction = if end { Transaction::End } else { Transaction::PutJournal };
            Decision::transact(transaction, next, Reason::Going { step })
        }
    }
}

/// Until the former source follows again the group has one leg; that may take days, and calls nobody while the site is
/// not heard (its absence has alarms of its own).
fn resyncing(at: At<'_>) -> Decision {
    let (s, from) = (&at.seen.situation, &at.journal.from);
    if !s.heard(from) {
        return Decision::idle(Reason::SourceSilent { site: from.clone() });
    }
    let follows = s.data(from).is_some_and(|data| data.role == Role::Standby && data.lag.is_some());
    if s.ready(from) && (follows || !at.has_data()) {
        let next = at.journal.advanced(Step::Protected, Outcome::Done, "", at.now.wall);
        let next = next.knowing(Step::Resyncing, |facts| at.returned(facts));
        let mut next = next.closed(Outcome::Done, at.now.wall);
        next.entry = at.journal.entry.saturating_add(1);
        return Decision::transact(Transaction::PutJournal, next, Reason::Going { step: Step::Resyncing });
    }
    let waiting = Decision::idle(Reason::SourceNotFollowing { site: from.clone() })
        .waking(at.deadline().filter(|deadline| *deadline > at.now.boot));
    calls_for_help(at, waiting)
}

/// The site that held the group before: fenced, at rest, then a standby. It writes nothing into the journal.
pub(super) fn former_source(at: At<'_>) -> Decision {
    let role = at.seen.situation.data(&at.journal.from).map_or(Role::Unknown, |data| data.role);
    let mut calls = Vec::new();
    if at.has_data() && !matches!(role, Role::Standby | Role::Fenced) {
        calls.push(EffectKind::Fence);
    }
    calls.push(EffectKind::ScaleStandby);
    // To follow, it needs a promoted target.
    if at.has_data() && at.journal.step == Step::Resyncing && role != Role::Standby {
        calls.push(EffectKind::Demote);
    }
    calls::decide(at, &calls, at.not_driver()).0
}
