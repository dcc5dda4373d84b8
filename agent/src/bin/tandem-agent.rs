//! `tandem-agent`: the dead-man switch beside a database.

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tandem_agent::agent::{Keeper, follow, listen};
use tandem_agent::patroni::file::PatroniFile;
use tandem_agent::patroni::{self, promotable};
use tandem_agent::tls::HttpsClient;
use tandem_arbiter::clock::{BootClock, boot_id};
use tandem_logs::Options;
use tokio::task::JoinSet;

/// Keeps a database's gate file: fresh while this site is active for the group, and expired as soon as nobody says so.
///
/// Exit codes: 1 when it could not go on, 2 when it was called wrongly.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(flatten)]
    gates: Gates,
    /// The gate file. It belongs on a file system in memory, so that a loss of power leaves none.
    #[arg(long, value_name = "FILE")]
    gate_file: PathBuf,
    /// The socket over which a fence is asked for; whoever may open its folder may ask.
    #[arg(long, value_name = "FILE")]
    socket: PathBuf,
    /// How often each gate is asked, in milliseconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    every_ms: u64,
    /// How long a gate may take to answer, in milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout_ms: u64,
    /// The file of a member of PostgreSQL under Patroni: then the agent also carries out what operators ask of its data
    /// (docs/postgresql.md).
    #[arg(long, value_name = "FILE")]
    patroni: Option<PathBuf>,
    #[command(flatten)]
    logs: Options,
}

/// Says by its exit code whether this member may be promoted: 0 if a gate of this site's says so, else 1.
///
/// It is what Patroni's postgresql.pre_promote runs.
#[derive(Debug, Parser)]
#[command(name = PRE_PROMOTE)]
struct PrePromote {
    #[command(flatten)]
    gates: Gates,
}

const PRE_PROMOTE: &str = "pre-promote";

// No documentation of its own: it would stand in the command's place.
#[derive(Debug, Args)]
struct Gates {
    /// The failover group.
    #[arg(long)]
    group: String,
    /// A gate of this site's, https://HOST:PORT; once for each operator replica.
    #[arg(long = "gate", value_name = "URL", required = true)]
    gates: Vec<String>,
    /// The authority that signs the gates' certificates, PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: PathBuf,
}

fn main() -> ExitCode {
    // What is needed without a command is not needed with one, which derived types alone cannot say.
    let matches = Arguments::command().subcommand(PrePromote::command()).get_matches();
    if let Some((PRE_PROMOTE, matches)) = matches.subcommand() {
        return PrePromote::from_arg_matches(matches)
            .map_or_else(|error| error.exit(), |asked| pre_promote(&asked.gates));
    }
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let always = [("program", "tandem-agent"), ("group", arguments.gates.group.as_str())];
    if let Err(error) = arguments.logs.begin(&always) {
        return wrongly(&error);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.as_ref(), "the agent cannot go on; writes refuse once the file has run out");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr)] // before there is a log
fn wrongly(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

/// Patroni logs what it says, and its exit code.
#[allow(clippy::print_stderr)]
fn pre_promote(gates: &Gates) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map_err(Into::into).and_then(|runtime| {
        let client = HttpsClient::new(&gates.ca_file, None, promotable::PATIENCE)?;
        Ok::<_, Box<dyn std::error::Error>>(runtime.block_on(promotable::promotable(
            &client,
            &gates.gates,
            &gates.group,
        )))
    });
    match asked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("no gate of this site's says that {} may be promoted here", gates.group);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: the gates cannot be asked: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Gates { group, gates, ca_file } = arguments.gates;
    let client = HttpsClient::new(&ca_file, None, Duration::from_millis(arguments.timeout_ms))?;
    let keeper = Keeper::open(&group, &boot_id()?, &arguments.gate_file)?;
    let mut tasks: JoinSet<Result<(), Box<dyn std::error::Error + Send + Sync>>> = JoinSet::new();
    if let Some(path) = &arguments.patroni {
        let (file, keeper, gate_file) = (PatroniFile::read(path)?, keeper.clone(), arguments.gate_file.clone());
        let group = group.clone();
        tasks.spawn(async move { Ok(patroni::run(group, file, keeper, &gate_file).await?) });
    }
    for gate in gates {
        let url = format!("{}/active/{group}", gate.trim_end_matches('/'));
        let (keeper, client) = (keeper.clone(), client.clone());
        tasks.spawn(async move {
            follow(keeper, BootClock, client, url, Duration::from_millis(arguments.every_ms)).await;
            Ok(())
        });
    }
    tasks.spawn(async move { Ok(listen(keeper, &arguments.socket).await?) });
    while let Some(ended) = tasks.join_next().await {
        ended?.map_err(|error| error as Box<dyn std::error::Error>)?;
    }
    Ok(())
}
