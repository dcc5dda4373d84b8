//! `tandem doctor`: looks at everything that a site stands on, and says how to mend what is wrong.
//!
//! Looking ([`gather`]) and judging ([`judge`], [`judge_arbiter`]) are apart: what was seen is plain data. What could not be seen is
//! never OK.

pub mod args;
pub mod check;
pub mod gather;
pub mod judge;
pub mod judge_arbiter;
mod kinds;
mod rights;
pub mod seen;
mod shown;
#[cfg(test)]
mod tests;

use crate::arbiter::access::Access;
use crate::arbiter::args::AccessArgs;
use crate::arbiter::{now, status};
use crate::args::ClusterArgs;
use crate::cluster;
use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use args::{DoctorArgs, SitesArgs};
use check::Check;
use futures::future::join_all;
use seen::{ArbiterView, Seen, Shown, SiteSeen};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tandem_arbiter::health;
use tandem_logs::Chain;

/// How often a member is asked for the sake of its round trip.
const TRIPS: usize = 3;
/// How long a gate may take to show its certificate.
const GATE: Duration = Duration::from_secs(5);

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The names and clients of the sites that the command line names; or why there is none.
pub(crate) async fn clients(args: &SitesArgs) -> Vec<(String, Seen<kube::Client>)> {
    let contexts: Vec<Option<String>> =
        if args.contexts.is_empty() { vec![None] } else { args.contexts.iter().cloned().map(Some).collect() };
    let connect = contexts.into_iter().map(|context| async {
        let name = context.clone().unwrap_or_else(|| "current".to_owned());
        let cluster = ClusterArgs { context, kubeconfig: args.kubeconfig.clone() };
        (name, cluster::connect(&cluster).await.map_err(|error| Chain(&error).to_string()))
    });
    join_all(connect).await
}

/// Looks at every site at once.
pub(crate) async fn sites(clients: &[(String, Seen<kube::Client>)], namespace: &str) -> Vec<SiteSeen> {
    let look = clients.iter().map(|(name, client)| async move {
        match client {
            Ok(client) => Box::pin(gather::site(client, name, namespace)).await,
            Err(why) => SiteSeen::silent(name, why),
        }
    });
    join_all(look).await
}

/// Looks at the arbiter, where it is said how.
pub(crate) async fn arbiter(access: &AccessArgs, quota: u64) -> Seen<ArbiterView> {
    let access = Access::new(access).await.map_err(|error| Chain(&error).to_string())?;
    let report = status::gather(&access, quota).await;
    let trips = access.admin.endpoints().map(|endpoint| {
        let admin = &access.admin;
        async move {
            let mut shortest: Option<Duration> = None;
            for _ in 0..TRIPS {
                let begun = Instant::now();
                admin.status(endpoint).await.ok()?;
                let took = begun.elapsed();
                shortest = Some(shortest.map_or(took, |before| before.min(took)));
            }
            Some((endpoint.to_owned(), shortest?))
        }
    });
    let trips = join_all(trips).await.into_iter().flatten().collect();
    Ok(ArbiterView { report, trips })
}

/// Every check of what was seen, and whether anybody answered.
#[must_use]
pub fn checks(
    sites: &[SiteSeen],
    arbiter: &Seen<ArbiterView>,
    gates: &[Shown],
    now: jiff::Timestamp,
) -> (Vec<Check>, bool) {
    let mut checks: Vec<Check> = sites.iter().flat_map(judge::site).collect();
    checks.push(judge::between(sites));
    checks.extend(judge_arbiter::arbiter(arbiter));
    if gates.is_empty() {
        checks.push(Check::skip(
            "gate-certificate",
            "gates",
            "none is named: give --gate and --gate-ca",
            "未指定：请给出 --gate 与 --gate-ca",
        ));
    }
    checks.extend(gates.iter().map(|gate| judge_arbiter::gate(gate, now)));
    let answered = arbiter.as_ref().is_ok_and(|view| view.report.cluster.is_some());
    (checks, answered || sites.iter().any(|site| site.server.is_ok()))
}

/// `tandem doctor`.
///
/// # Errors
/// When a file cannot be read. What does not answer is a finding.
pub async fn run(args: &DoctorArgs, lang: Lang) -> Result<Exit, DoctorError> {
    let ca = match &args.gate_ca {
        None => Vec::new(),
        Some(path) => std::fs::read(path).map_err(|source| DoctorError::File { path: path.clone(), source })?,
    };
    let gates = args.gates.iter().map(|address| async { (address.clone(), health::served(&ca, address, GATE).await) });
    let clients = clients(&args.sites).await;
    let (sites, arbiter, gates) =
        tokio::join!(sites(&clients, &args.sites.namespace), arbiter(&args.access, args.quota_bytes), join_all(gates),);
    let (checks, anybody) = checks(&sites, &arbiter, &gates, now());
    output::result(&shown::text(&checks, args.output, lang));
    Ok(check::exit(&checks, anybody))
}
