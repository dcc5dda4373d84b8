//! What agencies have: objects, budgets, requests.

use super::labels::{KIND, UNIT};
use super::samples::Samples;
use crate::cluster::Mirror;
use crate::index::Index;
use crate::requests::used_by;
use crate::status::Refusals;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::check::{budget_amounts, quota_amounts};
use tandem_core::ledger::{Amounts, Resource};
use tandem_core::metrics::{Label, Metric};
use tandem_core::sync::ObjectKey;
use tandem_crds::status::{READY, Reason};
use tandem_crds::{Kind, RequestPhase};

/// For what another release of the operator said.
const UNKNOWN: &str = "Unknown";

const IS_READY: Label = Label::closed("ready", || vec!["true", "false"]);
const REASON: Label = Label::closed("reason", || {
    let mut reasons = Reason::ALL.map(Reason::as_str).to_vec();
    reasons.push(UNKNOWN);
    reasons
});
const RESOURCE: Label = Label::closed("resource", || Resource::ALL.map(resource).to_vec());
const PHASE: Label = Label::closed("phase", || RequestPhase::ALL.map(RequestPhase::as_str).to_vec());

tandem_core::declare_metrics! {
    OBJECTS = Metric::gauge(
        "tandem_objects",
        "objects",
        "Tandem's objects by whether they are in order at this site, and why not: what the site has reported, and what cannot be \
         published. Only the leader knows the latter.",
    ).by(&[KIND, IS_READY, REASON]);
    BUDGET = Metric::gauge("tandem_unit_budget", "as `resource` says", "What a unit may use in all, as it is published.")
        .by(&[UNIT, RESOURCE]);
    ALLOCATED = Metric::gauge(
        "tandem_unit_allocated",
        "as `resource` says",
        "The sum of the quotas of a unit's environments, as they are published.",
    ).by(&[UNIT, RESOURCE]);
    USED = Metric::gauge(
        "tandem_unit_used",
        "as `resource` says",
        "What the quotas of a unit's environments count as used at this site; of requests and limits the higher. environments: those \
         that are here and counted.",
    ).by(&[UNIT, RESOURCE]);
    REQUESTS = Metric::gauge("tandem_requests", "requests", "Agencies' requests by phase, as this site shows them.").by(&[PHASE]);
}

/// What is looked up at a scrape.
pub(super) const SCRAPED: &[&Metric] = &[&OBJECTS, &BUDGET, &ALLOCATED, &USED, &REQUESTS];

fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu_cores",
        Resource::Memory => "memory_bytes",
        Resource::Storage => "storage_bytes",
        Resource::Pods => "pods",
        Resource::Environments => "environments",
    }
}

/// Objects by how they stand at a site.
pub(super) fn objects(samples: &mut Samples, index: &Index, refusals: &Refusals, site: &str) {
    let mut refused: BTreeSet<_> = refusals.keys().into_iter().collect();
    let mut counts: BTreeMap<(Kind, bool, &str), usize> = BTreeMap::new();
    // In order, so that each kind has a series also where there is none of it.
    for kind in Kind::ALL {
        counts.insert((kind, true, Reason::Ready.as_str()), 0);
    }
    let why =
        |key: &ObjectKey| -> Option<&'static str> { refusals.get(key).first().map(|problem| problem.reason.as_str()) };
    index.each_live(site, |key, report| {
        let stands = match (refused.take(key).and_then(|key| why(&key)), report) {
            (Some(reason), _) => (false, reason),
            (None, None) => (false, Reason::SiteNotReported.as_str()),
            (None, Some(report)) => {
                let said = report.value.conditions.iter().find(|condition| condition.kind == READY);
                let reason = said.and_then(|said| Reason::named(&said.reason)).map_or(UNKNOWN, Reason::as_str);
                (report.value.ready, reason)
            }
        };
        *counts.entry((key.kind, stands.0, stands.1)).or_default() += 1;
    });
    // What was never published.
    for key in &refused {
        if let Some(reason) = why(key) {
            *counts.entry((key.kind, false, reason)).or_default() += 1;
        }
    }
    for ((kind, ready, reason), count) in counts {
        samples.count(&OBJECTS, &[kind.name(), if ready { "true" } else { "false" }, reason], count);
    }
}

/// Budgets, what is allotted of them, and what is used.
pub(super) fn units(samples: &mut Samples, index: &Index, rendered: &Mirror) {
    index.with_world(|world| {
        let mut sums: BTreeMap<&str, (Amounts, Amounts)> =
            world.units.keys().map(|unit| (unit.as_str(), <(Amounts, Amounts)>::default())).collect();
        for (name, environment) in world.environments {
            let Some((allocated, used)) = sums.get_mut(environment.spec.unit.as_str()) else { continue };
            *allocated = allocated.saturating_add(&quota_amounts(environment).unwrap_or_default());
            if let Some(amounts) = used_by(rendered, name) {
                *used = used.saturating_add(&Amounts { environments: 1, ..amounts });
            }
        }
        for (name, unit) in world.units {
            let (allocated, used) = sums.get(name.as_str()).copied().unwrap_or_default();
            if let Some(budget) = budget_amounts(unit) {
                amounts(samples, &BUDGET, name, &budget);
            }
            amounts(samples, &ALLOCATED, name, &allocated);
            amounts(samples, &USED, name, &used);
        }
    });
}

fn amounts(samples: &mut Samples, metric: &'static Metric, unit: &str, amounts: &Amounts) {
    for of in Resource::ALL {
        // Bytes are exact up to 8 PiB, and near enough beyond.
        let amount = amounts.get(of) as f64;
        let amount = if of == Resource::Cpu { amount / 1000.0 } else { amount };
        samples.set(metric, &[unit, resource(of)], amount);
    }
}

/// Requests by phase.
pub(super) fn requests(samples: &mut Samples, own: &Mirror) {
    let objects = own.of_kind(Kind::EnvironmentRequest.name());
    let phase = |object: &kube::api::DynamicObject| {
        let said = object.data.pointer("/status/phase").and_then(serde_json::Value::as_str);
        let known = RequestPhase::ALL.into_iter().find(|phase| Some(phase.as_str()) == said);
        // One that nobody has looked at waits.
        known.unwrap_or_default()
    };
    let phases: Vec<RequestPhase> = objects.iter().map(|object| phase(object)).collect();
    for phase in RequestPhase::ALL {
        samples.count(&REQUESTS, &[phase.as_str()], phases.iter().filter(|known| **known == phase).count());
    }
}
