//! `tandem status`: what is ready in a site, and what is not.

use crate::args::StatusArgs;
use crate::cluster::{self, ClusterError};
use crate::exit::Exit;
use crate::import::apply::ApplyError;
use crate::import::retry::{RequestError, retrying};
use crate::output;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::{Api, ListParams};
use tandem_crds::status::{HasConditions, READY};
use tandem_crds::{Application, DataCentre, Environment, Kind, TandemKind, Unit};

/// Why the status cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Read(#[from] ApplyError),
}

/// The conditions of a data centre that are alarms.
const ALARMS: [&str; 3] = ["ArbiterHealthy", "Protected", "Audited"];

/// An object that is not ready.
struct NotReady {
    kind: Kind,
    name: String,
    reason: String,
    message: String,
}

/// Objects of one kind.
struct Count {
    kind: Kind,
    all: usize,
    not_ready: Vec<NotReady>,
}

/// Shows the status of the site that the command line names.
///
/// # Errors
/// When the cluster cannot be reached or read.
pub async fn run(args: &StatusArgs) -> Result<Exit, StatusError> {
    let client = cluster::connect(&args.cluster).await?;
    let (sites, units, environments, applications) = futures::try_join!(
        list::<DataCentre>(&client),
        list::<Unit>(&client),
        list::<Environment>(&client),
        list::<Application>(&client),
    )?;
    let counts = [count(&sites), count(&units), count(&environments), count(&applications)];
    output::result(&show_sites(&sites));
    let alarms = alarms(&sites);
    output::result(&show_alarms(&alarms));
    output::result(&show_counts(&counts));
    let not_ready: Vec<&NotReady> = counts.iter().flat_map(|count| &count.not_ready).collect();
    output::result(&show_not_ready(&not_ready, args.limit));
    Ok(if not_ready.is_empty() && alarms.is_empty() { Exit::Ok } else { Exit::Refused })
}

async fn list<K: TandemKind>(client: &Client) -> Result<Vec<K>, ApplyError> {
    let api: Api<K> = Api::all(client.clone());
    let kind = K::KIND.plural();
    match retrying(|| async { api.list(&ListParams::default()).await }).await {
        Ok(found) => Ok(found.items),
        Err(RequestError::Kube(kube::Error::Api(status))) if status.code == 404 => Err(ApplyError::NotInstalled(kind)),
        Err(source) => Err(ApplyError::List { kind, source }),
    }
}

fn count<K: TandemKind>(objects: &[K]) -> Count {
    let not_ready = objects.iter().filter_map(|object| {
        let meta = object.meta();
        let name = meta.name.clone().unwrap_or_default();
        let name = meta.namespace.as_ref().map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
        let (reason, message) = why_not_ready(object)?;
        Some(NotReady { kind: K::KIND, name, reason, message })
    });
    Count { kind: K::KIND, all: objects.len(), not_ready: not_ready.collect() }
}

/// Why an object is not ready; nothing when it is, for the specification that stands.
fn why_not_ready<K: TandemKind>(object: &K) -> Option<(String, String)> {
    let condition = object.status().and_then(|status| status.conditions().iter().find(|c| c.type_ == READY));
    let Some(condition) = condition else {
        return Some(("Progressing".to_owned(), "no status yet: is the operator running?".to_owned()));
    };
    let observed = object.status().and_then(HasConditions::observed_generation);
    if condition.status != "True" {
        return Some((condition.reason.clone(), condition.message.clone()));
    }
    (observed < object.meta().generation)
        .then(|| ("Progressing".to_owned(), "changed, and not looked at since".to_owned()))
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

fn show_sites(sites: &[DataCentre]) -> String {
    let mut table = table(&["DATA CENTRE", "NAME", "AUTHORITY", "LEADER", "MEMBERS", "READY", "REASON"]);
    for site in sites {
        let status = site.status.clone().unwrap_or_default();
        let (ready, reason) = match why_not_ready(site) {
            None => ("yes", String::new()),
            Some((reason, _)) => ("no", reason),
        };
        let members: Vec<&str> = status.members.iter().map(|member| member.name.as_str()).collect();
        table.add_row([
            site.metadata.name.clone().unwrap_or_default(),
            site.spec.display_name.zh.clone(),
            if status.authority { "yes" } else { "no" }.to_owned(),
            status.leader.unwrap_or_default(),
            members.join(","),
            ready.to_owned(),
            reason,
        ]);
    }
    format!("{}\n\n", trimmed(&table))
}

/// What the operators' alarms say: each condition of a site that is not about its readiness, and is not in order.
fn alarms(sites: &[DataCentre]) -> Vec<(String, &Condition)> {
    let of_site = |site: &'_ DataCentre| site.metadata.name.clone().unwrap_or_default();
    let conditions = sites.iter().flat_map(|site| {
        let all = site.status.iter().flat_map(|status| &status.conditions);
        all.map(move |condition| (of_site(site), condition))
    });
    conditions
        .filter(|(_, condition)| ALARMS.contains(&condition.type_.as_str()) && condition.status == "False")
        .collect()
}

fn show_alarms(alarms: &[(String, &Condition)]) -> String {
    let lines =
        alarms.iter().map(|(site, condition)| format!("ALARM {site}: {}: {}\n", condition.reason, condition.message));
    let text: String = lines.collect();
    if text.is_empty() { text } else { text + "\n" }
}

fn show_counts(counts: &[Count]) -> String {
    let mut table = table(&["KIND", "READY", "OF"]);
    for count in counts {
        table.add_row([
            count.kind.name().to_owned(),
            (count.all - count.not_ready.len()).to_string(),
            count.all.to_string(),
        ]);
    }
    format!("{}\n", trimmed(&table))
}

fn show_not_ready(objects: &[&NotReady], limit: usize) -> String {
    if objects.is_empty() {
        return "\nEverything is ready.\n".to_owned();
    }
    let limit = if limit == 0 { objects.len() } else { limit };
    let mut table = table(&["NOT READY", "NAME", "REASON", "MESSAGE"]);
    for object in objects.iter().take(limit) {
        table.add_row([object.kind.name(), &object.name, &object.reason, &object.message]);
    }
    let more = objects.len().saturating_sub(limit);
    let more = if more > 0 { format!("… and {more} more (--limit 0 shows all)\n") } else { String::new() };
    format!("\n{}\n{more}", trimmed(&table))
}

fn trimmed(table: &Table) -> String {
    table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
