//! The status that people read: what the sites say, folded into one answer, written when it changes.

use crate::alarms::with_alarms;
use crate::cluster::{ApplyError, Cluster, ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use crate::index::{SiteReport, group_of};
use crate::queue::Outcome;
use crate::requests;
use crate::trace;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_core::check::{Problem, quota_amounts};
use tandem_core::ledger::Amounts;
use tandem_core::sync::{ObjectKey, Record};
use tandem_crds::quantity::Quantity;
use tandem_crds::status::{ConditionValue, HasConditions, PUBLISHED, PodCount, READY, Reason, SiteStatus, merge};
use tandem_crds::{
    Application, Capacity, DataCentre, Environment, EnvironmentRequest, FailoverGroup, GroupPhase, Kind, Member,
    PAUSED_CONDITION, SecurityProfile, TandemKind, Unit,
};
use tandem_logs::Chain;
use tracing::Instrument;

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
enum FoldError {
    #[error("this replica may not write")]
    MayNotWrite(#[from] ApplyError),
    #[error("the API server did not take the status")]
    Write(#[from] kube::Error),
    #[error("the API server took too long")]
    TooSlow,
    #[error("the local object does not decode")]
    Decode(#[from] serde_json::Error),
}

/// Folds what is known of one object into the status of the object in this site.
pub async fn fold(context: Context, key: ObjectKey) -> Outcome {
    let work = trace::work_on(&context, "status", &key);
    fold_one(context, key).instrument(work).await
}

async fn fold_one(context: Context, key: ObjectKey) -> Outcome {
    let result = match key.kind {
        Kind::DataCentre => fold_kind::<DataCentre>(&context, &key, data_centre).await,
        Kind::SecurityProfile => fold_kind::<SecurityProfile>(&context, &key, |_, _, _| {}).await,
        Kind::Unit => fold_kind::<Unit>(&context, &key, unit).await,
        Kind::Environment => fold_kind::<Environment>(&context, &key, |_, _, _| {}).await,
        Kind::FailoverGroup => fold_kind::<FailoverGroup>(&context, &key, failover_group).await,
        Kind::Application => fold_kind::<Application>(&context, &key, application).await,
        Kind::EnvironmentRequest => fold_kind::<EnvironmentRequest>(&context, &key, requests::show).await,
    };
    match result {
        Ok(None) => Outcome::Done,
        Ok(Some(wait)) => Outcome::After(wait),
        Err(FoldError::Write(kube::Error::Api(status))) if status.code == 404 => Outcome::Done,
        Err(error) => {
            tracing::debug!(%key, error = %Chain(&error), "status not written yet");
            Outcome::Retry
        }
    }
}

async fn fold_kind<K: TandemKind>(
    context: &Context,
    key: &ObjectKey,
    extend: impl FnOnce(&Context, &K, &mut K::Status) + Send,
) -> Result<Option<Duration>, FoldError> {
    let name =
        ObjectName { kind: key.kind.name().to_owned(), namespace: key.namespace.clone(), name: key.name.clone() };
    let Some(local) = context.cluster.own.get(&name) else { return Ok(None) };
    let object: K = serde_json::from_value(serde_json::to_value(&*local)?)?;
    let standing = object.status().cloned().unwrap_or_default();
    let record = context.index.record(key);
    let refused = context.refusals.get(key);
    let reports = context.index.reports(key);
    let live = match &record {
        Some(held) => matches!(held.value, Record::Live(_)).then_some(held.revision),
        None => None,
    };
    let wanted = conditions(&context.config.sites, live, &refused, &reports);
    let generation = object.meta().generation.unwrap_or(0);
    let mut status = standing.clone();
    let merged = merge(standing.conditions(), &wanted, generation, now());
    K::set_common(&mut status, Some(generation), merged, sites(live, &reports));
    extend(context, &object, &mut status);
    if status == standing {
        context.settling.forget(key);
        return Ok(None);
    }
    // What is merely on its way is given some time to arrive: most of it does, and is then written once.
    let passing = wanted.iter().any(|value| !value.holds && is_passing(value.reason));
    if passing && let Some(wait) = context.settling.wait(key) {
        return Ok(Some(wait));
    }
    write(&context.cluster, key, &status).await?;
    changed(standing.conditions(), status.conditions());
    context.settling.forget(key);
    Ok(None)
}

/// Says that people read another status now: loudly where it changes whether the object is in order.
fn changed(before: &[Condition], after: &[Condition]) {
    let ready = |conditions: &[Condition]| {
        let found = conditions.iter().find(|condition| condition.type_ == READY)?;
        Some((found.status.clone(), found.reason.clone()))
    };
    let (was, is) = (ready(before), ready(after));
    if was == is {
        tracing::debug!("status changed");
    } else {
        let (ready, reason) = is.unwrap_or_default();
        tracing::info!(ready, reason, "status changed");
    }
}

fn is_passing(reason: Reason) -> bool {
    matches!(reason, Reason::Progressing | Reason::PodsNotReady | Reason::SiteNotReported)
}

#[allow(clippy::disallowed_methods)] // an edge: the time goes into conditions for people to read
fn now() -> Timestamp {
    Timestamp::now()
}

async fn write<S: serde::Serialize>(cluster: &Cluster, key: &ObjectKey, status: &S) -> Result<(), FoldError> {
    cluster.may_write()?;
    cluster.metrics.writes.with_label_values(&["status"]).inc();
    let resource = Cluster::own_resource(key.kind);
    let manager = format!("tandem/{}-status", key.kind.name().to_lowercase());
    let object = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "status": status,
    });
    let api = cluster.api(&resource, key.namespace.as_deref());
    let (parameters, patch) = (PatchParams::apply(&manager).force(), Patch::Apply(&object));
    let sent = tokio::time::timeout(REQUEST_TIMEOUT, api.patch_status(&key.name, &parameters, &patch)).await;
    sent.map_err(|_| FoldError::TooSlow)??;
    Ok(())
}

/// The conditions of an object: from its revision in the arbiter (if it is there), what refuses it, and the sites' reports.
fn conditions(
    sites: &[String],
    live: Option<i64>,
    refused: &[Problem],
    reports: &BTreeMap<String, SiteReport>,
) -> Vec<ConditionValue> {
    let condition = |kind, holds, reason, message: String| ConditionValue { kind, holds, reason, message };
    if let Some(first) = refused.first() {
        let said: Vec<String> = refused.iter().map(Problem::to_string).collect();
        let mut message = said.join("; ");
        if live.is_some() {
            message.push_str(" (what was published before stays in force)");
        }
        return vec![
            condition(PUBLISHED, false, first.reason, message.clone()),
            condition(READY, false, first.reason, message),
        ];
    }
    let Some(revision) = live else {
        let message = "not in the arbiter yet".to_owned();
        return vec![
            condition(PUBLISHED, false, Reason::Progressing, message.clone()),
            condition(READY, false, Reason::Progressing, message),
        ];
    };
    // Never an empty message: an API server takes it for a missing one.
    let published = condition(PUBLISHED, true, Reason::Published, format!("in the arbiter at revision {revision}"));
    let mut silent = Vec::new();
    let mut not_ready = Vec::new();
    for site in sites {
        match reports.get(site) {
            Some(report) if report.value.spec_revision >= revision => {
                if !report.value.ready {
                    let (reason, message) = said(report);
                    not_ready.push((reason, format!("{site}: {message}")));
                }
            }
            _ => silent.push(site.as_str()),
        }
    }
    let ready = if let Some((reason, _)) = not_ready.first() {
        let messages: Vec<&str> = not_ready.iter().map(|(_, message)| message.as_str()).collect();
        condition(READY, false, *reason, messages.join("; "))
    } else if silent.is_empty() {
        condition(READY, true, Reason::Ready, format!("in order in {}", sites.join(" and ")))
    } else {
        condition(READY, false, Reason::SiteNotReported, format!("not reported yet: {}", silent.join(", ")))
    };
    vec![published, ready]
}

/// Why a site is not ready, in one word and in a sentence.
fn said(report: &SiteReport) -> (Reason, String) {
    let condition = report.value.conditions.iter().find(|condition| condition.kind == READY);
    let reason = condition.and_then(|c| serde_json::from_value(Value::String(c.reason.clone())).ok());
    let message = condition.map(|c| c.message.clone()).unwrap_or_default();
    // A site one release newer may know reasons that this one does not.
    (reason.unwrap_or(Reason::SiteNotReady), message)
}

fn sites(live: Option<i64>, reports: &BTreeMap<String, SiteReport>) -> Vec<SiteStatus> {
    let Some(_) = live else { return Vec::new() };
    let of_site = |(site, report): (&String, &SiteReport)| {
        let (reason, message) = if report.value.ready { (Reason::Ready, String::new()) } else { said(report) };
        let pods: Option<PodCount> =
            report.value.detail.get("pods").and_then(|pods| serde_json::from_value(pods.clone()).ok());
        SiteStatus {
            site: site.clone(),
            ready: report.value.ready,
            reason: reason.as_str().to_owned(),
            message,
            revision: report.value.spec_revision,
            pods,
        }
    };
    reports.iter().map(of_site).collect()
}

fn unit(context: &Context, object: &Unit, status: &mut tandem_crds::UnitStatus) {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let (count, used) = context.index.with_world(|world| {
        let of_unit = world.environments.values().filter(|environment| environment.spec.unit == name);
        of_unit.fold((0, Amounts::default()), |(count, sum), environment| {
            let amounts = quota_amounts(environment).unwrap_or_default();
            (count + 1, sum.checked_add(&amounts).unwrap_or(sum))
        })
    });
    status.environments = count;
    status.used = (count > 0).then(|| capacity(&used));
}

fn capacity(amounts: &Amounts) -> Capacity {
    let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    Capacity {
        cpu: Some(Quantity::from_millicores(signed(amounts.cpu_millis))),
        memory: Some(Quantity::from_bytes(signed(amounts.memory_bytes))),
        storage: Some(Quantity::from_bytes(signed(amounts.storage_bytes))),
        pods: Some(signed(amounts.pods)),
    }
}

fn failover_group(context: &Context, object: &FailoverGroup, status: &mut tandem_crds::FailoverGroupStatus) {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    status.applications = i64::try_from(context.index.members(name).len()).unwrap_or(i64::MAX);
    let group = context.index.group(name);
    status.active_site = group.as_ref().map(|group| group.value.active.clone());
    status.epoch = group.as_ref().map_or(0, |group| group.value.epoch);
    status.phase = group.map(|group| match group.value.phase {
        tandem_arbiter::records::Phase::Held => GroupPhase::Held,
        tandem_arbiter::records::Phase::Released { .. } => GroupPhase::Released,
        tandem_arbiter::records::Phase::Unconfirmed => GroupPhase::Unconfirmed,
    });
    status.execution = context.index.group(name).and_then(|group| group.value.execution);
    if let Some(note) = context.group_notes.get(name) {
        status.readiness = Some(note.readiness);
        status.why_not_automatic = note.why_not_automatic;
        status.hold = note.hold;
        status.lag_seconds = note.lag_seconds;
    }
}

fn application(context: &Context, object: &Application, status: &mut tandem_crds::ApplicationStatus) {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let group = group_of(object, namespace, name);
    status.active_site = context.index.group(&group).map(|group| group.value.active);
    status.failover_group = Some(group);
}

fn data_centre(context: &Context, object: &DataCentre, status: &mut tandem_crds::DataCentreStatus) {
    let site = object.metadata.name.as_deref().unwrap_or_default();
    if site == context.config.site {
        let generation = object.metadata.generation.unwrap_or(0);
        let mut standing = std::mem::take(&mut status.conditions);
        // Only a site that is not paused writes this.
        standing.retain(|condition| condition.type_ != PAUSED_CONDITION);
        status.conditions = with_alarms(standing, &context.site.alarms(), generation, now());
    }
    let key = ObjectKey::cluster(Kind::DataCentre, site);
    let reports = context.index.reports(&key);
    let detail = reports.get(site).and_then(|report| report.value.detail.get("site")).cloned().unwrap_or(Value::Null);
    let names = |field: &str| -> Vec<String> {
        detail.get(field).and_then(|names| serde_json::from_value(names.clone()).ok()).unwrap_or_default()
    };
    status.authority =
        context.index.group(tandem_arbiter::records::PLATFORM).is_some_and(|platform| platform.value.active == site);
    status.highest_epoch = context.index.highest_epoch(site);
    // Whoever writes this, or has reported, acted for its site and was not fenced then; at the cluster of one that is, its alarms
    // write so.
    status.heard = if site == context.config.site { Some(true) } else { context.site.heard(site) };
    status.fenced = (site == context.config.site || reports.contains_key(site)).then_some(false);
    status.members = names("members").into_iter().map(|name| Member { name }).collect();
    status.leader = detail.get("leader").and_then(Value::as_str).map(str::to_owned);
    status.allocatable = detail.get("allocatable").and_then(|capacity| serde_json::from_value(capacity.clone()).ok());
    let reserved = context.index.with_world(|world| {
        world
            .environments
            .values()
            .filter_map(quota_amounts)
            .fold(Amounts::default(), |sum, amounts| sum.checked_add(&amounts).unwrap_or(sum))
    });
    status.reserved = Some(capacity(&reserved));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Report;
    use tandem_core::sync::Versioned;

    fn report(revision: i64, report: &Report) -> SiteReport {
        let condition = tandem_arbiter::records::Condition {
            kind: READY.to_owned(),
            status: String::new(),
            reason: report.reason.as_str().to_owned(),
            message: report.message.clone(),
        };
        Versioned::new(
            1,
            tandem_arbiter::records::StatusRecord {
                id: "i".to_owned(),
                spec_revision: revision,
                ready: report.ready,
                conditions: vec![condition],
                detail: json!({"pods": {"ready": 1, "wanted": 2}}),
            },
        )
    }

    fn ready(live: Option<i64>, refused: &[Problem], reports: &[(&str, SiteReport)]) -> (bool, Reason, String) {
        let sites = ["a".to_owned(), "b".to_owned()];
        let reports = reports.iter().map(|(site, report)| ((*site).to_owned(), report.clone())).collect();
        let found = conditions(&sites, live, refused, &reports).into_iter().find(|c| c.kind == READY).unwrap();
        (found.holds, found.reason, found.message)
    }

    #[test]
    fn ready_means_both_sites_at_this_revision() {
        let good = |revision| report(revision, &Report::ready());
        assert_eq!(ready(None, &[], &[]).1, Reason::Progressing);
        assert_eq!(ready(Some(5), &[], &[("a", good(5))]).1, Reason::SiteNotReported);
        assert_eq!(ready(Some(5), &[], &[("a", good(5)), ("b", good(4))]).1, Reason::SiteNotReported);
        assert!(ready(Some(5), &[], &[("a", good(5)), ("b", good(5))]).0);
    }

    #[test]
    fn a_site_that_is_not_ready_says_why() {
        let bad = report(5, &Report::not_ready(Reason::SecretMissing, "no secret tls"));
        let (holds, reason, message) = ready(Some(5), &[], &[("a", report(5, &Report::ready())), ("b", bad)]);
        assert!(!holds);
        assert_eq!(reason, Reason::SecretMissing);
        assert_eq!(message, "b: no secret tls");
    }

    #[test]
    fn a_refused_edit_says_that_the_old_version_stays() {
        let problem = Problem { reason: Reason::Invalid, path: "spec.tier".to_owned(), message: "is 9".to_owned() };
        let (holds, reason, message) = ready(Some(5), &[problem], &[]);
        assert!(!holds);
        assert_eq!(reason, Reason::Invalid);
        assert!(message.contains("stays in force"), "{message}");
    }
}
