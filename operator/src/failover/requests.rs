//! `Failover` objects: what people ask for becomes a request in the arbiter, which both sites read alike.
//!
//! An object counts at whichever site it is made. Each site makes an object of its own for a request of the other site, so
//! that it can be approved, paused and aborted at the site that is left.

use super::picture::{Picture, ReadySince, wall};
use super::{JournalHeld, orders, shown, unasked};
use crate::audit::wrote;
use crate::cluster::{ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use crate::drills;
use crate::trace;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::records::{PLATFORM, RequestRecord, Versioned};
use tandem_arbiter::txn::Scribe;
use tandem_core::failover::{AcceptDataLoss, Approval, ExecutionKind, Reason};
use tandem_core::names::LABEL_SCHEDULED;
use tandem_core::trace::Trace;
use tandem_crds::validation::broken_rules;
use tandem_crds::{Failover, FailoverSelector, FailoverStatus, FailoverType, GroupMove, Why};
use tandem_logs::Chain;

pub(crate) const KIND: &str = "Failover";
const MANAGER: &str = "tandem/failover";
/// Label on an object that this site made for a request of another: the site at which it was asked.
const ASKED_AT: &str = "tandem.dev/asked-at";
/// How often all requests are looked at although nothing was seen to change.
const LOOK: Duration = Duration::from_secs(1);
/// How long changes are gathered before objects are written.
const GATHER: Duration = Duration::from_millis(200);
/// The same while hundreds of groups move: their object is large, and nobody reads it ten times a second.
const GATHER_MANY: Duration = Duration::from_secs(1);
/// From this many moves under way on.
const MANY: usize = 100;

pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, KIND),
        "failovers",
    )
}

/// What has ended for longer when a replica begins to lead is not shown anew: people may have deleted it.
const MISSED: Duration = Duration::from_secs(600);

/// Keeps this site's `Failover` objects in memory, for ever.
pub async fn watch_requests(context: Context) {
    let api = context.cluster.api(&resource(), None);
    let stirred = Arc::clone(&context.asked);
    let mirror = Arc::clone(&context.cluster.own);
    mirror.watch(api, resource(), watcher::Config::default(), move |_, _| stirred.notify_one(), || {}).await;
}

/// Brings `Failover` objects, requests and journals together, for ever; only while this replica leads its site.
pub async fn run_requests(context: Context) {
    let mut ready = ReadySince::new();
    let mut changes = context.link.board().changes();
    // The leadership under which was looked last: with a new one, what ended between the two is shown as well.
    let mut looked = None;
    loop {
        changes.mark_unchanged();
        if let Some(token) = context.link.leadership()
            && context.cluster.own.is_synced(KIND)
            && context.link.board().is_complete()
            && context.link.seen().is_some()
        {
            let first = looked.replace(token.mod_revision) != Some(token.mod_revision);
            look(&context, &mut ready, first).await;
        }
        tokio::time::sleep(if context.link.board().open_journals().len() < MANY { GATHER } else { GATHER_MANY }).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = context.asked.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(context: &Context, ready: &mut ReadySince, first: bool) {
    let objects = context.cluster.own.of_kind(KIND);
    let mut requests = context.link.board().requests();
    if objects.is_empty() && requests.is_empty() && unasked::is_quiet(context) {
        return;
    }
    let picture = Picture::take(context, ready);
    requests.extend(unasked::requests(context, &picture, ready));
    let mut here: Vec<(String, Failover)> = Vec::new();
    for object in &objects {
        match serde_json::to_value(&**object).and_then(serde_json::from_value::<Failover>) {
            Ok(failover) => here.push((failover.execution().to_owned(), failover)),
            Err(error) => {
                tracing::error!(name = object.metadata.name, error = %Chain(&error), "a Failover does not decode");
            }
        }
    }
    // First what nobody at this site sees yet: it may be over before the others are brought in line.
    let known: BTreeSet<&String> = here.iter().map(|(id, _)| id).collect();
    for (id, record) in requests.iter().filter(|(id, _)| !known.contains(id)) {
        if drills::is_given_up(context, &record.value) {
            continue;
        }
        let journals = context.link.board().execution(id);
        // A quick move has ended before the other site has looked at it once; it is shown there as long as anything is open.
        let open = journals.values().any(|held| !held.seen.journal.over);
        let missed = first && ended_since(&journals, wall() - MISSED);
        if open || missed || !shown::is_over(context, &picture, id, &record.value) {
            make(context, id, &record.value).await;
        }
    }
    for (id, failover) in &here {
        let record = requests.get(id).cloned();
        if record.is_some() && is_settled(failover, &context.link.board().execution(id)) {
            continue;
        }
        if let Err(error) = reconcile(context, &picture, failover, record).await {
            tracing::warn!(request = id, error, "a Failover is not brought in line yet");
        }
    }
}

/// Whether a move has ended, and after this time.
fn ended_since(journals: &BTreeMap<String, JournalHeld>, time: jiff::Timestamp) -> bool {
    journals.values().filter_map(|held| held.seen.journal.evidence.last()).any(|last| last.begun >= time)
}

/// Whether an object shows the end of all its moves: nothing can change there any more, and what becomes of its groups later is
/// another request's.
fn is_settled(failover: &Failover, journals: &BTreeMap<String, JournalHeld>) -> bool {
    let Some(status) = &failover.status else { return false };
    let shown = |group: &GroupMove| {
        journals.get(&group.name).is_none_or(|held| {
            let journal = &held.seen.journal;
            journal.over && group.step == format!("{:?}", journal.step)
        })
    };
    status.phase.ended()
        && status.observed_generation == failover.metadata.generation
        && status.groups.iter().all(shown)
}

async fn reconcile(
    context: &Context,
    picture: &Picture,
    failover: &Failover,
    record: Option<Versioned<RequestRecord>>,
) -> Result<(), String> {
    let id = failover.execution();
    let standing = failover.status.clone().unwrap_or_default();
    let status = match record {
        // Nobody is heard on what nobody asked for: a hold is what stops it.
        Some(record) if orders::is_automatic(id) => shown::status(context, picture, id, &record.value, &standing),
        Some(record) => match hear(context, failover, id, record).await? {
            Ok(record) => shown::status(context, picture, id, &record, &standing),
            Err(why) => shown::refused(id, &why),
        },
        // What was refused stays so, and what has ended does not begin again with an arbiter that has forgotten it.
        None if standing.phase.ended() || failover.metadata.deletion_timestamp.is_some() => return Ok(()),
        // Made here for a request of the other site, which the arbiter has not any more: asking anew is for people.
        None if failover.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(ASKED_AT)) => {
            shown::refused(
                id,
                &said("Forgotten", "the arbiter does not know this request any more; ask anew".to_owned()),
            )
        }
        None => match resolve(context, picture, failover) {
            Ok(record) => match put(context, failover, id, None, &record).await? {
                Ok(record) => {
                    let trace_id = trace::said(&failover.metadata).and_then(Trace::parse).map(|trace| trace.trace_id());
                    tracing::info!(
                        trace_id, request = id, kind = ?record.kind, from = record.from, to = record.to, groups = record.groups.len(),
                        by = record.by, reason = record.reason, "asked for"
                    );
                    shown::status(context, picture, id, &record, &standing)
                }
                Err(why) => shown::refused(id, &why),
            },
            Err(why) => {
                tracing::warn!(request = id, reason = why.reason, message = why.message, "refused");
                shown::refused(id, &why)
            }
        },
    };
    write(context, failover, status).await
}

/// Brings what people say on the object into the record.
async fn hear(
    context: &Context,
    failover: &Failover,
    id: &str,
    held: Versioned<RequestRecord>,
) -> Result<Result<RequestRecord, Why>, String> {
    let spec = &failover.spec;
    if ExecutionKind::from(spec.kind) != held.value.kind
        || spec.to.as_ref().is_some_and(|to| *to != held.value.to)
        || spec.from.as_ref().is_some_and(|from| *from != held.value.from)
    {
        return Ok(Err(taken(id)));
    }
    let next = held.value.with(&context.config.site, &approvals(failover), spec.pause, spec.abort);
    if next == held.value {
        return Ok(Ok(next));
    }
    put(context, failover, id, Some(&held), &next).await
}

/// Puts a request that an object asks for; the one that is there where it was put before.
async fn put(
    context: &Context,
    failover: &Failover,
    id: &str,
    before: Option<&Versioned<RequestRecord>>,
    record: &RequestRecord,
) -> Result<Result<RequestRecord, Why>, String> {
    if context.link.leadership().is_none() {
        return Err("this replica does not lead its site any more".to_owned());
    }
    // Whoever wrote the object; the names on it are what they say.
    let actor = wrote(context, &failover.metadata);
    let scribe = Some(Scribe { actor: &actor, at: wall() });
    let put = context.link.arbiter().put_request(id, before, record, scribe).await;
    let found = put.map_err(|error| Chain(&error).to_string())?;
    context.link.board().enter_request(id, found.clone());
    Ok(if found.value.same_request(record) { Ok(found.value) } else { Err(taken(id)) })
}

fn taken(id: &str) -> Why {
    said("OtherRequest", format!("the key {id} was used for another request; give this one a name or a key of its own"))
}

fn said(reason: &str, message: String) -> Why {
    Why { reason: reason.to_owned(), message, message_zh: String::new() }
}

fn approvals(failover: &Failover) -> Vec<Approval> {
    failover.spec.approvals.iter().map(|given| Approval { by: given.by.clone(), at: given.at.0 }).collect()
}

/// Works out what a request selects, once: what both sites go by from then on.
fn resolve(context: &Context, picture: &Picture, failover: &Failover) -> Result<RequestRecord, Why> {
    let spec = &failover.spec;
    let id = failover.execution();
    if let Some(broken) = broken_rules(failover, None).first() {
        return Err(said("Invalid", format!("{}: {}", broken.path, broken.message)));
    }
    if orders::is_automatic(id) || id.contains('/') {
        return Err(said("Invalid", format!("the key {id} is of Tandem's own form; choose another name")));
    }
    let mut selected = select(context, picture, &spec.selector)?;
    if spec.kind == FailoverType::Drill {
        // The right to publish has no workload that could be rehearsed.
        selected.remove(PLATFORM);
    }
    let preferred = Some(context.config.preferred_authority.clone());
    let home = preferred.filter(|_| spec.kind == FailoverType::Failback);
    let given = spec.to.clone().or(home);
    let actives: BTreeSet<&String> = selected.values().map(|(active, _)| active).collect();
    let from = match (&spec.from, &given, &spec.selector.site) {
        (Some(from), _, _) => from.clone(),
        (None, Some(to), _) => picture.other(to).cloned().unwrap_or_default(),
        (None, None, Some(site)) => site.clone(),
        (None, None, None) => match actives.iter().collect::<Vec<_>>().as_slice() {
            [one] => (**one).clone(),
            _ => {
                let message = "the groups are active at different sites; say spec.from or spec.to".to_owned();
                return Err(said("Invalid", message));
            }
        },
    };
    let to = given.or_else(|| picture.other(&from).cloned()).unwrap_or_default();
    for site in [&from, &to] {
        if !picture.sites.contains(site) {
            return Err(said("NotFound", format!("there is no site {site}; there are {}", picture.sites.join(", "))));
        }
    }
    let groups: BTreeMap<String, u64> = selected
        .into_iter()
        .filter(|(_, (active, _))| *active == from)
        .map(|(name, (_, epoch))| (name, epoch))
        .collect();
    if groups.is_empty() {
        return Err(said("NotFound", format!("none of the groups is active at {from}: there is nothing to move")));
    }
    for (group, expected) in &spec.expected_epochs {
        let found = picture.groups.get(group).map_or(0, |held| held.record.value.epoch);
        if groups.contains_key(group) && found != *expected {
            return Err(Why::from(&Reason::EpochMoved { expected: *expected, found }));
        }
    }
    let most = |loss: tandem_crds::DataLoss| loss.max_seconds.and_then(|most| u64::try_from(most).ok());
    Ok(RequestRecord {
        kind: spec.kind.into(),
        from,
        to,
        groups,
        max_parallel: spec.max_parallel.and_then(|most| usize::try_from(most).ok()),
        by: spec.requested_by.clone().unwrap_or_default(),
        site: context.config.site.clone(),
        reason: spec.reason.clone(),
        at: wall(),
        approvals_wanted: 0,
        approvals: approvals(failover),
        accept_data_loss: spec.accept_data_loss.map(|loss| AcceptDataLoss { max_seconds: most(loss) }),
        despite_not_ready: spec.despite_not_ready,
        paused_at: spec.pause.then(|| context.config.site.clone()).into_iter().collect(),
        abort: spec.abort,
        drill: Default::default(),
    })
}

/// The groups that a selector names: where each is active, and its epoch.
fn select(
    context: &Context,
    picture: &Picture,
    selector: &FailoverSelector,
) -> Result<BTreeMap<String, (String, u64)>, Why> {
    if let Some(missing) = selector.groups.iter().find(|name| !picture.groups.contains_key(*name)) {
        return Err(said("NotFound", format!("there is no failover group {missing}")));
    }
    let of_unit: BTreeSet<String> = selector.unit.as_ref().map_or_else(BTreeSet::new, |unit| {
        context.index.with_world(|world| {
            let in_unit = |space: &String| world.environments.get(space).is_some_and(|e| e.spec.unit == *unit);
            let of = world.applications.iter().filter(|((space, _), _)| in_unit(space));
            of.map(|((space, name), application)| crate::index::group_of(application, space, name)).collect()
        })
    });
    let chosen = picture.groups.iter().filter(|(name, held)| {
        selector.all
            || selector.groups.contains(name)
            || of_unit.contains(*name)
            || selector.site.as_ref().is_some_and(|site| held.record.value.active == *site)
    });
    Ok(chosen.map(|(name, held)| (name.clone(), (held.record.value.active.clone(), held.record.value.epoch))).collect())
}

/// Makes this site's object for a request of another site.
async fn make(context: &Context, id: &str, record: &RequestRecord) {
    let approvals: Vec<_> = record.approvals.iter().map(|a| json!({"by": a.by, "at": a.at})).collect();
    let reason = if record.reason.is_empty() { "asked at the other site" } else { &record.reason };
    let selector = if orders::is_automatic(id) {
        // More groups may follow those that are known when it is made.
        json!({"site": record.from})
    } else {
        json!({"groups": record.groups.keys().collect::<Vec<_>>()})
    };
    let mut spec = json!({
        "type": record.kind, "from": record.from, "to": record.to, "idempotencyKey": id, "reason": reason,
        "selector": selector, "requestedBy": record.by, "approvals": approvals,
        "despiteNotReady": record.despite_not_ready, "abort": record.abort,
    });
    if let Some(loss) = &record.accept_data_loss {
        spec["acceptDataLoss"] = json!(loss);
    }
    if let Some(most) = record.max_parallel {
        spec["maxParallel"] = json!(most);
    }
    let mut labels = json!({ASKED_AT: record.site});
    if let Some(group) = drills::scheduled(id, record) {
        labels[LABEL_SCHEDULED] = json!(group);
    }
    let object = json!({
        "apiVersion": resource().api_version, "kind": KIND,
        "metadata": {"name": id, "labels": labels}, "spec": spec,
    });
    let Ok(object) = serde_json::from_value::<DynamicObject>(object) else { return };
    if context.cluster.may_write().is_err() {
        return;
    }
    context.cluster.metrics.writes.with_label_values(&["create"]).inc();
    let api = context.cluster.api(&resource(), None);
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match tokio::time::timeout(REQUEST_TIMEOUT, api.create(&parameters, &object)).await {
        Ok(Ok(_)) => tracing::info!(request = id, asked_at = record.site, "shown here as well"),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
        Ok(Err(error)) => tracing::warn!(request = id, error = %Chain(&error), "not shown here yet"),
        Err(_) => tracing::warn!(request = id, "not shown here in time"),
    }
}

async fn write(context: &Context, failover: &Failover, mut status: FailoverStatus) -> Result<(), String> {
    let standing = failover.status.clone().unwrap_or_default();
    let generation = failover.metadata.generation.unwrap_or(0);
    shown::finish(&mut status, &standing, generation);
    if status == standing {
        return Ok(());
    }
    let name = failover.metadata.name.as_deref().unwrap_or_default();
    context.cluster.may_write().map_err(|error| error.to_string())?;
    context.cluster.metrics.writes.with_label_values(&["status"]).inc();
    let object = json!({
        "apiVersion": resource().api_version, "kind": KIND, "metadata": {"name": name}, "status": status,
    });
    let api = context.cluster.api(&resource(), None);
    let (parameters, patch) = (PatchParams::apply("tandem/failover-status").force(), Patch::Apply(&object));
    let sent = tokio::time::timeout(REQUEST_TIMEOUT, api.patch_status(name, &parameters, &patch)).await;
    let written = sent.map_err(|_| "the API server took too long".to_owned())?;
    match written {
        Ok(written) => {
            // Before the watch repeats it, else the same status would be written twice.
            let known = ObjectName { kind: KIND.to_owned(), namespace: None, name: name.to_owned() };
            if context.cluster.own.get(&known).is_some() {
                context.cluster.own.take_in(KIND, written);
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tandem_arbiter::records::JournalSeen;
    use tandem_core::failover::{Journal, Outcome, Step};

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    fn held(step: Step, over: bool) -> BTreeMap<String, JournalHeld> {
        let first = Journal::new(("x", "g"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 3, at(10));
        let journal = Journal { over, ..first.advanced(step, Outcome::Done, "", at(20)) };
        let seen = JournalSeen { revision: 9, created: 8, journal };
        BTreeMap::from([("g".to_owned(), JournalHeld { seen, since: Duration::ZERO })])
    }

    fn shows(phase: &str, step: &str) -> Failover {
        serde_json::from_value(json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": KIND, "metadata": {"name": "x", "generation": 2},
            "spec": {"type": "Switchover", "selector": {"groups": ["g"]}, "reason": "a test"},
            "status": {"phase": phase, "observedGeneration": 2, "groups": [{"name": "g", "step": step}]},
        }))
        .unwrap()
    }

    #[test]
    fn an_object_is_settled_once_it_shows_the_end_of_all_its_moves() {
        assert!(is_settled(&shows("Completed", "Protected"), &held(Step::Protected, true)));
        assert!(is_settled(&shows("Completed", "Protected"), &BTreeMap::new()), "its journals were collected");
        assert!(!is_settled(&shows("Running", "Protected"), &held(Step::Protected, true)));
        assert!(!is_settled(&shows("Completed", "Resyncing"), &held(Step::Protected, true)), "one step is not shown");
        assert!(!is_settled(&shows("Completed", "Resyncing"), &held(Step::Resyncing, false)));
        let mut edited = shows("Completed", "Protected");
        edited.metadata.generation = Some(3);
        assert!(!is_settled(&edited, &held(Step::Protected, true)), "somebody asks for something");
    }

    #[test]
    fn what_ended_before_a_while_is_not_shown_anew() {
        assert!(ended_since(&held(Step::Protected, true), at(20)));
        assert!(!ended_since(&held(Step::Protected, true), at(21)));
        assert!(!ended_since(&BTreeMap::new(), at(0)));
    }
}
