//! `tandem-ledger`: appends entries to a table of PostgreSQL and reads them back, over HTTP.

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tandem_ledger::database::{Database, Limits};
use tandem_ledger::service;
use tandem_ledger::settings::Settings;
use tandem_logs::Options;
use tokio::signal::unix::{SignalKind, signal};

/// Appends entries to a table of PostgreSQL and reads them back.
///
/// POST /v1/entries {"writer": "w1", "number": 17} is answered 201 (or 200, where the entry was there) once it is committed and the
/// site was still active after that; 503 with `Tandem-Refused` where nothing was written; 504 where nobody knows. It is an example,
/// and what failovers are measured with.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where clients are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// A folder with host, port, dbname, user, password and ca.crt of the database; environment variables of these names where it is
    /// left out.
    #[arg(long, value_name = "FOLDER")]
    database: Option<PathBuf>,
    #[command(flatten)]
    logs: Options,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = arguments.logs.begin(&[("program", "tandem-ledger")]) {
        return wrongly(&error);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.as_ref(), "the ledger cannot go on");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr)] // before there is a log
fn wrongly(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let settings = match &arguments.database {
        Some(folder) => Settings::from_folder(folder)?,
        None => Settings::from_environment(|key| std::env::var(key).ok())?,
    };
    let routes = service::router(Database::new(&settings, Limits::default())?);
    let listener = tokio::net::TcpListener::bind(arguments.listen).await?;
    tracing::info!(listen = %arguments.listen, database = ?settings, "serving");
    let mut ended = signal(SignalKind::terminate())?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            ended.recv().await;
        })
        .await?;
    Ok(())
}
