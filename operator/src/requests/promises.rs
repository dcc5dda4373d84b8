//! Giving back what requests were promised of their unit's budget: once they were carried out, and where nothing came of them.

use crate::context::Context;
use crate::index::typed;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_core::ledger::Change;
use tandem_core::requests::{Standing, demands_security, standing};
use tandem_core::sync::{ObjectKey, Record};
use tandem_crds::{EnvironmentRequest, Kind};
use tandem_logs::Chain;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// For how long a promise is left alone whose request is not approved: whoever makes it writes the approval next.
const WRITES: Duration = Duration::from_secs(60);

/// What is to become of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The request is approved and not carried out.
    Kept,
    /// The environment has taken it.
    Due,
    /// The request is not approved, as far as is published.
    Doubtful,
}

/// Gives back what is not needed, for ever; only at the site with authority, and while this replica leads it.
pub async fn run_promises(context: Context) {
    let mut doubted: BTreeMap<String, Duration> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let standing = context.link.standing();
        if !standing.leads || standing.authority != Some(true) || !context.link.open_for_writes() {
            doubted.clear();
            continue;
        }
        let ledgers = match context.link.arbiter().ledgers().await {
            Ok(ledgers) => ledgers,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the ledgers cannot be read");
                continue;
            }
        };
        let now = context.link.uptime();
        let promises: Vec<(String, String)> = ledgers
            .iter()
            .flat_map(|record| record.ledger.reserved.keys().map(|request| (record.unit.clone(), request.clone())))
            .collect();
        doubted.retain(|request, _| promises.iter().any(|(_, promised)| promised == request));
        for (unit, request) in promises {
            let since = match fate(&context, &request) {
                Fate::Kept => {
                    doubted.remove(&request);
                    continue;
                }
                Fate::Due => None,
                Fate::Doubtful => Some(*doubted.entry(request.clone()).or_insert(now)),
            };
            if since.is_some_and(|since| now.saturating_sub(since) < WRITES) {
                continue;
            }
            let Ok(mandate) = context.link.mandate() else { break };
            let change = Change::Unreserve { request: request.clone() };
            match context.link.arbiter().promise(mandate.authority, &unit, &change).await {
                Ok(()) => tracing::info!(unit, request, "what a request was promised is given back"),
                Err(error) => tracing::warn!(unit, request, error = %Chain(&error), "a promise is not given back yet"),
            }
        }
    }
}

fn fate(context: &Context, name: &str) -> Fate {
    let record = context.index.record(&ObjectKey::cluster(Kind::EnvironmentRequest, name));
    let Some(Record::Live(live)) = record.map(|record| record.value) else { return Fate::Doubtful };
    let Some(request) = typed::<EnvironmentRequest>(&live) else { return Fate::Kept };
    let demanded = context.index.with_world(|world| demands_security(&request.spec, world));
    judged(&request, demanded)
}

fn judged(request: &EnvironmentRequest, demands_security: bool) -> Fate {
    match standing(&request.spec, demands_security) {
        _ if request.spec.carried_out.is_some() => Fate::Due,
        Standing::Approved => Fate::Kept,
        _ => Fate::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tandem_core::requests::content_digest;

    fn request(extra: &Value) -> EnvironmentRequest {
        let mut spec = json!({
            "type": "Resize", "unit": "health", "environment": "health-prod", "reason": "more", "requestedBy": {"name": "li"},
            "submittedAt": "2026-01-01T00:00:00Z", "quota": {"cpu": "1", "memory": "1Gi", "storage": "1Gi", "pods": 1},
        });
        for (field, value) in extra.as_object().unwrap() {
            spec[field] = value.clone();
        }
        EnvironmentRequest::new("health-1", serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_promise_is_kept_from_the_approval_to_the_carrying_out() {
        let asked = request(&json!({}));
        let digest = content_digest(&asked.spec);
        let decisions = |outcome: &str| json!([{"role": "Platform", "outcome": outcome, "by": "wang", "at": "2026-01-01T00:00:00Z", "digest": digest}]);
        let approved = json!({"decisions": decisions("Approve")});
        assert_eq!(judged(&asked, false), Fate::Doubtful);
        assert_eq!(judged(&request(&approved), false), Fate::Kept);
        assert_eq!(judged(&request(&approved), true), Fate::Doubtful, "a second decision is wanted now");
        assert_eq!(judged(&request(&json!({"decisions": decisions("Reject")})), false), Fate::Doubtful);
        let mut done = approved;
        done["carriedOut"] = json!("2026-01-02T00:00:00Z");
        assert_eq!(judged(&request(&done), true), Fate::Due);
    }
}
