//! One API replica, from start to stop.

use crate::config::{ArbiterConfig, Config, LimitsConfig};
use crate::coordination::ByArbiter;
use crate::health::Readiness;
use crate::identity::{FetchError, HttpsFetch, Identity, Keys};
use crate::limits::{Limits, Monotonic, Rates, Shed};
use crate::metrics::{Certificate, Metrics};
use crate::objects::{ApiServer, Cluster};
use crate::routes;
use crate::state::{AppState, Clock};
use crate::tls::{Acceptor, ConnectionLimits, TlsError, server_config};
use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::health::certificate;
use tandem_arbiter::store::{EtcdConfig, EtcdStore, StoreError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one document of the issuer's may take.
const ISSUER_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long a replica that was told to stop still takes requests, so that those who send them see that it is not ready.
const NOTICE: Duration = Duration::from_secs(3);

/// Why an API replica stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {path} cannot be used")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<kube::config::KubeconfigError>,
    },
    /// No client could be made from the kubeconfig.
    #[error("no client for the API server could be made")]
    Client(#[source] Box<kube::Error>),
    /// A file cannot be read.
    #[error("oidc.caFile {path} cannot be read")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file for the arbiter cannot be read.
    #[error("a file for the arbiter, {path}, cannot be read")]
    ArbiterFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The arbiter cannot be used as it is configured.
    #[error("the arbiter cannot be used as it is configured")]
    Arbiter(#[source] StoreError),
    /// The issuer cannot be used.
    #[error("the issuer of tokens cannot be used")]
    Issuer(#[from] FetchError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The metrics cannot be registered.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The address cannot be listened on.
    #[error("cannot serve on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for")]
    Signal(#[source] std::io::Error),
    /// A part ended that should run for ever.
    #[error("a part that reads objects ended: {0}")]
    Part(String),
}

/// Runs until told to stop, then lets go of what is under way.
///
/// # Errors
/// See [`RunError`].
pub async fn run(config: Config) -> Result<(), RunError> {
    // Another part of the process may have chosen the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Metrics::new()?;
    let readiness = Readiness::default();
    let mut tasks = JoinSet::new();
    let client = client(&config).await?;
    let objects = Arc::new(Cluster::follow(&client, &readiness, &mut tasks));
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    for (which, path) in
        [(Certificate::ArbiterClient, &config.arbiter.cert_file), (Certificate::Server, &config.tls.cert_file)]
    {
        // One that cannot be read keeps the process from starting, which says so.
        if let Ok(pem) = std::fs::read(path)
            && let Ok(found) = certificate(&pem)
        {
            metrics.certificate(which, found.expires);
        }
    }
    let identity = Identity::new(issuer(&config)?, objects.clone(), clock.clone());
    let state = AppState {
        objects,
        writer: Arc::new(ApiServer::new(client)),
        coordination: Arc::new(ByArbiter::new(store(&config.arbiter).await?, &config.site)),
        readiness: readiness.clone(),
        metrics,
        site: config.site.as_str().into(),
        addresses: Arc::new(config.addresses.clone()),
        patience: Duration::from_secs(config.durable_seconds),
        streams: Arc::new(Semaphore::new(config.limits.streams)),
        stopping: CancellationToken::new(),
        running: TaskTracker::new(),
        clock,
        random: Arc::new(|| uuid::Uuid::new_v4().as_u128()),
    };
    let (running, stopping) = (state.running.clone(), state.stopping.clone());
    let app = routes::router(state, identity, &limits(&config.limits, &Monotonic::of_process()));
    let clients = config.client_certificates.as_ref().map(|clients| clients.ca_file.as_path());
    let tls = server_config(&config.tls.cert_file, &config.tls.key_file, clients)?;
    let handle = Handle::new();
    let mut serving = tokio::spawn(serve(config.listen, tls, config.limits.clone(), app, handle.clone()));
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut serving => {
            return ended.map_err(|error| RunError::Part(error.to_string()))?;
        }
        ended = tasks.join_next() => {
            let cause = ended.and_then(Result::err).map_or_else(|| "it returned".to_owned(), |error| error.to_string());
            return Err(RunError::Part(cause));
        }
    }
    tracing::info!("stopping");
    readiness.set("running", false);
    tokio::time::sleep(NOTICE).await;
    let drain = Duration::from_secs(config.drain_seconds);
    handle.graceful_shutdown(Some(drain));
    stopping.cancel();
    let served = serving.await.map_err(|error| RunError::Part(error.to_string()))?;
    // What was begun is brought to its end, also for those who have gone.
    running.close();
    if tokio::time::timeout(drain, running.wait()).await.is_err() {
        tracing::warn!("what was being done is broken off");
    }
    tracing::info!("stopped");
    served
}

/// Serves until the handle says stop; then takes no new connections and waits for what is under way.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    tls: rustls::ServerConfig,
    limits: LimitsConfig,
    app: Router,
    handle: Handle<SocketAddr>,
) -> Result<(), RunError> {
    let acceptor = Acceptor::new(
        tls,
        ConnectionLimits {
            handshake: Duration::from_secs(limits.header_seconds),
            idle: Duration::from_secs(limits.idle_seconds),
            most: limits.connections,
        },
    );
    let mut server = axum_server::bind(address).acceptor(acceptor).handle(handle);
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(limits.header_seconds));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(limits.header_seconds));
    server
        .serve(app.into_make_service_with_connect_info::<SocketAddr>())
        .await
        .map_err(|source| RunError::Listen { address, source })
}

/// The limits as they are configured.
#[must_use]
pub fn limits(config: &LimitsConfig, clock: &Monotonic) -> Limits {
    Limits {
        addresses: Arc::new(Rates::new(config.address.per_second, config.address.burst, clock.clone())),
        clients: Arc::new(Rates::new(config.client.per_second, config.client.burst, clock.clone())),
        units: Arc::new(Rates::new(config.unit.per_second, config.unit.burst, clock.clone())),
        shed: Shed::new(config.concurrent_requests),
        timeout: Duration::from_secs(config.request_seconds),
        body: config.body_bytes,
    }
}

fn issuer(config: &Config) -> Result<Option<(crate::identity::TokenRules, Keys)>, RunError> {
    let Some(oidc) = &config.oidc else { return Ok(None) };
    let authorities =
        std::fs::read(&oidc.ca_file).map_err(|source| RunError::Authorities { path: oidc.ca_file.clone(), source })?;
    let keys = Keys::new(
        oidc.issuer.clone(),
        Arc::new(HttpsFetch::new(&authorities, ISSUER_TIMEOUT)?),
        Duration::from_secs(oidc.keys_refresh_seconds),
        Duration::from_secs(oidc.keys_kept_seconds),
        Duration::from_secs(oidc.keys_pause_seconds),
    );
    Ok(Some((oidc.rules(), keys)))
}

async fn store(config: &ArbiterConfig) -> Result<EtcdStore, RunError> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|source| RunError::ArbiterFile { path: path.clone(), source });
    let (ca, cert, key) = (read(&config.ca_file)?, read(&config.cert_file)?, read(&config.key_file)?);
    let etcd = EtcdConfig::new(config.endpoints.clone(), ca, cert, key);
    EtcdStore::new(etcd).await.map_err(RunError::Arbiter)
}

async fn client(config: &Config) -> Result<kube::Client, RunError> {
    let path = &config.kubeconfig;
    let unusable = |source| RunError::Kubeconfig { path: path.clone(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    let mut options =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(unusable)?;
    options.connect_timeout = Some(Duration::from_secs(5));
    options.write_timeout = Some(Duration::from_secs(30));
    kube::Client::try_from(options).map_err(|source| RunError::Client(Box::new(source)))
}

#[cfg(test)]
mod tests;
