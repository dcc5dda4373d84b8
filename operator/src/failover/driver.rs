//! The loop that moves groups, on the leader of each site.
//!
//! Each round looks at everything, asks the machine for every group that moves or could have to, carries out what it says, and
//! begins again at once where anything was done. It decides nothing itself.

use super::carry::{self, Carried, CarryError};
use super::picture::{Picture, ReadySince};
use super::{JournalHeld, JournalKey, effects, orders, said};
use crate::context::Context;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::peers::{ClaimProof, ClaimWatch, MembersRead};
use tandem_arbiter::records::{JournalSeen, Versioned};
use tandem_core::failover::{Action, Answer, Answered, Decision, Effect, Journal, Reason, Transaction, Turn, step};
use tandem_logs::Chain;

/// How many transactions are under way at once.
const AT_ONCE: usize = 32;
/// How often everything is looked at although nothing was seen to change: readiness and silence grow by themselves.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two rounds, so that a burst of changes is looked at together.
const GATHER: Duration = Duration::from_millis(10);
/// How soon a claim that waits for the source's replicas is looked at again.
const CLAIM: Duration = Duration::from_millis(30);
/// For how long a journal whose transaction failed is left alone.
const AGAIN: Duration = Duration::from_millis(250);
/// After which time under one epoch the day's automatic failovers are forgotten.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the driver remembers between rounds. All of it may be forgotten at any time.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) ready: ReadySince,
    answers: BTreeMap<String, Vec<Answered>>,
    later: BTreeMap<JournalKey, Duration>,
    alarms: BTreeMap<JournalKey, &'static str>,
    because: BTreeMap<JournalKey, &'static str>,
    pub(super) said: said::Memory,
}

/// Moves groups for ever, while this replica leads its site.
pub async fn run_driver(context: Context) {
    let mut memory = Memory::default();
    let mut claims = ClaimWatch::new(&context.config.site, context.link.timing());
    let mut changes = context.link.board().changes();
    loop {
        let wake = round(&context, &mut memory, &mut claims).await;
        tokio::time::sleep(GATHER).await;
        let pause = wake.map_or(LOOK, |at| at.saturating_sub(context.link.uptime()).min(LOOK));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = context.stirred.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        changes.mark_unchanged();
    }
}

/// One round. Says when to look again at the latest.
async fn round(context: &Context, memory: &mut Memory, claims: &mut ClaimWatch) -> Option<Duration> {
    let picture = Picture::take(context, &mut memory.ready);
    said::keep(context, &picture, memory);
    claims.observe(
        picture.now.boot,
        &picture.groups.iter().map(|(name, held)| (name.clone(), held.record.clone())).collect(),
    );
    if !picture.leads {
        memory.answers.clear();
        memory.alarms.clear();
        return None;
    }
    if !picture.is_informed(context) {
        return Some(picture.now.boot + AGAIN);
    }
    let orders = orders::plan(context, &picture, &memory.ready);
    // What is served again by it comes first; what ends service, or only begins, waits behind it.
    let (mut acts, mut last): (Vec<BoxFuture<'_, bool>>, Vec<BoxFuture<'_, bool>>) = (Vec::new(), Vec::new());
    let members = releasing(context, claims).await;
    let mut wake: Option<Duration> = None;
    let mut soon = |at: Duration| wake = Some(wake.map_or(at, |before: Duration| before.min(at)));
    let mut effected = false;
    for held in context.link.board().open_journals() {
        let key = (held.seen.journal.execution.clone(), held.seen.journal.group.clone());
        if memory.later.get(&key).is_some_and(|at| *at > picture.now.boot) {
            soon(memory.later[&key]);
            continue;
        }
        memory.later.remove(&key);
        let claim = claims.pending().find(|pending| pending.group == key.1).and_then(|pending| {
            let members = members.get(&pending.from);
            claims.ready(&key.1, context.link.uptime(), picture.generation, members)
        });
        if claim.is_none() && claims.pending().any(|pending| pending.group == key.1) {
            soon(picture.now.boot + CLAIM);
        }
        let turn = orders.turns.get(&key).cloned().unwrap_or(Turn::Now);
        let Some(decision) = decide(context, &picture, memory, &held, claim.as_ref(), turn) else { continue };
        note(memory, &key, &held, &decision);
        if let Some(at) = decision.wake {
            soon(at);
        }
        for effect in decision.effects() {
            effected |= carry_effect(context, &picture, memory, &key.1, effect);
        }
        if let Some(transaction) = decision.transaction() {
            memory.later.insert(key, picture.now.boot + AGAIN);
            let record = picture.groups.get(&held.seen.journal.group).map(|group| group.record.clone());
            if let Some(record) = record {
                let next = decision.next.clone();
                let act = Box::pin(carry(context, record, held.seen.clone(), next, transaction, claim));
                if transaction == Transaction::Begin { last.push(act) } else { acts.push(act) }
            }
        }
    }
    for journal in orders.begin {
        last.push(Box::pin(begin(context, journal)));
    }
    for (group, record) in forgettable(&picture) {
        last.push(Box::pin(forget(context, group, record)));
    }
    // A round that begins hundreds of moves would let those wait that have closed their gates already.
    let more = last.len() > AT_ONCE;
    last.truncate(AT_ONCE);
    acts.extend(last);
    let done: Vec<bool> = futures::stream::iter(acts).buffer_unordered(AT_ONCE).collect().await;
    if more || effected || done.into_iter().any(|done| done) {
        // What was done has moved the records: they are looked at again at once.
        memory.later.clear();
        return Some(Duration::ZERO);
    }
    wake
}

/// Asks the machine about one journal.
fn decide(
    context: &Context,
    picture: &Picture,
    memory: &mut Memory,
    held: &JournalHeld,
    claim: Option<&ClaimProof>,
    turn: Turn,
) -> Option<Decision> {
    let journal = &held.seen.journal;
    let request = orders::request(context, journal)?;
    let mut observation = picture.observation(context, &memory.ready, held, request, turn)?;
    observation.release_seen = claim.is_some();
    let facts = picture.facts.get(&journal.group)?;
    let answers = memory.answers.entry(journal.group.clone()).or_default();
    for answered in answers.iter_mut().filter(|answered| answered.answer == Answer::Running) {
        let effect = Effect { kind: answered.kind, token: answered.token };
        answered.answer = effects::call(context, &journal.group, facts, effect, false);
    }
    observation.answers.clone_from(answers);
    Some(step(journal, &observation, picture.now))
}

fn carry_effect(context: &Context, picture: &Picture, memory: &mut Memory, group: &str, effect: Effect) -> bool {
    let Some(facts) = picture.facts.get(group) else { return false };
    let answer = effects::call(context, group, facts, effect, true);
    tracing::info!(group, effect = effect.kind.name(), token = ?effect.token, ?answer, "called");
    context.cluster.metrics.effects.with_label_values(&[effect.kind.name(), kind(&answer)]).inc();
    let answers = memory.answers.entry(group.to_owned()).or_default();
    let done = matches!(answer, Answer::Done { .. });
    Answered::enter(answers, effect, answer);
    done
}

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Running => "running",
        Answer::Done { .. } => "done",
        Answer::Failed { .. } => "failed",
        Answer::Refused => "refused",
    }
}

/// Tells of what changed in a decision: alarms and reasons are given again with every look, people are told once.
fn note(memory: &mut Memory, key: &JournalKey, held: &JournalHeld, decision: &Decision) {
    let journal = &held.seen.journal;
    let code = decision.because.code();
    if memory.because.insert(key.clone(), code) != Some(code) {
        let sentence = decision.because.sentence(tandem_core::failover::Language::English);
        tracing::info!(execution = key.0, group = key.1, step = ?journal.step, because = code, sentence, "decided");
    }
    let alarm = decision.actions.iter().find_map(|action| match action {
        Action::Alarm(reason) => Some(reason),
        _ => None,
    });
    match alarm {
        Some(reason) if memory.alarms.insert(key.clone(), reason.code()) != Some(reason.code()) => {
            let sentence = reason.sentence(tandem_core::failover::Language::English);
            tracing::error!(execution = key.0, group = key.1, step = ?journal.step, sentence, "a person is needed");
        }
        Some(_) => {}
        None => drop(memory.alarms.remove(key)),
    }
}

/// Sends a transaction that was decided. Says whether it was carried out.
async fn carry(
    context: &Context,
    record: Versioned<tandem_arbiter::records::GroupRecord>,
    journal: JournalSeen,
    next: Option<Journal>,
    transaction: Transaction,
    claim: Option<ClaimProof>,
) -> bool {
    let (execution, group) = (journal.journal.execution.clone(), journal.journal.group.clone());
    let carried = Carried { record: &record, journal: &journal, next, transaction, claim: claim.as_ref() };
    let before = &journal.journal;
    match carry::transact(&context.link, carried).await {
        Ok(moved) => {
            let journal = &moved.journal.journal;
            let epoch = moved.record.value.epoch;
            let (side, why) = (&journal.side, &journal.why);
            tracing::info!(
                execution, group, ?transaction, step = ?journal.step, ?side, ?why, entry = journal.entry, epoch, "moved on"
            );
            let metrics = &context.cluster.metrics;
            metrics.moved(before, journal);
            if let Transaction::TakeOver { automatic, .. } = transaction {
                metrics.take_overs.with_label_values(&[if automatic { "automatic" } else { "by hand" }]).inc();
            }
            crate::sync::group_changed(context, &group, moved.record);
            true
        }
        Err(error) => {
            tracing::debug!(execution, group, ?transaction, error = %Chain(&error), "not carried out");
            false
        }
    }
}

async fn begin(context: &Context, journal: Journal) -> bool {
    let (execution, group) = (journal.execution.clone(), journal.group.clone());
    match carry::begin(context, journal).await {
        Ok(moved) => {
            let journal = &moved.journal.journal;
            tracing::info!(execution, group, kind = ?journal.kind, from = journal.from, to = journal.to, "begun");
            true
        }
        Err(error @ (CarryError::NotLeader | CarryError::Move(_))) => {
            tracing::debug!(execution, group, error = %Chain(&error), "not begun");
            false
        }
        Err(error) => {
            tracing::warn!(execution, group, error = %Chain(&error), "not begun");
            false
        }
    }
}

/// Groups held here whose count of automatic failovers is a day old, on this replica's own clock.
fn forgettable(picture: &Picture) -> Vec<(String, Versioned<tandem_arbiter::records::GroupRecord>)> {
    let old = picture.groups.iter().filter(|(_, held)| {
        let record = &held.record.value;
        record.failovers_lately > 0
            && record.held_by(&picture.me)
            && picture.now.boot.saturating_sub(held.epoch_since) >= DAY
    });
    old.map(|(name, held)| (name.clone(), held.record.clone())).collect()
}

async fn forget(context: &Context, group: String, record: Versioned<tandem_arbiter::records::GroupRecord>) -> bool {
    let Some(leader) = context.link.leadership() else { return false };
    let acting = tandem_arbiter::txn::Acting::new(context.link.site(), leader.mod_revision);
    match context.link.arbiter().forget_failovers(acting, &group, &record).await {
        Ok(Some(record)) => {
            tracing::info!(group, "the day's automatic failovers are forgotten");
            context.link.saw_group(&group, &record);
            true
        }
        Ok(None) => false,
        Err(error) => {
            tracing::debug!(group, error = %Chain(&error), "the day's automatic failovers are not forgotten yet");
            false
        }
    }
}

/// The heartbeats of the sites that have released something to this one, read now: what a claim is proven by.
async fn releasing(context: &Context, claims: &ClaimWatch) -> BTreeMap<String, MembersRead> {
    let sites: BTreeSet<String> = claims.pending().map(|pending| pending.from.clone()).collect();
    let mut read = BTreeMap::new();
    for site in sites {
        let limit = context.link.timing().attempt();
        if let Ok(Ok(members)) = tokio::time::timeout(limit, super::peers::read_members(&context.link, &site)).await {
            read.insert(site, members);
        }
    }
    read
}

/// Whether a reason names nothing that anybody has to look into.
pub(super) fn is_quiet(reason: &Reason) -> bool {
    matches!(reason, Reason::HeldHere | Reason::HolderAlive { .. } | Reason::HolderUnwatched { .. } | Reason::NotLeader)
}
