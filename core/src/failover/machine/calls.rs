//! Calls at this site, and what their answers mean.

use std::time::Duration;

use super::super::{Action, Answer, Decision, Effect, EffectKind, Reason};
use super::At;

/// For how long a call that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What became of the calls of one entry.
pub(super) enum Calls {
    /// All are done: what was seen, in one line, and the last position that an answer gave.
    Done(String, Option<u64>),
    /// The decision goes on calling, or waits.
    Open,
}

/// Calls whatever of `kinds` is not done under the present token, in order: none before the one ahead of it is done.
pub(super) fn decide(at: At<'_>, kinds: &[EffectKind], because: Reason) -> (Decision, Calls) {
    let token = at.token();
    let mut notes: Vec<&str> = Vec::new();
    let mut last = None;
    // A deadline that has passed would wake for ever.
    let wake = at.deadline().filter(|deadline| *deadline > at.now.boot);
    for kind in kinds {
        let answer = at.seen.answers.iter().rfind(|a| a.kind == *kind && a.token == token).map(|a| &a.answer);
        let call = Decision {
            next: None,
            actions: vec![Action::Effect(Effect { kind: *kind, token })],
            because: because.clone(),
            wake,
        };
        let decision = match answer {
            Some(Answer::Done { note, position }) => {
                last = position.or(last);
                notes.extend((!note.is_empty()).then_some(note.as_str()));
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
    (Decision::idle(because), Calls::Done(notes.join("; "), last))
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
