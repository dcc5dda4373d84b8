//! `tandem pause` and `tandem resume`: a site that observes and writes nothing.
//!
//! The command line writes an annotation on the site's own data centre, through that site's API: it needs neither the arbiter
//! nor the other site. That site's operators follow it.

use crate::args::ClusterArgs;
use crate::cluster::{self, ClusterError};
use crate::exit::Exit;
use crate::failover::api::{self, ApiError};
use crate::failover::args::HoldScope;
use crate::failover::hold::{self, HoldError};
use crate::failover::{list, who};
use crate::language::Lang;
use crate::output;
use clap::Args;
use kube::{Client, ResourceExt};
use serde_json::json;
use tandem_crds::{DataCentre, Failover, FailoverPhase, PAUSED, PAUSED_BY};

const EXAMPLES: &str = "\
Examples:
  tandem pause --reason 'network works' --context dc-b    dc-b observes and writes nothing / 暂停 dc-b 的写入
  tandem status --context dc-b                            says so, who and since when / 查看
  tandem resume --context dc-b                            it goes on / 恢复

While a site is paused its operators keep up their heartbeats and answer the gate, so that it is not taken for lost. They
publish, follow, apply, prune, put back and move nothing. What piles up is seen to after resume. A move that is asked for
meanwhile waits, or is Blocked with SourceNotReady or TargetNotReady. A hold (tandem hold) forbids promotions alone.

Exit codes: 0 done; 1 refused: moves are under way; 2 wrong usage; 3 the cluster refused or did not answer.";

/// Arguments of `tandem pause`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PauseArgs {
    /// Why, for those who find it
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Who says so; whoever the API server takes you for where left out
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Also while groups are being moved: what has closed its gate stays closed until resume
    #[arg(long)]
    pub despite_moves: bool,
    /// Which site the cluster is; known where the context or cluster bears the site's name
    #[arg(long, value_name = "SITE")]
    pub here: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem resume`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ResumeArgs {
    /// Which site the cluster is; known where the context or cluster bears the site's name
    #[arg(long, value_name = "SITE")]
    pub here: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Why a site was not paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Which site it is, is not known.
    #[error(transparent)]
    Site(#[from] HoldError),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A pause in the middle of a move would leave groups unserved.
    #[error(
        "{0} moves groups from or to this site: wait until it ends (tandem failover watch {0}), abort it, or give \
         --despite-moves"
    )]
    Moving(String),
}

impl PauseError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Moving(_) => Exit::Refused,
            Self::Site(HoldError::WhichSite(_)) => Exit::Usage,
            Self::Cluster(_) | Self::Site(_) | Self::Api(_) => Exit::Cluster,
        }
    }
}

/// `tandem pause`.
///
/// # Errors
/// When groups are being moved, the site is not known, or its API server refuses.
pub async fn pause(args: &PauseArgs, lang: Lang) -> Result<Exit, PauseError> {
    let client = cluster::connect(&args.cluster).await?;
    let site = site(&client, args.here.as_deref(), &args.cluster).await?;
    let by = match &args.by {
        Some(by) => by.clone(),
        None => who::am_i(&client, &args.cluster).await?,
    };
    set(&client, &site, (&args.reason, &by), args.despite_moves).await?;
    output::result(&lang.say(
        format!("{site} is paused by {by}; `tandem status` shows when that is in force, `tandem resume` ends it\n"),
        format!("{by} 已要求暂停 {site}；生效情况见 tandem status，恢复用 tandem resume\n"),
    ));
    Ok(Exit::Ok)
}

/// `tandem resume`.
///
/// # Errors
/// When the site is not known, or its API server refuses.
pub async fn resume(args: &ResumeArgs, lang: Lang) -> Result<Exit, PauseError> {
    let client = cluster::connect(&args.cluster).await?;
    let site = site(&client, args.here.as_deref(), &args.cluster).await?;
    let was = clear(&client, &site).await?;
    output::result(&match (was, lang) {
        (true, Lang::En) => format!("{site} goes on\n"),
        (true, Lang::Zh) => format!("{site} 已恢复\n"),
        (false, Lang::En) => format!("{site} was not paused\n"),
        (false, Lang::Zh) => format!("{site} 未处于暂停状态\n"),
    });
    Ok(Exit::Ok)
}

/// The site that the cluster is.
async fn site(client: &Client, here: Option<&str>, cluster: &ClusterArgs) -> Result<String, PauseError> {
    let everything = HoldScope { all: true, ..HoldScope::default() };
    match hold::target(client, &everything, here, cluster).await? {
        hold::Target::All(site) | hold::Target::Site(site) | hold::Target::Group(site) => Ok(site),
    }
}

/// Pauses a site, for a reason and by somebody.
///
/// # Errors
/// When groups are being moved from or to it, or its API server refuses.
pub async fn set(
    client: &Client,
    site: &str,
    (reason, by): (&str, &str),
    despite_moves: bool,
) -> Result<(), PauseError> {
    if !despite_moves {
        let moves = list::rows(&api::list::<Failover>(client).await?);
        let touches = |of: &Option<String>| of.as_deref().is_none_or(|of| of == site);
        let at_work = |phase: FailoverPhase| matches!(phase, FailoverPhase::Running | FailoverPhase::NeedsHuman);
        if let Some(row) = moves.iter().find(|row| at_work(row.phase) && (touches(&row.from) || touches(&row.to))) {
            return Err(PauseError::Moving(row.name.clone()));
        }
    }
    let patch = json!({"metadata": {"annotations": {PAUSED: reason, PAUSED_BY: by}}});
    api::merge::<DataCentre>(client, site, &patch).await?;
    Ok(())
}

/// Has a site go on. Says whether it was paused.
///
/// # Errors
/// When its API server refuses.
pub async fn clear(client: &Client, site: &str) -> Result<bool, PauseError> {
    let was = api::get::<DataCentre>(client, site).await?.annotations().contains_key(PAUSED);
    if was {
        let patch = json!({"metadata": {"annotations": {PAUSED: null, PAUSED_BY: null}}});
        api::merge::<DataCentre>(client, site, &patch).await?;
    }
    Ok(was)
}
