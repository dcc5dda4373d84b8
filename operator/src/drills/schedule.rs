//! Drills on a schedule: asked for by the site that is not active, and old reports removed.
//!
//! The wall clock decides here when something is asked for; that it is asked for once follows from its name.

use super::{BY, objects};
use crate::cluster::REQUEST_TIMEOUT;
use crate::context::Context;
use crate::failover::{FAILOVER, failovers, wall};
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::records::Phase;
use tandem_core::drill::{due, parse, superfluous};
use tandem_core::names::{LABEL_SCHEDULED, scheduled_drill};
use tandem_crds::{DEFAULT_DRILLS_KEPT, DrillSettings};
use tandem_logs::Chain;

/// How often schedules are looked at.
const LOOK: Duration = Duration::from_secs(5);
const MANAGER: &str = "tandem/failover";

/// Asks for what schedules say, for ever; only while this replica leads its site.
pub async fn run_schedules(context: Context) {
    loop {
        tokio::time::sleep(LOOK).await;
        if context.link.leadership().is_some()
            && context.cluster.own.is_synced(FAILOVER)
            && context.link.board().is_complete()
            && context.link.seen().is_some()
            && !context.link.unconfirmed()
        {
            look(&context).await;
        }
    }
}

async fn look(context: &Context) {
    let settings: BTreeMap<String, DrillSettings> = context.index.with_world(|world| {
        let groups = world.groups.iter();
        groups.filter_map(|(name, group)| Some((name.clone(), group.spec.drills.clone()?))).collect()
    });
    for (group, drills) in &settings {
        ask(context, group, drills).await;
    }
    remove_old(context, &settings).await;
}

async fn ask(context: &Context, group: &str, drills: &DrillSettings) {
    let schedule = match parse(drills) {
        Ok(Some(schedule)) => schedule,
        Ok(None) => return,
        Err(error) => return tracing::warn!(group, %error, "no drill begins by itself"),
    };
    let Some(at) = due(&schedule, wall()) else { return };
    let me = &context.config.site;
    let active = context.index.group(group).filter(|record| record.value.phase == Phase::Held);
    if active.is_none_or(|record| record.value.active == *me) {
        return;
    }
    let name = scheduled_drill(group, at);
    if context.link.board().with_request(&name, |_| ()).is_some() || objects(context).contains_key(&name) {
        return;
    }
    let object = json!({
        "apiVersion": failovers().api_version, "kind": FAILOVER,
        "metadata": {"name": name, "labels": {LABEL_SCHEDULED: group}},
        "spec": {
            "type": "Drill", "to": me, "selector": {"groups": [group]}, "requestedBy": BY,
            "reason": format!("the group's schedule / 按计划演练 ({})", drills.schedule.as_deref().unwrap_or_default()),
        },
    });
    let Ok(object) = serde_json::from_value::<DynamicObject>(object) else { return };
    if context.cluster.may_write().is_err() {
        return;
    }
    context.cluster.metrics.writes.with_label_values(&["create"]).inc();
    let api = context.cluster.api(&failovers(), None);
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match tokio::time::timeout(REQUEST_TIMEOUT, api.create(&parameters, &object)).await {
        Ok(Ok(_)) => tracing::info!(group, drill = name, "asked for by the group's schedule"),
        // Made by the replica that led before, and not seen here yet.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
        Ok(Err(error)) => tracing::warn!(group, error = %Chain(&error), "a drill could not be asked for yet"),
        Err(_) => tracing::warn!(group, "a drill could not be asked for in time"),
    }
}

/// Removes reports of drills on a schedule that are too many; those that people asked for are theirs.
async fn remove_old(context: &Context, settings: &BTreeMap<String, DrillSettings>) {
    let mut reports: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for failover in objects(context).into_values() {
        let ended = failover.status.as_ref().is_some_and(|status| status.phase.ended());
        let group = failover.labels().get(LABEL_SCHEDULED).cloned();
        if let (true, Some(group), Some(made)) = (ended, group, failover.creation_timestamp()) {
            reports.entry(group).or_default().push((made.0, failover.name_any()));
        }
    }
    for (group, reports) in reports {
        let keep = settings.get(&group).and_then(|drills| drills.keep).unwrap_or(DEFAULT_DRILLS_KEPT);
        for name in superfluous(reports, usize::try_from(keep).unwrap_or(1)) {
            if context.cluster.may_write().is_err() {
                return;
            }
            context.cluster.metrics.writes.with_label_values(&["delete"]).inc();
            let api = context.cluster.api(&failovers(), None);
            match tokio::time::timeout(REQUEST_TIMEOUT, api.delete(&name, &DeleteParams::default())).await {
                Ok(Ok(_)) => tracing::info!(group, drill = name, "an old report of a drill is removed"),
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
                Ok(Err(error)) => {
                    tracing::warn!(drill = name, error = %Chain(&error), "an old report is not removed yet")
                }
                Err(_) => tracing::warn!(drill = name, "an old report is not removed in time"),
            }
        }
    }
}
