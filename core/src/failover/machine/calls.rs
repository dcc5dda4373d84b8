//! Calls at this site, and what their answers mean.

use std::time::Duration;

use super::super::{Action, Answer, Answered, Decision, Effect, EffectKind, Failures, Reason};
use super::At;

/// For how long a call that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What became of the calls of one entry.
pub(super) enum Calls {
    /// All are done.
    Done(Heard),
    /// The decision goes on calling, or waits.
    Open,
}

/// What calls were answered.
#[derive(Default)]
pub(super) struct Heard {
    /// What was seen, in one line.
    pub(super) note: String,
    /// The last position that an answer gave.
    pub(super) position: Option<u64>,
    /// Those that failed before.
    pub(super) failures: Option<Failures>,
    /// Whether there was anything to call.
    pub(super) called: bool,
}

/// Calls whatever of `kinds` is not done under the present token, in order: none before the one ahead of it is done.
pub(super) fn decide(at: At<'_>, kinds: &[EffectKind], because: Reason) -> (Decision, Calls) {
    let token = at.token();
    let mut notes: Vec<&str> = Vec::new();
    let mut heard = Heard { called: !kinds.is_empty(), ..Heard::default() };
    // A deadline that has passed would wake for ever.
    let wake = at.deadline().filter(|deadline| *deadline > at.now.boot);
    for kind in kinds {
        let answered = at.seen.answers.iter().rfind(|a| a.kind == *kind && a.token == token);
        let call = Decision {
            next: None,
            actions: vec![Action::Effect(Effect { kind: *kind, token })],
            because: because.clone(),
            wake,
        };
        let decision = match answered.map(|answered| &answered.answer) {
            Some(Answer::Done { note, position }) => {
                heard.position = position.or(heard.position);
                notes.extend((!note.is_empty()).then_some(note.as_str()));
                if let Some(Answered { failures, .. }) = answered.filter(|answered| answered.failures.count > 0) {
                    let before = heard.failures.map_or(0, |failures| failures.count);
                    heard.failures =
                        Some(Failures { count: failures.count.saturating_add(before), ..failures.clone() });
                }
                continue;
            }
            None => call,
            Some(Answer::Running) => Decision { actions: Vec::new(), ..call },
            // Somebody acts under newer records than these; calling again would be refused again.
            Some(Answer::Refused) => Decision { actions: Vec::new(), because: Reason::TokenRefused, ..call },
            Some(Answer::Failed { why, at: failed }) => {
                let again = failed.saturating_add(RETRY);
                let because = Reason::CallFailed { what: kind.name().to_owned(), why: why.clone() };
                if at.now.boot >= again {
                    Decision { because, ..call }
                } else {
                    Decision { actions: Vec::new(), because, ..call }.waking(Some(again))
                }
            }
        };
        return (decision, Calls::Open);
    }
    heard.note = notes.join("; ");
    (Decision::idle(because), Calls::Done(heard))
}

impl EffectKind {
    /// Every call.
    pub const ALL: [Self; 11] = [
        Self::Quiesce,
        Self::FinalSync,
        Self::Demote,
        Self::Fence,
        Self::Promote,
        Self::Resume,
        Self::ScaleActive,
        Self::ScaleStandby,
        Self::Redirect,
        Self::Verify,
        Self::SweepDrill,
    ];

    /// The name, as it stands in status, logs and sentences.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiesce => "quiesce",
            Self::FinalSync => "final-sync",
            Self::Demote => "demote",
            Self::Fence => "fence",
            Self::Promote => "promote",
            Self::Resume => "resume",
            Self::ScaleActive => "scale-active",
            Self::ScaleStandby => "scale-standby",
            Self::Redirect => "redirect",
            Self::Verify => "verify",
            Self::SweepDrill => "sweep-drill",
        }
    }
}
