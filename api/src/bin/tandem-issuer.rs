//! `tandem-issuer`: a small issuer of tokens, for the lab only.

use axum::Router;
use axum_server::Handle;
use clap::Parser;
use ring::rand::SystemRandom;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tandem_api::config::LimitsConfig;
use tandem_api::issuer::{IssuerState, People, Secrets, SigningKey, router};
use tandem_api::run::serve;
use tandem_api::tls::server_config;
use tandem_logs::Options;

/// A small issuer of tokens, for the lab only: anything real has an identity provider of its own.
///
/// It signs with a key that is made when it starts. People get tokens at /token for a client certificate, or for a secret
/// that is made when it starts and printed once on standard output. Exit codes: 0 when told to stop, 1 when it could not go
/// on, 2 when it was called wrongly.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Its address, as in tokens: https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// For whom its tokens are.
    #[arg(long, value_name = "NAME", default_value = "tandem-api")]
    audience: String,
    /// Where it is served, over TLS.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The certificate for that (PEM).
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The authority of client certificates (PEM); without it, only secrets are taken.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// The people: a YAML list of name, unit, roles, groups and secret (true or false).
    #[arg(long, value_name = "FILE")]
    people: PathBuf,
    #[command(flatten)]
    logs: Options,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = arguments.logs.begin(&[("program", "tandem-issuer")]) {
        return fail(&error);
    }
    match prepare(&arguments).and_then(|app| run(&arguments, app)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

type Failure = Box<dyn std::error::Error>;

fn prepare(arguments: &Arguments) -> Result<Router, Failure> {
    let random = SystemRandom::new();
    let people = People::read(&arguments.people)?;
    let (secrets, printed) = Secrets::make(&people, &random)?;
    let mut out = std::io::stdout().lock();
    for (name, secret) in printed {
        // The one time that a secret is seen. Who starts the issuer hands it on.
        writeln!(out, "{name}\t{secret}")?;
    }
    out.flush()?;
    Ok(router(IssuerState {
        issuer: arguments.issuer.as_str().into(),
        audience: arguments.audience.as_str().into(),
        people: Arc::new(people),
        secrets: Arc::new(secrets),
        key: Arc::new(SigningKey::make(&random)?),
        clock: Arc::new(jiff::Timestamp::now),
    }))
}

fn run(arguments: &Arguments, app: Router) -> Result<(), Failure> {
    let tls = server_config(&arguments.cert, &arguments.key, arguments.client_ca.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = arguments.listen;
    runtime.block_on(async move {
        tokio::select! {
            served = serve(address, tls, LimitsConfig::default(), app, Handle::new()) => Ok(served?),
            _ = tokio::signal::ctrl_c() => Ok(()),
            stopped = terminated() => stopped,
        }
    })
}

async fn terminated() -> Result<(), Failure> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?.recv().await;
    Ok(())
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
