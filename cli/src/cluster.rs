//! The way to a cluster.

use crate::args::ClusterArgs;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::time::Duration;

/// Why there is no way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used (see --kubeconfig and --context)")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// No cluster is configured.
    #[error("no cluster is configured: give --kubeconfig, or set KUBECONFIG")]
    None(#[source] Box<kube::config::InferConfigError>),
    /// The client cannot be made.
    #[error("cannot make a client of the kubeconfig")]
    Client(#[source] Box<kube::Error>),
}

/// A client for the cluster that the command line names.
///
/// # Errors
/// When the kubeconfig cannot be read or used. Whether the cluster answers is seen with the first request.
pub async fn connect(args: &ClusterArgs) -> Result<Client, ClusterError> {
    let unusable = |error| ClusterError::Kubeconfig(Box::new(error));
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)?
        }
        None if args.context.is_some() => Config::from_kubeconfig(&options).await.map_err(unusable)?,
        None => Config::infer().await.map_err(|error| ClusterError::None(Box::new(error)))?,
    };
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(Duration::from_secs(60));
    Client::try_from(config).map_err(|error| ClusterError::Client(Box::new(error)))
}
