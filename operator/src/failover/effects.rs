//! Calls at this site: to the group's provider, and to what of the gate and the workloads follows by itself.

use super::picture::Facts;
use crate::context::Context;
use crate::providers::Caller;
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::gate::Query;
use tandem_arbiter::hooks::Call;
use tandem_core::failover::{Answer, Effect, EffectKind, Replication, Token};
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
    if let Some(call) = Call::of(effect.kind) {
        if facts.policy.replication == Replication::NoData {
            return done("nothing to move");
        }
        let caller = Caller { link: context.link.clone(), stirred: Arc::clone(&context.stirred) };
        return context.providers.call(&caller, group, effect, call, first);
    }
    match effect.kind {
        EffectKind::ScaleActive => scale(context, facts, &effect.token, Strength::Active, first),
        EffectKind::ScaleStandby => scale(context, facts, &effect.token, Strength::Standby, first),
        EffectKind::Redirect => redirect(context, group, now),
        EffectKind::Verify => verify(context, facts, &effect.token, first),
        EffectKind::SweepDrill => sweep(context, group),
        // The rest is a provider's.
        _ => done("nothing to move"),
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

/// A drill gives way as soon as it sees that the group is moving; this waits until nothing is left of it.
fn sweep(context: &Context, group: &str) -> Answer {
    if !context.link.board().drilled().contains(group) {
        return done("no clones are left");
    }
    context.drills.stir();
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
