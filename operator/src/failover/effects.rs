//! Calls at this site. Nothing but the gate and the workloads is moved: groups have no provider yet, so that whatever concerns
//! data is done as soon as it is asked for.

use super::picture::Facts;
use crate::context::Context;
use std::time::Duration;
use tandem_arbiter::gate::Query;
use tandem_core::failover::{Answer, Effect, EffectKind, Token};
use tandem_core::render::Strength;

/// Calls, or looks again at a call that is under way: whatever is called here may be repeated.
///
/// The deadline is looked at just before: a call that leaves after it could meet another site's.
pub(super) fn call(context: &Context, group: &str, facts: &Facts, effect: Effect, first: bool) -> Answer {
    let now = context.link.uptime();
    if !context.link.alive() || context.link.leadership().is_none() {
        return Answer::Failed { why: "this replica may not act for its site".to_owned(), at: now };
    }
    if highest(context, group).is_some_and(|highest| effect.token < highest) {
        return Answer::Refused;
    }
    match effect.kind {
        EffectKind::Quiesce
        | EffectKind::FinalSync
        | EffectKind::Demote
        | EffectKind::Fence
        | EffectKind::Promote
        | EffectKind::Resume
        | EffectKind::SweepDrill => done("nothing to move"),
        EffectKind::ScaleActive => scale(context, facts, &effect.token, Strength::Active, first),
        EffectKind::ScaleStandby => scale(context, facts, &effect.token, Strength::Standby, first),
        EffectKind::Redirect => redirect(context, group, now),
        EffectKind::Verify => verify(context, facts, &effect.token, first),
    }
}

/// The token of what this replica has seen of the group: whatever is lower belongs to an old view of the records.
fn highest(context: &Context, group: &str) -> Option<Token> {
    context.link.gate().with(|gate| gate.token(group))
}

fn done(note: impl Into<String>) -> Answer {
    Answer::Done { note: note.into(), position: None }
}

/// Workloads follow the group's record by themselves; this waits until that is written.
fn scale(context: &Context, facts: &Facts, token: &Token, strength: Strength, first: bool) -> Answer {
    let missing = context.strengths.missing(&facts.applications, token.epoch, strength, false);
    if missing.is_empty() {
        return done(format!("{} applications", facts.applications.len()));
    }
    if first {
        for key in missing {
            context.queues.provision.add(key);
        }
    }
    Answer::Running
}

/// Traffic goes where the gate answers: done once it does.
fn redirect(context: &Context, group: &str, now: Duration) -> Answer {
    let answer = context.link.gate().with(|gate| gate.answer(&Query::Active(group.to_owned()), now));
    if answer.status == 200 { done("the gate answers 200") } else { Answer::Running }
}

fn verify(context: &Context, facts: &Facts, token: &Token, first: bool) -> Answer {
    let missing = context.strengths.missing(&facts.applications, token.epoch, Strength::Active, true);
    if missing.is_empty() {
        return done(format!("{} applications are ready", facts.applications.len()));
    }
    if first {
        for key in missing {
            context.queues.provision.add(key);
        }
    }
    Answer::Running
}
