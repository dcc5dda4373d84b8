//! The lab node: a kubelet in miniature.
//!
//! It runs inside its site's network namespace with a `system:node` client certificate. Pods whose image names one of
//! Tandem's own programs run as real processes; all others are reported ready and marked as simulated.

mod addresses;
mod backoff;
pub mod contain;
mod env;
mod isolate;
mod launch;
mod pods;
mod probes;
mod process;
mod programs;
mod proxy;
mod publish;
mod register;
mod services;
mod simulated;
mod state;
mod status;
mod volumes;
mod way;
mod worker;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use addresses::Range;
use pods::{Context, Pods};
use programs::Programs;
pub use proxy::NetworkError;
use register::Identity;
pub(crate) use volumes::offered as offered_volumes;
pub use way::Way;

/// How long one attempt to register may take, and the wait between two.
const REGISTER: Duration = Duration::from_secs(20);
const REGISTER_AGAIN: Duration = Duration::from_secs(1);
/// How often the sizes of logs are looked at.
const LOGS_EVERY: Duration = Duration::from_secs(10);

/// Access rights that the lab must install at each site for its nodes, beyond what the Node authorizer gives them.
pub const RBAC: &str = include_str!("rbac.yaml");

/// How to run a lab node.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// Kubeconfig with the node's client certificate (user `system:node:NAME`, group `system:nodes`).
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Name of the node, as in its certificate.
    #[arg(long)]
    pub name: String,
    /// Site that the node is in; becomes its zone.
    #[arg(long)]
    pub site: String,
    /// IPv4 range of pod addresses (CIDR), a `local` route in this network namespace.
    #[arg(long)]
    pub pod_range: String,
    /// IPv4 range of the Services' cluster addresses (CIDR).
    #[arg(long)]
    pub service_range: String,
    /// Directory for the node's state, the pods' working directories and their logs.
    #[arg(long)]
    pub dir: PathBuf,
    /// Directory with Tandem's own programs.
    #[arg(long)]
    pub programs: PathBuf,
    /// Directory, of this node alone, for copies of programs that pods could not execute where they are.
    #[arg(long)]
    pub copies: PathBuf,
    /// Directory with the images that were loaded.
    #[arg(long)]
    pub images: PathBuf,
    /// A port of the node's that leads to a Service, from outside too. May be given several times.
    #[arg(long = "way", value_name = "ADDRESS:PORT=NAMESPACE/SERVICE:PORT")]
    pub ways: Vec<Way>,
}

/// Why a lab node could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A range is not an IPv4 CIDR of a useful size.
    #[error("`{0}` is not an IPv4 range with a prefix of 8 to 24, such as 10.90.64.0/18")]
    Range(String),
    /// A directory cannot be used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// The client cannot be made from the kubeconfig.
    #[error("cannot make a client from the kubeconfig")]
    Client(#[source] Box<kube::Error>),
    /// The API server refuses the node.
    #[error("the API server does not accept the node; its certificate must name `system:node:NAME` in `system:nodes`")]
    Refused(#[source] Box<kube::Error>),
    /// The way to cluster addresses cannot be made.
    #[error("cannot set up cluster addresses; the node must run as root in its site's network namespace")]
    Network(#[from] NetworkError),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
}

/// Runs a lab node until SIGTERM or SIGINT, upon which the processes of its pods are ended too.
///
/// # Errors
/// When an argument is wrong, the network namespace is not the lab's, or the API server refuses the node. That the API
/// server is away is no error: the node waits.
pub async fn run(args: NodeArgs) -> Result<(), NodeError> {
    let pods = Range::parse(&args.pod_range)?;
    let cluster = Range::parse(&args.service_range)?;
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| NodeError::Directory { path, source }
    };
    std::fs::create_dir_all(args.dir.join("pods")).map_err(unusable(&args.dir))?;
    let dir = args.dir.canonicalize().map_err(unusable(&args.dir))?;
    let programs =
        Programs::new(&args.programs, args.copies.clone(), args.images.clone()).map_err(unusable(&args.programs))?;
    allow_low_ports();
    proxy::add_route(cluster, pods.first()).await?;

    let mut terminated = signal(SignalKind::terminate()).map_err(NodeError::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(NodeError::Signals)?;
    let end = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        tracing::info!("told to end");
    };
    tokio::pin!(end);

    let client = client(&args.kubeconfig).await?;
    let registered = tokio::select! {
        registered = register(&client, &args, pods) => registered?,
        () = &mut end => return Ok(()),
    };
    let (identity, node) = registered;

    let (real_sender, real) = watch::channel(BTreeSet::new());
    let (services_sender, services) = watch::channel(None);
    let (drilled_sender, drilled) = watch::channel(isolate::Drilled::new());
    let (isolated_sender, isolated) = watch::channel(isolate::Drilled::new());
    let host_ip = identity.address;
    let context = Arc::new(Context {
        client: client.clone(),
        node: args.name,
        dir: dir.clone(),
        programs,
        host_ip,
        services,
        isolated,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(register::heartbeat(client.clone(), identity, node));
    tasks.spawn(proxy::run_proxy(client, (pods, cluster), args.ways, real, services_sender));
    tasks.spawn(isolate::run_isolation(drilled, isolated_sender));
    tasks.spawn(bound_logs(dir));
    Pods::new(context.clone(), pods, real_sender, drilled_sender).run(end).await;
    tasks.shutdown().await;
    context.programs.clean_up();
    Ok(())
}

async fn client(path: &Path) -> Result<Client, NodeError> {
    // Somebody else may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let unusable = |source| NodeError::Kubeconfig { path: path.to_owned(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)?;
    Client::try_from(config).map_err(|e| NodeError::Client(Box::new(e)))
}

/// Registers the node as soon as there is an API server that answers.
async fn register(client: &Client, args: &NodeArgs, pods: Range) -> Result<(Identity, Node), NodeError> {
    loop {
        let attempt = async {
            let version = client.apiserver_version().await?.git_version;
            let (name, site) = (args.name.clone(), args.site.clone());
            let identity = Identity { name, site, address: pods.first(), version };
            let node = register::register(client, &identity).await?;
            Ok((identity, node))
        };
        match tokio::time::timeout(REGISTER, attempt).await {
            Ok(Ok(registered)) => return Ok(registered),
            // Other refusals may pass: an API server's authorizers are not complete in its first seconds.
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
                return Err(NodeError::Refused(Box::new(kube::Error::Api(status))));
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot register yet"),
            Err(_) => tracing::warn!("no answer to the registration"),
        }
        tokio::time::sleep(REGISTER_AGAIN).await;
    }
}

/// Lets pods, which are nobody special, listen on ports below 1024, as container runtimes do. It holds for this network
/// namespace only.
fn allow_low_ports() {
    if let Err(error) = std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0") {
        tracing::warn!(%error, "pods cannot listen on ports below 1024");
    }
}

async fn bound_logs(dir: PathBuf) {
    loop {
        tokio::time::sleep(LOGS_EVERY).await;
        let dir = dir.clone();
        // Files may be large; and a failure has been logged.
        let _ = tokio::task::spawn_blocking(move || process::bound_logs(&dir, process::LOG_LIMIT)).await;
    }
}
