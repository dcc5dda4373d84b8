//! `tandem status`: how a city stands, what is wrong and what to do, from one site's cluster alone.

mod advice;
mod problems;
mod report;
mod shown;
#[cfg(test)]
mod tests;

pub use advice::{Advice, Subject, advice};
pub use problems::{Problem, Severity, find};
pub use report::{Count, Groups, Report, Seen, SiteRow, report};
pub use shown::screen;

use crate::args::StatusArgs;
use crate::canvas::Canvas;
use crate::cluster::{self, ClusterError};
use crate::exit::Exit;
use crate::failover::api::{self, ApiError};
use crate::language::Lang;
use crate::output::{self, Output};
use jiff::Timestamp;
use kube::Client;
use std::time::Duration;
use tandem_core::plan::View;
use tandem_logs::Chain;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(20);
/// How often `--watch` looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Why the status cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The cluster did not answer.
    #[error("this site's API does not answer; ask the other site: tandem status --context SITE")]
    NoAnswer(#[source] Silence),
}

/// What was seen of a cluster that does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    /// It cannot be reached.
    #[error("it cannot be reached")]
    Unreached(#[source] Box<kube::Error>),
    /// It takes too long.
    #[error("it took longer than {} s", LOOK.as_secs())]
    TooSlow,
}

/// Shows how the city stands. `Ok(Exit::Refused)`: something is wrong.
///
/// # Errors
/// When the cluster cannot be reached or read.
pub async fn run(args: &StatusArgs, lang: Lang) -> Result<Exit, StatusError> {
    let client = cluster::connect(&args.cluster).await?;
    let first = report(&look_in_time(&client).await?);
    let exit = exit(&first);
    if !args.watch {
        args.output.write(&first, || text(&first, args.limit, lang));
        return Ok(exit);
    }
    tokio::select! {
        never = watch(&client, args, first, lang) => match never {},
        // Whether it could be listened for or not, there is nothing more to be done here.
        _ = tokio::signal::ctrl_c() => Ok(exit),
    }
}

fn exit(report: &Report) -> Exit {
    if report.well { Exit::Ok } else { Exit::Refused }
}

fn text(report: &Report, limit: usize, lang: Lang) -> String {
    screen(report, limit, now(), lang).into_iter().map(|line| line + "\n").collect()
}

/// Shows it again and again: anew on a terminal, elsewhere when something changed.
async fn watch(client: &Client, args: &StatusArgs, first: Report, lang: Lang) -> std::convert::Infallible {
    let people = matches!(args.output, Output::Table | Output::Wide);
    let mut canvas = if people { Canvas::of_stdout() } else { None };
    let mut seen = first;
    let mut shown: Option<Report> = None;
    let mut told = false;
    loop {
        match &mut canvas {
            Some(canvas) => canvas.draw(&screen(&seen, args.limit, now(), lang)),
            None if shown.as_ref() != Some(&seen) => {
                if shown.is_some() && args.output != Output::Json {
                    output::result(if people { "\n" } else { "---\n" });
                }
                args.output.write(&seen, || text(&seen, args.limit, lang));
                shown = Some(seen.clone());
            }
            None => {}
        }
        tokio::time::sleep(PAUSE).await;
        match look_in_time(client).await {
            Ok(found) => {
                told = false;
                seen = report(&found);
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    output::note(&format!("{}: {}", lang.say("trying again", "正在重试"), Chain(&error)));
                    canvas.iter_mut().for_each(Canvas::leave);
                }
            }
        }
    }
}

/// One look, which ends in time.
///
/// # Errors
/// When the cluster refuses, or does not answer.
pub async fn look_in_time(client: &Client) -> Result<Seen, StatusError> {
    if let Ok(seen) = tokio::time::timeout(LOOK, look(client)).await {
        return Ok(seen?);
    }
    // Asked once more, and once only: why it does not answer.
    let asked = tokio::time::timeout(PAUSE, client.apiserver_version()).await;
    Err(StatusError::NoAnswer(match asked {
        Ok(Err(error)) => Silence::Unreached(Box::new(error)),
        _ => Silence::TooSlow,
    }))
}

/// Looks at everything that the status is made of.
async fn look(client: &Client) -> Result<Seen, ApiError> {
    let (sites, groups, units, environments, applications, failovers) = futures::try_join!(
        api::list(client),
        api::list(client),
        api::list(client),
        api::list(client),
        api::list_everywhere(client),
        api::list(client),
    )?;
    Ok(Seen { view: View::new(sites, groups), units, environments, applications, failovers })
}

#[allow(clippy::disallowed_methods)] // an edge: the time is for people to read
fn now() -> Timestamp {
    Timestamp::now()
}
