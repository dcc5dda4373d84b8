//! `tandem-agent`: the dead-man switch beside a database.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tandem_agent::agent::{Keeper, follow, listen};
use tandem_agent::tls::HttpsClient;
use tandem_arbiter::clock::{BootClock, boot_id};
use tandem_logs::Options;
use tokio::task::JoinSet;

/// Keeps a database's gate file: fresh while this site is active for the group, and expired as soon as nobody says so.
///
/// Exit codes: 1 when it could not go on, 2 when it was called wrongly.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The failover group.
    #[arg(long)]
    group: String,
    /// A gate of this site's, https://HOST:PORT; once for each operator replica.
    #[arg(long = "gate", value_name = "URL", required = true)]
    gates: Vec<String>,
    /// The authority that signs the gates' certificates, PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: PathBuf,
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
    #[command(flatten)]
    logs: Options,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let always = [("program", "tandem-agent"), ("group", arguments.group.as_str())];
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

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let client = HttpsClient::new(&arguments.ca_file, None, Duration::from_millis(arguments.timeout_ms))?;
    let keeper = Keeper::open(&arguments.group, &boot_id()?, &arguments.gate_file)?;
    let mut tasks: JoinSet<Result<(), std::io::Error>> = JoinSet::new();
    for gate in arguments.gates {
        let url = format!("{}/active/{}", gate.trim_end_matches('/'), arguments.group);
        let (keeper, client) = (keeper.clone(), client.clone());
        tasks.spawn(async move {
            follow(keeper, BootClock, client, url, Duration::from_millis(arguments.every_ms)).await;
            Ok(())
        });
    }
    tasks.spawn(async move { listen(keeper, &arguments.socket).await });
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
