//! The way to the arbiter.

use super::ArbiterError;
use super::args::AccessArgs;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tandem_arbiter::Arbiter;
use tandem_arbiter::health::certificate;
use tandem_arbiter::store::{EtcdAdmin, EtcdConfig, EtcdStore};

/// What `--config` holds: the operator's `arbiter` section is one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    endpoints: Vec<String>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

/// The way to the arbiter, and who goes it.
pub struct Access {
    /// How it is reached.
    pub config: EtcdConfig,
    /// etcd itself.
    pub admin: EtcdAdmin,
    /// What stands in it.
    pub arbiter: Arbiter<EtcdStore>,
    /// Who asks: the certificate's common name, which is what etcd goes by as well.
    pub who: String,
}

fn read(path: &Path) -> Result<Vec<u8>, ArbiterError> {
    std::fs::read(path).map_err(|source| ArbiterError::File { path: path.to_owned(), source })
}

impl Access {
    /// Reads what is needed. Whether the arbiter answers is seen with the first request.
    ///
    /// # Errors
    /// Where something is not given, or a file cannot be read.
    pub async fn new(args: &AccessArgs) -> Result<Self, ArbiterError> {
        let file = match &args.config {
            None => File::default(),
            Some(path) => serde_yaml::from_slice(&read(path)?)
                .map_err(|source| ArbiterError::Config { path: path.clone(), source })?,
        };
        let endpoints = if args.endpoints.is_empty() { file.endpoints } else { args.endpoints.clone() };
        if endpoints.is_empty() {
            return Err(ArbiterError::NotGiven("--endpoints"));
        }
        let given = |flag: &Option<PathBuf>, of_file: Option<PathBuf>, name| {
            flag.clone().or(of_file).ok_or(ArbiterError::NotGiven(name))
        };
        let ca = read(&given(&args.ca, file.ca_file, "--ca")?)?;
        let cert = read(&given(&args.cert, file.cert_file, "--cert")?)?;
        let key = read(&given(&args.key, file.key_file, "--key")?)?;
        let who = certificate(&cert)?.name;
        let config = EtcdConfig::new(endpoints, ca, cert, key);
        let (admin, store) = (EtcdAdmin::new(config.clone()).await?, EtcdStore::new(config.clone()).await?);
        Ok(Self { config, admin, arbiter: Arbiter::new(store, ""), who })
    }
}
