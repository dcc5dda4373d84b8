//! Approval by rule: what shrinks, and what grows by little while the use is high. Whatever a rule cannot tell goes to a person.

use super::carry::{MANAGER, key, published, send, wall};
use crate::cluster::Mirror;
use crate::context::Context;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;
use tandem_arbiter::arbiter::PromiseError;
use tandem_core::check::amounts_of;
use tandem_core::ledger::{Amounts, Change};
use tandem_core::requests::{
    Rule, RuleFacts, Standing, Use, by_rule, content_digest, decided_by_rule, demands_security, last_growth, standing,
};
use tandem_core::sync::ObjectKey;
use tandem_crds::{Capacity, EnvironmentRequest, Kind};

/// How often it is looked for something to approve.
const LOOK: Duration = Duration::from_secs(2);

/// Approves by rule, for ever; only at the site with authority, and while this replica leads it.
pub async fn run_rules(context: Context) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = context.link.standing();
        if !now.leads || now.authority != Some(true) || !context.link.open_for_writes() {
            continue;
        }
        let requests = published(&context);
        for request in &requests {
            let Some(rule) = judged(&context, request, &requests) else { continue };
            if let Err(error) = approve(&context, request, rule).await {
                tracing::warn!(request = request.name_any(), error, "a request is not approved by rule yet");
            }
        }
    }
}

/// Which rule approves a request that waits, if one does.
fn judged(context: &Context, request: &EnvironmentRequest, all: &[EnvironmentRequest]) -> Option<Rule> {
    let name = &request.spec.environment;
    context.index.with_world(|world| {
        let demanded = demands_security(&request.spec, world);
        if !matches!(standing(&request.spec, demanded), Standing::Pending { .. }) {
            return None;
        }
        let facts = RuleFacts {
            demands_security: demanded,
            environment: world.environments.get(name),
            used: used(context, name),
            last_growth: last_growth(name, all),
            now: wall(),
        };
        by_rule(&request.spec, facts, &context.config.approval.settings()).ok()
    })
}

/// What an environment uses, at the site where it uses most. Not known where a site is silent or has not said.
fn used(context: &Context, environment: &str) -> Option<Use> {
    let sites = &context.config.sites;
    let others: Vec<String> = sites.iter().filter(|site| **site != context.config.site).cloned().collect();
    if !context.link.silent_sites(&others).is_empty() {
        return None;
    }
    let reports = context.index.reports(&ObjectKey::cluster(Kind::Environment, environment));
    let mut most = Amounts::default();
    for site in sites {
        let said = reports.get(site)?.value.detail.pointer("/site/used")?;
        most = most.most(&amounts(&serde_json::from_value(said.clone()).ok()?)?);
    }
    Some(Use { amounts: most, at: wall() })
}

/// What a site said; `None` where that is not whole.
fn amounts(used: &Capacity) -> Option<Amounts> {
    let positive = |amount: i64| u64::try_from(amount).ok();
    Some(Amounts {
        cpu_millis: u64::try_from(used.cpu.as_ref()?.millis().ok()?).ok()?,
        memory_bytes: positive(used.memory.as_ref()?.units().ok()?)?,
        storage_bytes: positive(used.storage.as_ref()?.units().ok()?)?,
        pods: positive(used.pods?)?,
        environments: 0,
    })
}

async fn approve(context: &Context, request: &EnvironmentRequest, rule: Rule) -> Result<(), String> {
    let name = request.name_any();
    let own = context.cluster.own.get(&crate::cluster::ObjectName {
        kind: Kind::EnvironmentRequest.name().to_owned(),
        namespace: None,
        name: name.clone(),
    });
    // What is approved is what is published; where this site's object says something else already, that comes first.
    let Some(own) = own else { return Ok(()) };
    let Ok(held) = serde_json::from_value::<tandem_crds::EnvironmentRequestSpec>(own.data["spec"].clone()) else {
        return Ok(());
    };
    if content_digest(&held) != content_digest(&request.spec) || held.decisions != request.spec.decisions {
        return Ok(());
    }
    let promise = request.spec.quota.as_ref().and_then(amounts_of).map(|amounts| Change::Reserve {
        request: name.clone(),
        environment: request.spec.environment.clone(),
        amounts,
    });
    let mandate = context.link.mandate().map_err(|error| error.to_string())?;
    if let Some(promise) = &promise {
        match context.link.arbiter().promise(mandate.authority, &request.spec.unit, promise).await {
            Ok(()) => {}
            // What the budget has no room for is for people, and looked at again: no fault, and nothing to be told each time.
            Err(PromiseError::Refused(refusal)) => {
                tracing::debug!(request = name, %refusal, "no rule approves what the budget has no room for");
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let decided = decided_by_rule(&held, rule, wall());
    let body = json!({
        "metadata": {"resourceVersion": own.metadata.resource_version},
        "spec": {"decisions": decided.decisions},
    });
    let api = context.cluster.api(&crate::cluster::Cluster::own_resource(Kind::EnvironmentRequest), None);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    send(context, "patch", api.patch(&name, &parameters, &Patch::Merge(&body))).await?;
    tracing::info!(request = name, ?rule, "a request is approved by rule");
    context.queues.fold.add(key(&name));
    Ok(())
}

/// The use that this site's quota shows for an environment; `None` until the cluster has counted.
#[must_use]
pub fn seen_use(context: &Context, environment: &str) -> Option<Capacity> {
    capacity_used(&context.cluster.rendered, environment)
}

/// The same as amounts; `None` where the quota does not show all of it.
#[must_use]
pub fn used_by(rendered: &Mirror, environment: &str) -> Option<Amounts> {
    amounts(&capacity_used(rendered, environment)?)
}

fn capacity_used(rendered: &Mirror, environment: &str) -> Option<Capacity> {
    let quota = rendered.get(&crate::cluster::ObjectName {
        kind: "ResourceQuota".to_owned(),
        namespace: Some(environment.to_owned()),
        name: tandem_core::names::LIMITS.to_owned(),
    })?;
    counted(quota.data.pointer("/status/used")?)
}

/// What a quota counted. Of requests and limits, the one of which more is taken.
fn counted(used: &serde_json::Value) -> Option<Capacity> {
    let quantity =
        |name: &str| -> Option<tandem_crds::Quantity> { serde_json::from_value(used.get(name)?.clone()).ok() };
    let most = |one: &str, other: &str| {
        let (one, other) = (quantity(one)?, quantity(other)?);
        Some(if one.millis().ok()? >= other.millis().ok()? { one } else { other })
    };
    Some(Capacity {
        cpu: Some(most("limits.cpu", "requests.cpu")?),
        memory: Some(most("limits.memory", "requests.memory")?),
        storage: Some(quantity("requests.storage")?),
        pods: Some(used.get("pods")?.as_str()?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_quota_counted_is_read_whole_or_not_at_all() {
        let whole = json!({
            "limits.cpu": "1500m", "requests.cpu": "200m", "limits.memory": "1Gi", "requests.memory": "2Gi",
            "requests.storage": "0", "pods": "3", "services.nodeports": "0",
        });
        let found = amounts(&counted(&whole).unwrap()).unwrap();
        let wanted = Amounts { cpu_millis: 1_500, memory_bytes: 2 << 30, storage_bytes: 0, pods: 3, environments: 0 };
        assert_eq!(found, wanted);
        for missing in ["limits.cpu", "requests.storage", "pods"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(missing);
            assert_eq!(counted(&part), None, "{missing}");
        }
    }
}
