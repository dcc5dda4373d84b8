//! `tandem-api`: one API replica of one site.

use clap::Parser;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tandem_api::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// One replica of the agencies' API of one site.
///
/// It talks to its own site's API server and to the issuer of tokens. Exit codes: 0 when told to stop, 1 when it could not go
/// on, 2 when it was called wrongly.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The address to listen at, in place of the one in the file, whose port stays: replicas that share a file differ in it.
    #[arg(long, value_name = "IP")]
    listen_address: Option<IpAddr>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    if let Some(address) = arguments.listen_address {
        config.listen.set_ip(address);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Json => subscriber.json().init(),
        LogFormat::Text => subscriber.init(),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(tandem_api::run::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr)] // before there is a log
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}
