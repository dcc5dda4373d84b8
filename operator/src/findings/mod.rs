//! What is found in each environment, as a report object in its namespace, for the tools that read such objects: where the
//! cluster knows a kind of them. What the REST API shows besides (`/v1/security/findings`) comes from the same rules.

mod reports;
mod served;
#[cfg(test)]
mod tests;

use crate::cluster::{Cluster, ObjectName};
use crate::context::Context;
use reports::keep;
use served::served;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::arbiter::ReadError;
use tandem_core::check::World;
use tandem_core::findings::{Drift, ReportKind, findings, report};
use tandem_core::names::LABEL_ID;
use tandem_core::render::Manifest;
use tandem_crds::Environment;
use tandem_logs::Chain;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(20);

/// The report that each environment shall have; `None` for one in which nothing is found.
type Wanted = BTreeMap<String, Option<Manifest>>;

/// Keeps the reports, for ever; only while this replica leads its site.
pub async fn run_findings(context: Context) {
    loop {
        tokio::time::sleep(LOOK).await;
        let read = context.link.seen().is_some() && context.cluster.rendered.is_synced("Namespace");
        if !context.link.standing().leads || !read {
            continue;
        }
        let kinds = match served(&context.cluster.client).await {
            Ok(kinds) if kinds.is_empty() => continue,
            Ok(kinds) => kinds,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the API server does not say which reports it knows");
                continue;
            }
        };
        let drifts = match drifts(&context).await {
            Ok(drifts) => drifts,
            Err(error) => {
                // What was put back is not known, and a report without it would say that nothing was.
                tracing::debug!(error = %Chain(&error), "the arbiter does not say what was put back");
                continue;
            }
        };
        for kind in kinds {
            let wanted = context.index.with_world(|world| wanted(kind, world, &drifts, &context.cluster));
            if let Err(error) = keep(&context.cluster, kind, wanted).await {
                tracing::warn!(error = %Chain(&error), kind = kind.name(), "the reports of what is found are not kept");
            }
        }
    }
}

/// What was put back at this site.
async fn drifts(context: &Context) -> Result<Vec<(String, Drift)>, ReadError> {
    let mut drifts = context.link.arbiter().drifts().await?;
    drifts.retain(|(site, _)| *site == context.config.site);
    Ok(drifts)
}

/// The reports of the environments that are provisioned here and whose rules are known. What of others is there is left as it is.
fn wanted(kind: ReportKind, world: &World<'_>, drifts: &[(String, Drift)], cluster: &Cluster) -> Wanted {
    let found = findings(world, drifts);
    let environments = world.environments.iter();
    environments
        .filter(|(name, environment)| {
            world.profile_of(environment).is_some() && provisioned(cluster, name, environment)
        })
        .map(|(name, environment)| (name.clone(), report(kind, environment, &found)))
        .collect()
}

/// Whether the namespace is there and is the environment's: nothing is written into somebody else's.
fn provisioned(cluster: &Cluster, name: &str, environment: &Environment) -> bool {
    let namespace = ObjectName { kind: "Namespace".to_owned(), namespace: None, name: name.to_owned() };
    let Some(there) = cluster.rendered.get(&namespace) else { return false };
    let bears = there.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL_ID));
    bears.is_some() && bears == environment.spec.id.as_ref() && there.metadata.deletion_timestamp.is_none()
}
