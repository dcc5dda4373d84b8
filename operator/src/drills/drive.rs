//! The loop that drives drills, on the leader of the site that rehearses.

use super::clones::{self, Plan};
use crate::cluster::reference;
use crate::context::Context;
use crate::failover::{FAILOVER, Picture, ReadySince, failovers, wall};
use futures::StreamExt;
use futures::future::BoxFuture;
use kube::runtime::events::EventType;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::records::{RequestRecord, Versioned};
use tandem_arbiter::txn::Scribe;
use tandem_core::drill::{Cause, DrillResult, DrillStep, GroupDrill, Next, Seen, next, turn, without_group};
use tandem_core::ledger::Amounts;
use tandem_core::names;
use tandem_crds::{DEFAULT_DRILL_DEADLINE, Failover};
use tandem_logs::Chain;

/// How often drills are looked at although nothing was seen to change.
const LOOK: Duration = Duration::from_secs(1);
/// The same while one is under way: it is measured so closely.
const CLOSE: Duration = Duration::from_millis(200);
/// The shortest time between two looks.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is looked for what no drill knows of any more.
const ORPHANS: Duration = Duration::from_secs(30);
/// How many groups are put at once, each with two entries for the audit chain at most.
const PUT_AT_ONCE: usize = 40;
/// From this many groups on, those that passed leave out what is in order: the record would become too large.
const MANY: usize = 100;
/// How many groups are seen to at once.
const AT_ONCE: usize = 8;

/// Drives drills for ever, while this replica leads its site.
pub async fn run_drills(context: Context) {
    let mut ready = ReadySince::new();
    let mut changes = context.link.board().changes();
    // Under which leadership it was looked for orphans, and when.
    let mut searched: Option<(i64, Duration)> = None;
    loop {
        changes.mark_unchanged();
        let mut close = false;
        match context.link.leadership() {
            Some(token) if is_informed(&context) => {
                let (lead, now) = (token.mod_revision, context.link.uptime());
                if searched.is_none_or(|(of, at)| of != lead || now.saturating_sub(at) >= ORPHANS) {
                    if searched.is_none_or(|(of, _)| of != lead) {
                        context.drills.forget();
                    }
                    searched = Some((lead, now));
                    sweep_orphans(&context).await;
                }
                close = look(&context, &mut ready).await;
            }
            _ => searched = None,
        }
        tokio::time::sleep(GATHER).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = context.drills.told.notified() => {}
            () = tokio::time::sleep(if close { CLOSE } else { LOOK }) => {}
        }
    }
}

/// Whether this replica has seen enough to tell what is there from what is not.
fn is_informed(context: &Context) -> bool {
    context.cluster.own.is_synced(FAILOVER)
        && context.cluster.is_synced()
        && context.link.board().is_complete()
        && context.link.seen().is_some()
        && !context.link.unconfirmed()
}

/// Takes away what bears the id of a drill that is not under way here. The id, not the label: people may put that on anything.
async fn sweep_orphans(context: &Context) {
    let known: BTreeSet<String> = context
        .link
        .board()
        .drills(&context.config.site)
        .iter()
        .flat_map(|(id, held)| held.value.drill.under_way().map(|group| names::drill_id(id, group)))
        .collect();
    let ids = context.cluster.rendered.ids();
    for drill in ids.iter().filter_map(|id| names::drill_of(id)).filter(|drill| !known.contains(*drill)) {
        tracing::warn!(drill, "clones that no drill knows of are taken away");
        clones::sweep(context, drill).await;
    }
}

/// One look. Says whether a drill is under way.
async fn look(context: &Context, ready: &mut ReadySince) -> bool {
    let drills = context.link.board().drills(&context.config.site);
    if drills.is_empty() {
        return false;
    }
    let picture = Picture::take(context, ready);
    if !picture.leads || !picture.is_informed(context) {
        return true;
    }
    let objects = super::objects(context);
    let open = context.link.board().open_journals();
    let moving: BTreeMap<String, String> =
        open.into_iter().map(|held| (held.seen.journal.group, held.seen.journal.execution)).collect();
    let turn = begins(context, &picture, &drills, &objects);
    let mut free = picture.left(&context.index);
    let plans = plans(context, &picture, &drills, turn.as_ref(), &mut free);
    for (id, held) in &drills {
        let record = &held.value;
        let shown = objects.get(id);
        let mut groups: Vec<BoxFuture<'_, Option<(String, GroupDrill)>>> = Vec::new();
        let over =
            |group: &&String| record.drill.groups.get(*group).is_some_and(|drill| drill.step == DrillStep::Completed);
        for group in record.groups.keys().filter(|group| !over(group)) {
            let turn = turn.as_ref().is_some_and(|(of, begins)| of == id && begins == group);
            let moves = moving.get(group);
            let asked = Asked { id, record, group, turn, moves, deleted: shown.is_none() };
            let plan = plans.get(&(id.clone(), group.clone()));
            groups.push(Box::pin(one(context, &picture, ready, asked, plan, free.as_ref())));
        }
        let done: Vec<Option<(String, GroupDrill)>> =
            futures::stream::iter(groups).buffer_unordered(AT_ONCE).collect().await;
        let changed: BTreeMap<String, GroupDrill> = done.into_iter().flatten().collect();
        if !changed.is_empty() {
            put(context, id, held, changed).await;
        }
    }
    true
}

type Plans = BTreeMap<(String, String), Result<Plan, Box<Cause>>>;

/// What is under way or begins, rendered; what is under way is taken from what is free.
fn plans(
    context: &Context,
    picture: &Picture,
    drills: &BTreeMap<String, Versioned<RequestRecord>>,
    begins: Option<&(String, String)>,
    free: &mut Option<Amounts>,
) -> Plans {
    let mut plans = Plans::new();
    let under_way =
        drills.iter().flat_map(|(id, held)| held.value.drill.under_way().map(|group| (id.clone(), group.clone())));
    for key in under_way.chain(begins.cloned()) {
        let plan = clones::plan(context, picture, &names::drill_id(&key.0, &key.1), &key.1);
        if let (Some(left), Ok(plan), true) = (free.as_mut(), &plan, begins != Some(&key)) {
            *left = left.saturating_sub(&plan.needs());
        }
        plans.insert(key, plan);
    }
    plans
}

/// The group of a drill that may begin now: one at a look, since what is free is known only by what has begun.
fn begins(
    context: &Context,
    picture: &Picture,
    drills: &BTreeMap<String, Versioned<RequestRecord>>,
    objects: &BTreeMap<String, Failover>,
) -> Option<(String, String)> {
    let with = |group: &String| {
        let applications = picture.facts.get(group).into_iter().flat_map(|facts| &facts.applications);
        (group.clone(), applications.filter_map(|application| application.namespace.clone()).collect())
    };
    let running: Vec<(String, BTreeSet<String>)> =
        drills.values().flat_map(|held| held.value.drill.under_way()).map(with).collect();
    let open = drills.iter().filter(|(id, held)| held.value.paused_at.is_empty() && objects.contains_key(*id));
    let mut turns = open.filter_map(|(id, held)| {
        let record = &held.value;
        let waiting =
            record.groups.keys().filter(|group| !record.drill.groups.contains_key(*group)).map(with).collect();
        let most = record.max_parallel.unwrap_or(context.config.failover.max_parallel);
        Some((id.clone(), turn(&waiting, &running, most)?))
    });
    turns.next()
}

/// One group of a drill.
#[derive(Clone, Copy)]
struct Asked<'a> {
    id: &'a str,
    record: &'a RequestRecord,
    group: &'a str,
    turn: bool,
    moves: Option<&'a String>,
    deleted: bool,
}

/// Sees to one group. Gives back how it stands where that is news.
async fn one(
    context: &Context,
    picture: &Picture,
    ready: &ReadySince,
    asked: Asked<'_>,
    plan: Option<&Result<Plan, Box<Cause>>>,
    free: Option<&Amounts>,
) -> Option<(String, GroupDrill)> {
    let Asked { id, record, group, turn, moves, deleted } = asked;
    let standing = record.drill.groups.get(group);
    let drill = names::drill_id(id, group);
    let left = clones::left(context, &drill);
    let Some(situation) = picture.situation(context, ready, group, &picture.me) else {
        let epoch = record.groups.get(group).copied().unwrap_or_default();
        match without_group(standing, epoch, left, picture.now) {
            Next::Sweep => clones::sweep(context, &drill).await,
            Next::Put(put) => return Some((group.to_owned(), *put)),
            Next::Wait | Next::Prepare | Next::Clone => {}
        }
        return None;
    };
    let (since, own) = context.drills.since(&drill, standing.map(|drill| drill.step), picture.now.boot);
    let rendered = plan.and_then(|plan| plan.as_ref().ok());
    let mut refused = context.drills.lock().refused.get(&drill).cloned();
    let mut wrong = Vec::new();
    match plan {
        Some(Err(cause)) if standing.is_some() => refused = refused.or_else(|| Some((**cause).clone())),
        Some(Err(cause)) => wrong.push((**cause).clone()),
        Some(Ok(plan)) if standing.is_none() && turn => wrong.extend(plan.wrong(context, free).await),
        _ => {}
    }
    let seen = Seen {
        situation: &situation,
        moves: moves.cloned(),
        abort: record.abort,
        deleted: deleted && standing.is_some(),
        turn,
        wrong,
        notes: rendered.map(Plan::notes).unwrap_or_default(),
        prepared: rendered.is_some_and(|plan| plan.prepared(&context.cluster)),
        clones: rendered.map(|plan| plan.seen(&context.cluster)).unwrap_or_default(),
        refused,
        left,
        since,
        own,
        deadline: deadline(context, group),
    };
    match (next(standing, &seen, picture.now), rendered) {
        (Next::Prepare, Some(plan)) => plan.prepare(context, &drill, group).await,
        (Next::Clone, Some(plan)) => plan.start(context, &drill, group).await,
        (Next::Sweep, _) => clones::sweep(context, &drill).await,
        (Next::Put(put), _) => return Some((group.to_owned(), *put)),
        (Next::Wait | Next::Prepare | Next::Clone, _) => {}
    }
    None
}

/// For how long clones of a group are waited for.
fn deadline(context: &Context, group: &str) -> Duration {
    let said = context.index.with_world(|world| {
        let drills = world.groups.get(group).and_then(|group| group.spec.drills.as_ref());
        drills.and_then(|drills| drills.deadline_seconds)
    });
    Duration::from_secs(said.unwrap_or(DEFAULT_DRILL_DEADLINE).unsigned_abs())
}

/// Puts what is new into the drill's record, and tells of it.
async fn put(context: &Context, id: &str, held: &Versioned<RequestRecord>, changed: BTreeMap<String, GroupDrill>) {
    if context.link.leadership().is_none() {
        return;
    }
    // A transaction holds only so much; the rest is for the next look.
    let mut changed: BTreeMap<String, GroupDrill> = changed.into_iter().take(PUT_AT_ONCE).collect();
    if held.value.groups.len() > MANY {
        let passed = |drill: &&mut GroupDrill| drill.result == Some(DrillResult::Passed);
        for drill in changed.values_mut().filter(passed) {
            (drill.clones, drill.notes) = Default::default();
        }
    }
    let mut record = held.value.clone();
    record.drill.groups.extend(changed.clone());
    let actor = tandem_core::audit::operator(&context.config.replica);
    let scribe = Some(Scribe { actor: &actor, at: wall() });
    let found = match context.link.arbiter().put_request(id, Some(held), &record, scribe).await {
        Ok(found) => found,
        Err(error) => return tracing::debug!(id, error = %Chain(&error), "the drill's record is not put yet"),
    };
    let put = found.value == record;
    context.link.board().enter_request(id, found);
    if !put {
        // Somebody said something meanwhile: looked at again.
        return context.drills.stir();
    }
    for (group, drill) in &changed {
        context.drills.put(&names::drill_id(id, group), drill.step, context.link.uptime());
        tell(context, id, group, held.value.drill.groups.get(group), drill).await;
    }
    context.drills.stir();
}

/// Tells people that a drill began or ended, and counts it.
async fn tell(context: &Context, id: &str, group: &str, before: Option<&GroupDrill>, drill: &GroupDrill) {
    tracing::info!(drill = id, group, step = drill.step.as_str(), result = ?drill.result, "drill");
    let (type_, reason, note) = match drill.result.filter(|_| drill.step == DrillStep::Completed) {
        Some(result) => {
            context.cluster.metrics.drills.with_label_values(&[result.as_str()]).inc();
            let well = result == DrillResult::Passed;
            let why = drill.why.first().map(|why| why.message.clone()).unwrap_or_default();
            let rto = drill
                .rto_millis
                .map(|millis| format!("ready after {:.1} s", Duration::from_millis(millis).as_secs_f64()));
            let note = if why.is_empty() { rto.unwrap_or_default() } else { why };
            let type_ = if well { EventType::Normal } else { EventType::Warning };
            (type_, format!("Drill{}", result.as_str()), note)
        }
        None if before.is_none() => (EventType::Normal, "DrillBegun".to_owned(), "its clones are prepared".to_owned()),
        None => return,
    };
    let objects = context.cluster.own.of_kind(FAILOVER);
    let key = |object: &kube::api::DynamicObject| {
        let key = object.data.pointer("/spec/idempotencyKey").and_then(serde_json::Value::as_str);
        key.or(object.metadata.name.as_deref()) == Some(id)
    };
    if let Some(object) = objects.iter().find(|object| key(object)) {
        context.cluster.tell(reference(object, &failovers()), type_, &reason, format!("{group}: {note}")).await;
    }
}
