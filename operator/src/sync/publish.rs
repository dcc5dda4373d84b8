//! The authority's side: objects that keep the rules become records.

use super::follow::{create, keep, quarantined};
use super::local::Local;
use super::{SyncError, feed, settled};
use crate::audit;
use crate::cluster::REQUEST_TIMEOUT;
use crate::context::Context;
use crate::index::{group_of, typed};
use crate::link::{LinkError, Publication};
use crate::queue::Outcome;
use jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use std::time::Duration;
use tandem_core::check::{self, Problem, World};
use tandem_core::ledger::Change;
use tandem_core::names::default_group;
use tandem_core::sync::{
    FollowPlan, ObjectKey, Origin, PublishPlan, Record, Restraint, SpecRecord, Tombstone, Versioned, plan_follow,
    plan_publish, with_id,
};
use tandem_crds::status::Reason;
use tandem_crds::validation::broken_rules;
use tandem_crds::{
    Application, DataCentre, Environment, EnvironmentRequest, FailoverGroup, Kind, SecurityProfile, TandemKind, Unit,
};

/// The annotation with which a person takes a deletion back while it waits.
const UNDO: &str = "tandem.dev/undo-delete";

/// Publishes one object, or whatever else it needs at the authority.
pub(super) async fn publish(context: &Context, key: &ObjectKey) -> Result<Outcome, SyncError> {
    let mut local = Local::look(context, key);
    let record = context.index.record(key);
    let view = local.view();
    let restraint = match &view {
        Some(view) if view.deleting => settled::restraint(context, key).await?,
        _ => Restraint::None,
    };
    let mut problems = Vec::new();
    let mut outcome = Outcome::Done;
    let live = record.as_ref().and_then(|held| match &held.value {
        Record::Live(live) => Some((live, held.revision)),
        Record::Tombstone(_) => None,
    });
    match plan_publish(&context.config.site, view.as_ref(), record.as_ref(), restraint) {
        PublishPlan::Nothing => {}
        PublishPlan::Publish { base, id } => {
            problems = send(context, &local, key, base, &id, live.map(|(live, _)| live)).await?;
        }
        PublishPlan::Heal { id, revision } => local.stamp(&id, revision).await?,
        PublishPlan::Conflict { seed } => {
            keep(context, &local, seed).await?;
            outcome = give_way(&mut local, &context.config.site, record.as_ref()).await?;
        }
        PublishPlan::Quarantine { why } => problems.push(quarantined(&why)),
        PublishPlan::Refuse { why } => {
            problems.push(Problem { reason: Reason::Invalid, path: "spec.id".to_owned(), message: why });
        }
        PublishPlan::Tombstone { base, id } => {
            (problems, outcome) = bury(context, &mut local, key, base, &id).await?;
        }
        PublishPlan::Restore { .. } => create(&mut local, live).await?,
        PublishPlan::ReleaseFinalizer => {
            let id = record.as_ref().map(|held| held.value.id().to_owned()).unwrap_or_default();
            if live.is_none() && !context.cluster.rendered.owned_by(&id).is_empty() {
                // What it had here is taken away first, so that `kubectl delete` returns when it is gone.
                return Ok(Outcome::After(Duration::from_millis(500)));
            }
            if live.is_none() && key.kind == Kind::Application {
                // Also where this replica did not bury it: whoever did may have died right after.
                remove_own_group(context, key).await?;
            }
            local.release().await?;
        }
    }
    if context.refusals.set(key, &problems) {
        context.queues.fold.add(key.clone());
    }
    Ok(outcome)
}

/// What a record by somebody else asks of this site's object.
async fn give_way(local: &mut Local<'_>, site: &str, record: Option<&Versioned<Record>>) -> Result<Outcome, SyncError> {
    let plan = plan_follow(site, record, local.view().as_ref());
    match (plan, record) {
        (FollowPlan::Update { .. }, Some(Versioned { revision, value: Record::Live(live) })) => {
            local.overwrite(live, *revision).await?;
        }
        (FollowPlan::Delete { .. } | FollowPlan::RemoveUnauthorised { .. }, _) => local.delete().await?,
        (FollowPlan::Recreate { .. } | FollowPlan::ReleaseFinalizer, _) => local.release().await?,
        _ => {}
    }
    Ok(Outcome::After(Duration::from_millis(200)))
}

#[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read, and decides nothing
fn now() -> Timestamp {
    Timestamp::now()
}

/// Judges an object and publishes it. Gives back what is wrong with it.
async fn send(
    context: &Context,
    local: &Local<'_>,
    key: &ObjectKey,
    base: i64,
    id: &str,
    published: Option<&SpecRecord>,
) -> Result<Vec<Problem>, SyncError> {
    let Some(view) = local.view() else { return Ok(Vec::new()) };
    let candidate = SpecRecord {
        id: id.to_owned(),
        key: key.clone(),
        labels: view.labels.clone(),
        annotations: view.annotations.clone(),
        spec: with_id(&view.spec, id),
        origin: Origin { site: context.config.site.clone(), uid: view.uid.clone(), generation: view.generation },
        published_at: now(),
    };
    let judged = judge(context, &candidate, published).ok_or_else(|| SyncError::Decode(key.clone()))?;
    if !judged.problems.is_empty() {
        told(context, key, "refused");
        return Ok(judged.problems);
    }
    if let Some(group) = &judged.own_group {
        ensure_group(context, group, key, &candidate).await?;
    }
    let edit = audit::published(context, local.object.as_deref(), published, &candidate);
    let record = Record::Live(candidate);
    match context.link.publish(Publication { record: record.clone(), base, ledger: judged.ledger, edit }).await {
        Ok(revision) => {
            told(context, key, "published");
            feed::record_changed(context, Versioned::new(revision, record));
            local.stamp(id, revision).await?;
            Ok(Vec::new())
        }
        Err(LinkError::OverBudget { message }) => {
            told(context, key, "refused");
            Ok(vec![Problem { reason: Reason::OverBudget, path: "spec".to_owned(), message }])
        }
        Err(source) => {
            told(context, key, "failed");
            Err(SyncError::Arbiter { key: key.clone(), source: Box::new(source) })
        }
    }
}

/// Counts how a publication ended.
fn told(context: &Context, key: &ObjectKey, result: &str) {
    context.cluster.metrics.publishes.with_label_values(&[key.kind.name(), result]).inc();
}

/// What judging an object came to.
#[derive(Default)]
struct Judged {
    problems: Vec<Problem>,
    /// What its publication changes in a unit's ledger: the unit and the change.
    ledger: Option<(String, Change)>,
    /// The failover group to be made for an application that names none.
    own_group: Option<String>,
}

/// Holds a candidate to the rules of its schema and to those that need other objects. `None` when it does not decode.
fn judge(context: &Context, candidate: &SpecRecord, published: Option<&SpecRecord>) -> Option<Judged> {
    match candidate.key.kind {
        Kind::DataCentre => judged::<DataCentre>(context, candidate, published, check::data_centre).map(|(_, j)| j),
        Kind::SecurityProfile => {
            judged::<SecurityProfile>(context, candidate, published, check::security_profile).map(|(_, j)| j)
        }
        Kind::EnvironmentRequest => {
            judged::<EnvironmentRequest>(context, candidate, published, check::environment_request).map(|(_, j)| j)
        }
        Kind::FailoverGroup => {
            judged::<FailoverGroup>(context, candidate, published, check::failover_group).map(|(_, j)| j)
        }
        Kind::Unit => {
            let (unit, mut judged) = judged::<Unit>(context, candidate, published, check::unit)?;
            if judged.problems.is_empty() {
                let amounts = check::budget_amounts(&unit)?;
                judged.ledger = Some((candidate.key.name.clone(), Change::Budget(amounts)));
            }
            Some(judged)
        }
        Kind::Environment => {
            let (environment, mut judged) = judged::<Environment>(context, candidate, published, check::environment)?;
            if judged.problems.is_empty() {
                let amounts = check::quota_amounts(&environment)?;
                let (environment_name, id) = (candidate.key.name.clone(), candidate.id.clone());
                let claim = Change::Claim { environment: environment_name, id, amounts };
                judged.ledger = Some((environment.spec.unit, claim));
            }
            Some(judged)
        }
        Kind::Application => {
            let (application, mut judged) = judged::<Application>(context, candidate, published, check::application)?;
            if application.spec.failover_group.is_none() {
                let namespace = candidate.key.namespace.as_deref().unwrap_or_default();
                judged.own_group = Some(default_group(namespace, &candidate.key.name));
            }
            Some(judged)
        }
    }
}

fn judged<K: TandemKind>(
    context: &Context,
    candidate: &SpecRecord,
    published: Option<&SpecRecord>,
    check: fn(&K, &World<'_>) -> Vec<Problem>,
) -> Option<(K, Judged)> {
    let object: K = typed(candidate)?;
    let before: Option<K> = published.and_then(typed);
    let broken = broken_rules(&object, before.as_ref());
    let mut problems: Vec<Problem> = broken
        .into_iter()
        .map(|rule| Problem { reason: Reason::Invalid, path: rule.path, message: rule.message })
        .collect();
    // Objects that break their own rules are not held to those about others.
    if problems.is_empty() {
        problems = context.index.with_world(|world| check(&object, world));
    }
    Some((object, Judged { problems, ..Judged::default() }))
}

/// Makes the failover group of an application that names none.
async fn ensure_group(
    context: &Context,
    group: &str,
    application: &ObjectKey,
    record: &SpecRecord,
) -> Result<(), SyncError> {
    let key = ObjectKey::cluster(Kind::FailoverGroup, group);
    if Local::look(context, &key).object.is_some()
        || matches!(context.index.record(&key), Some(held) if matches!(held.value, Record::Live(_)))
    {
        return Ok(());
    }
    let resource = crate::cluster::Cluster::own_resource(Kind::FailoverGroup);
    let value = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": group},
        "spec": {"displayName": record.spec.get("displayName"), "mode": context.config.failover.new_groups},
    });
    let object: DynamicObject = serde_json::from_value(value).map_err(|_| SyncError::Decode(key.clone()))?;
    context.cluster.may_write()?;
    context.cluster.metrics.writes.with_label_values(&["create"]).inc();
    let parameters = PostParams { field_manager: Some("tandem/sync".to_owned()), ..PostParams::default() };
    let api = context.cluster.api(&resource, None);
    match tokio::time::timeout(REQUEST_TIMEOUT, api.create(&parameters, &object)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        Ok(Err(source)) => Err(SyncError::Cluster { key: application.clone(), source }),
        Err(_) => Err(SyncError::TooSlow(application.clone())),
    }
}

/// Turns a deletion into a tombstone, where nothing speaks against it and the time to take it back is over.
async fn bury(
    context: &Context,
    local: &mut Local<'_>,
    key: &ObjectKey,
    base: i64,
    id: &str,
) -> Result<(Vec<Problem>, Outcome), SyncError> {
    let Some(object) = local.object.clone() else { return Ok((Vec::new(), Outcome::Done)) };
    if object.metadata.annotations.as_ref().and_then(|a| a.get(UNDO)).is_some_and(|undo| undo == "true") {
        tracing::info!(%key, "a deletion was taken back");
        local.release().await?;
        return Ok((Vec::new(), Outcome::After(Duration::from_millis(200))));
    }
    let refused =
        context.index.with_world(|world| check::deletion(key.kind, key.namespace.as_deref(), &key.name, world));
    if !refused.is_empty() {
        return Ok((refused, Outcome::After(Duration::from_secs(5))));
    }
    // What an agency runs goes at once; what it runs in can be taken back for a while.
    let waits = matches!(key.kind, Kind::Unit | Kind::Environment);
    if let Some((until, wait)) = grace(context, &object).filter(|_| waits) {
        let message = format!(
            "it is deleted in both sites at {until}; to take that back: kubectl annotate {} {} {UNDO}=true",
            key.kind.plural(),
            key.name
        );
        let problem = Problem { reason: Reason::Deleting, path: String::new(), message };
        return Ok((vec![problem], Outcome::After(wait)));
    }
    let silent = context.link.silent_sites(&context.config.sites);
    if !silent.is_empty() {
        let message = format!(
            "a deletion is carried out in both sites or not at all, and {} is not heard; it goes on when the site is back",
            silent.join(", ")
        );
        let problem = Problem { reason: Reason::DeletionRefused, path: String::new(), message };
        return Ok((vec![problem], Outcome::After(Duration::from_secs(2))));
    }
    let ledger = ledger_after(context, key, id);
    let view = local.view().ok_or_else(|| SyncError::Decode(key.clone()))?;
    let tombstone = Tombstone {
        id: id.to_owned(),
        key: key.clone(),
        origin: Origin { site: context.config.site.clone(), uid: view.uid, generation: view.generation },
        deleted_at: now(),
    };
    let record = Record::Tombstone(tombstone);
    let asked = object.metadata.deletion_timestamp.as_ref().map(|asked| asked.0);
    let edit = audit::buried(context, key, asked);
    match context.link.publish(Publication { record: record.clone(), base, ledger, edit }).await {
        Ok(revision) => {
            told(context, key, "published");
            feed::record_changed(context, Versioned::new(revision, record));
        }
        Err(LinkError::OverBudget { message }) => {
            told(context, key, "refused");
            let problem = Problem { reason: Reason::DeletionRefused, path: String::new(), message };
            return Ok((vec![problem], Outcome::After(Duration::from_secs(5))));
        }
        Err(source) => {
            told(context, key, "failed");
            return Err(SyncError::Arbiter { key: key.clone(), source: Box::new(source) });
        }
    }
    tracing::info!(%key, "deleted in both sites");
    Ok((Vec::new(), Outcome::After(Duration::from_millis(200))))
}

/// Until when a deletion can still be taken back, and how long that is from now; `None` once it is over.
#[allow(clippy::disallowed_methods)] // an edge: compared with the API server's own time of deletion
fn grace(context: &Context, object: &DynamicObject) -> Option<(Timestamp, Duration)> {
    let asked = object.metadata.deletion_timestamp.as_ref()?.0;
    let until = asked.saturating_add(Duration::from_secs(context.config.deletion_grace_seconds)).ok()?;
    let left = Duration::try_from(until.duration_since(Timestamp::now())).ok()?;
    (!left.is_zero()).then_some((until, left))
}

fn ledger_after(context: &Context, key: &ObjectKey, id: &str) -> Option<(String, Change)> {
    match key.kind {
        Kind::Unit => Some((key.name.clone(), Change::Remove)),
        Kind::Environment => {
            let unit =
                context.index.with_world(|world| world.environments.get(&key.name).map(|e| e.spec.unit.clone()))?;
            Some((unit, Change::Release { environment: key.name.clone(), id: id.to_owned() }))
        }
        _ => None,
    }
}

/// The group that was made for an application goes with it.
async fn remove_own_group(context: &Context, application: &ObjectKey) -> Result<(), SyncError> {
    let namespace = application.namespace.as_deref().unwrap_or_default();
    let group = default_group(namespace, &application.name);
    let used = context.index.with_world(|world| {
        world.applications.iter().any(|((namespace, name), other)| group_of(other, namespace, name) == group)
    });
    let key = ObjectKey::cluster(Kind::FailoverGroup, group);
    let local = Local::look(context, &key);
    if !used && local.object.as_ref().is_some_and(|object| object.metadata.deletion_timestamp.is_none()) {
        local.delete_softly().await?;
    }
    Ok(())
}
