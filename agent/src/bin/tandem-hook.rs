//! `tandem-hook`: a small data service behind the contract of docs/hooks.md.

use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tandem_agent::hook::{Config, Service, follow, service};
use tandem_agent::tls::{Files, HttpsClient, server};
use tandem_arbiter::clock::{BootClock, boot_id};
use tandem_core::failover::Role;
use tandem_logs::Options;
use tokio::task::JoinSet;

/// Keeps an append-only list of numbers at one site, and follows the other site's as a standby.
///
/// It is an example and what the lab runs; nobody keeps anything in it that matters.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The failover group.
    #[arg(long)]
    group: String,
    /// Where numbers, highest token and log are kept.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// What the data is where there is none yet.
    #[arg(long, value_enum)]
    first: First,
    /// Where operators and clients are served.
    #[arg(long)]
    listen: SocketAddr,
    /// The authority of the certificates that they have to show, PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: PathBuf,
    /// The certificate to serve with, PEM.
    #[arg(long, value_name = "FILE")]
    cert_file: PathBuf,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Where the other site's service is served.
    #[arg(long)]
    peer_listen: SocketAddr,
    /// The other site's service, https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    peer: String,
    /// The authority of both services' certificates for that, PEM.
    #[arg(long, value_name = "FILE")]
    peer_ca_file: PathBuf,
    /// The certificate for that, PEM.
    #[arg(long, value_name = "FILE")]
    peer_cert_file: PathBuf,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE")]
    peer_key_file: PathBuf,
    /// The agent's gate file.
    #[arg(long, value_name = "FILE")]
    gate_file: PathBuf,
    /// The agent's socket.
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    #[command(flatten)]
    logs: Options,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum First {
    /// It takes writes as soon as the site is active.
    Active,
    /// It follows the other site.
    Standby,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let always = [("program", "tandem-hook"), ("group", arguments.group.as_str())];
    if let Err(error) = arguments.logs.begin(&always) {
        return wrongly(&error);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.as_ref(), "the service cannot go on");
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
    let Arguments { ca_file, cert_file, key_file, peer_ca_file, peer_cert_file, peer_key_file, .. } = arguments;
    let own = server(&Files { ca: ca_file, cert: cert_file, key: key_file })?;
    let shown = (peer_cert_file.as_path(), peer_key_file.as_path());
    let client = HttpsClient::new(&peer_ca_file, Some(shown), Duration::from_secs(2))?;
    let peers = server(&Files { ca: peer_ca_file.clone(), cert: peer_cert_file.clone(), key: peer_key_file.clone() })?;
    let config = Config {
        group: arguments.group,
        folder: arguments.folder,
        first: match arguments.first {
            First::Active => Role::Active,
            First::Standby => Role::Standby,
        },
        gate_file: arguments.gate_file,
        agent: arguments.agent,
        boot_id: boot_id()?,
    };
    let served = Service::open(config, BootClock)?;
    let mut tasks: JoinSet<std::io::Result<()>> = JoinSet::new();
    let routes = service::router(served.clone()).into_make_service();
    tasks.spawn(axum_server::bind_rustls(arguments.listen, own).serve(routes));
    let routes = service::replication(served.clone()).into_make_service();
    tasks.spawn(axum_server::bind_rustls(arguments.peer_listen, peers).serve(routes));
    tasks.spawn(async move {
        follow::follow(served, client, arguments.peer.trim_end_matches('/').to_owned()).await;
        Ok(())
    });
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
