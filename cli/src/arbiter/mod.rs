//! Looking after the arbiter: `tandem arbiter …`.
//!
//! Unlike everything else here this speaks to etcd itself, as a person with a certificate of their own. The rules are those of
//! [`tandem_arbiter`]; what a site knows of the arbiter is changed at that site alone.

pub mod access;
pub mod args;
pub mod backup;
mod confirm;
mod replace;
mod restore;
mod shown;
pub mod status;

use crate::cluster::ClusterError;
use crate::exit::Exit;
use crate::failover::api::ApiError;
use crate::failover::ask::AskError;
use crate::language::Lang;
use access::Access;
use args::ArbiterCommand;
use std::path::PathBuf;
use tandem_arbiter::arbiter::{ReadError, RestoreError};
use tandem_arbiter::health::CertificateProblem;
use tandem_arbiter::store::StoreError;

/// Why a command about the arbiter did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArbiterError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file that says how to reach the arbiter is not what it should be.
    #[error("{path} does not say how to reach the arbiter; it has endpoints, caFile, certFile and keyFile")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_yaml::Error,
    },
    /// Something is not given.
    #[error("say how to reach the arbiter: {0} (or its TANDEM_ARBITER_… in the environment, or --config)")]
    NotGiven(&'static str),
    /// The certificate cannot be read.
    #[error("your certificate cannot be used (--cert)")]
    Certificate(#[from] CertificateProblem),
    /// The arbiter did not answer, or refused.
    #[error("the arbiter did not do it")]
    Store(#[from] StoreError),
    /// A read was not answered.
    #[error("the arbiter cannot be read")]
    Read(#[from] ReadError),
    /// A step of a restore was not carried out.
    #[error("this step was not carried out; it can be run again")]
    Restore(#[from] RestoreError),
    /// There is no backup, or none that could be restored.
    #[error(transparent)]
    Backup(#[from] backup::BackupError),
    /// There is no way to a cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Nobody agreed.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It would do harm, or makes no sense now; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl ArbiterError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Backup(error) => error.exit(),
            Self::File { .. }
            | Self::Config { .. }
            | Self::NotGiven(_)
            | Self::Certificate(_)
            | Self::Usage(_)
            | Self::Store(StoreError::Configuration(_)) => Exit::Usage,
            Self::Ask(_)
            | Self::Refused(_)
            | Self::Restore(RestoreError::NotConfirmed(_) | RestoreError::NotRestored) => Exit::Refused,
            Self::Store(_) | Self::Read(_) | Self::Restore(_) | Self::Cluster(_) | Self::Api(_) => Exit::Cluster,
        }
    }
}

/// `tandem arbiter …`.
///
/// # Errors
/// When the arbiter cannot be reached, refuses, or the command would do harm.
pub async fn run(command: ArbiterCommand, lang: Lang) -> Result<Exit, ArbiterError> {
    match command {
        ArbiterCommand::Status(args) => status::run(&Access::new(&args.access).await?, &args, lang).await,
        ArbiterCommand::Backup(args) => backup::run(&args, lang).await,
        ArbiterCommand::Prepare(args) => backup::prepare(&args, lang),
        ArbiterCommand::Restore(args) => restore::run(&Access::new(&args.access).await?, &args, lang).await,
        ArbiterCommand::Confirm(args) => confirm::run(&Access::new(&args.access).await?, &args, lang).await,
        ArbiterCommand::Replace(args) => replace::run(&Access::new(&args.access).await?, &args, lang).await,
    }
}

#[allow(clippy::disallowed_methods)] // an edge: the time is for people to read, and what certificates are compared with
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
