//! Who is active, and how that moves: everything an operator asks for, through the API of the site that is given.
//!
//! Nothing here moves a group. A command makes, changes or reads objects; the operators of both sites carry them out.

pub mod api;
pub mod args;
pub mod ask;
pub mod change;
mod drill_text;
pub mod groups;
pub mod hold;
pub mod list;
pub mod look;
pub(crate) mod plan_text;
pub mod report;
pub(crate) mod table;
pub mod watch;
pub(crate) mod watch_text;
pub mod who;

use crate::cluster::{self, ClusterError};
use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use api::ApiError;
use args::{FailoverCommand, GroupsArgs, HoldCommand, PlanArgs, StartArgs, TypeArg};
use ask::AskError;
use change::ChangeError;
use hold::HoldError;
use report::ReportError;
use tandem_core::plan::{PlanError, plan};
use watch::WatchError;

pub use plan_text::shown as shown_plan;
pub use watch_text::{board, transitions};

/// Why a command about failovers did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What is asked for cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A move could not be asked for.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A move could not be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A hold could not be set or lifted.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// A move could not be followed.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A report could not be shown.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl FailoverError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Cluster(_)
            | Self::Api(_)
            | Self::Ask(AskError::Api(_))
            | Self::Change(ChangeError::Api(_))
            | Self::Hold(HoldError::Api(_))
            | Self::Watch(WatchError::Api(_)) => Exit::Cluster,
            Self::Plan(_) | Self::Ask(_) | Self::Hold(_) => Exit::Usage,
            Self::Change(_) | Self::Watch(_) => Exit::Refused,
            Self::Report(error) => error.exit(),
        }
    }
}

/// `tandem groups`.
///
/// # Errors
/// When the cluster cannot be reached or read.
pub async fn show_groups(args: &GroupsArgs, lang: Lang) -> Result<Exit, FailoverError> {
    let client = cluster::connect(&args.cluster).await?;
    let view = look::look(&client, None).await?;
    args.output.write(&groups::rows(&view), || groups::table(&view, lang));
    Ok(Exit::Ok)
}

/// `tandem failover …`.
///
/// # Errors
/// When the cluster cannot be reached, read or written, or the command asks for what cannot be.
pub async fn run(command: FailoverCommand, lang: Lang) -> Result<Exit, FailoverError> {
    match command {
        FailoverCommand::Plan(args) => show_plan(&args, lang).await,
        FailoverCommand::List(args) => {
            let client = cluster::connect(&args.cluster).await?;
            let mut rows = list::rows(&api::list(&client).await?);
            rows.retain(|row| !args.under_way || !row.phase.ended());
            args.output.write(&rows, || list::table(&rows, now(), lang));
            Ok(Exit::Ok)
        }
        FailoverCommand::Start(args) => start(&args, lang).await,
        FailoverCommand::Approve(args) => {
            let client = cluster::connect(&args.cluster).await?;
            let by = match args.by {
                Some(by) => by,
                None => who::am_i(&client, &args.cluster).await?,
            };
            output::result(&change::approve(&client, &args.name, &by, &args.note, now(), lang).await?);
            Ok(Exit::Ok)
        }
        FailoverCommand::Abort(args) => change(&args, change::Change::Abort, lang).await,
        FailoverCommand::Pause(args) => change(&args, change::Change::Pause, lang).await,
        FailoverCommand::Resume(args) => change(&args, change::Change::Resume, lang).await,
        FailoverCommand::Report(args) => {
            output::result(&report::fetched(&args, lang).await?);
            Ok(Exit::Ok)
        }
        FailoverCommand::Watch(args) => {
            let client = cluster::connect(&args.cluster).await?;
            let name = match args.name {
                Some(name) => name,
                None if args.next => watch::next(&client, watch::How::new(args.plain, args.timeout), lang).await?,
                None => watch::latest(&client).await?,
            };
            Ok(watch::follow(&client, &name, watch::How::new(args.plain, args.timeout), lang).await?)
        }
    }
}

/// `tandem switchover` and `tandem failback`.
///
/// # Errors
/// As [`run`].
pub async fn planned(args: args::PlannedArgs, kind: TypeArg, lang: Lang) -> Result<Exit, FailoverError> {
    start(&args.into_start(kind), lang).await
}

/// `tandem drill`.
///
/// # Errors
/// As [`run`].
pub async fn drill(args: args::DrillArgs, lang: Lang) -> Result<Exit, FailoverError> {
    start(&args.into_start(), lang).await
}

/// `tandem hold …`.
///
/// # Errors
/// When the cluster cannot be reached, read or written, or what is to be held is not there.
pub async fn hold(command: HoldCommand, lang: Lang) -> Result<Exit, FailoverError> {
    match command {
        HoldCommand::Set(args) => {
            let client = cluster::connect(&args.cluster).await?;
            let target = hold::target(&client, &args.scope, args.here.as_deref(), &args.cluster).await?;
            output::result(&hold::set(&client, &target, &args.reason, lang).await?);
        }
        HoldCommand::Clear(args) => {
            let client = cluster::connect(&args.cluster).await?;
            let target = hold::target(&client, &args.scope, args.here.as_deref(), &args.cluster).await?;
            output::result(&hold::clear(&client, &target, lang).await?);
        }
        HoldCommand::List(args) => {
            let client = cluster::connect(&args.cluster).await?;
            let holds = hold::list(&look::look(&client, None).await?);
            args.output.write(&holds, || hold::table(&holds, lang));
        }
    }
    Ok(Exit::Ok)
}

async fn show_plan(args: &PlanArgs, lang: Lang) -> Result<Exit, FailoverError> {
    let client = cluster::connect(&args.cluster).await?;
    let wanted = args.what.wanted(args.kind.map(Into::into));
    let view = look::look(&client, wanted.selector.unit.as_deref()).await?;
    let plan = plan(&view, &wanted)?;
    args.output.write(&plan, || plan_text::shown(&plan, lang));
    Ok(if plan.refuses() { Exit::Refused } else { Exit::Ok })
}

async fn start(args: &StartArgs, lang: Lang) -> Result<Exit, FailoverError> {
    if args.what.select.selector().is_none() {
        return Err(AskError::NoSelector.into());
    }
    let client = cluster::connect(&args.cluster).await?;
    let wanted = args.what.wanted(Some(args.kind.into()));
    let view = look::look(&client, wanted.selector.unit.as_deref()).await?;
    let plan = plan(&view, &wanted)?;
    output::note(&plan_text::shown(&plan, lang));
    // A request that moves nothing would only stand in the way of reading the others.
    if plan.groups().next().is_none() {
        return Ok(Exit::Ok);
    }
    if !ask::confirmed(args.ask.yes, lang)? {
        return Ok(Exit::Refused);
    }
    let by = match &args.ask.by {
        Some(by) => by.clone(),
        None => who::am_i(&client, &args.cluster).await?,
    };
    let object = ask::request(&plan, &wanted, &args.ask, &by, now());
    let name = ask::create(&client, &object, lang).await?;
    if args.ask.watch {
        return Ok(watch::follow(&client, &name, watch::How::new(false, None), lang).await?);
    }
    Ok(Exit::Ok)
}

async fn change(args: &args::NameArgs, change: change::Change, lang: Lang) -> Result<Exit, FailoverError> {
    let client = cluster::connect(&args.cluster).await?;
    output::result(&change::change(&client, &args.name, change, lang).await?);
    Ok(Exit::Ok)
}

#[allow(clippy::disallowed_methods)] // an edge: the time is for people to read
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
