//! What an operator replica is told at its start.

use crate::failover::FailoverConfig;
use jiff::SignedDuration;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tandem_core::policy::LEAST_DAYS;
use tandem_core::requests::{RuleSettings, WARN_DAYS};
use tandem_logs::{Format, USUAL_LEVELS};

/// The configuration file of one operator replica.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// This site.
    pub site: String,
    /// This replica, its own name in the site; may be given beside the file.
    #[serde(default)]
    pub replica: String,
    /// Every site, this one among them.
    pub sites: Vec<String>,
    /// The site that creates the record of who has authority where the arbiter has none.
    pub preferred_authority: String,
    /// How to reach this site's API server. Never another site's.
    pub kubeconfig: PathBuf,
    /// How to reach the arbiter.
    pub arbiter: ArbiterConfig,
    /// How often a heartbeat is sent, in seconds: a fifth of the time `T` after which a silent site may be taken over.
    #[serde(default = "two_seconds")]
    pub heartbeat_seconds: u64,
    /// Where this replica keeps which arbiter it knows: a file on a disk of its own.
    pub pins_file: PathBuf,
    /// How groups move.
    #[serde(default)]
    pub failover: FailoverConfig,
    /// Where the gate, health, readiness and metrics are served, over TLS.
    pub listen: SocketAddr,
    /// The certificate for that.
    pub tls: TlsFiles,
    /// The namespace of the cluster's DNS.
    #[serde(default = "kube_system")]
    pub dns_namespace: String,
    /// The namespace of the gateway through which requests from outside come.
    #[serde(default = "gateway")]
    pub gateway_namespace: String,
    /// The namespace with the Secrets that the operator shows to groups' data services. The platform's own: nobody else is to
    /// read or write there.
    #[serde(default = "tandem_system")]
    pub secrets_namespace: String,
    /// How long a deletion waits, and can be undone, in seconds.
    #[serde(default = "one_day")]
    pub deletion_grace_seconds: u64,
    /// How many days the versions of what binds an agency are kept in the arbiter; what is in force is kept for as long as it is.
    #[serde(default = "thirteen_months")]
    pub version_retention_days: u32,
    /// What is approved by rule.
    #[serde(default)]
    pub approval: ApprovalConfig,
    /// How many days before an environment expires people are warned.
    #[serde(default = "warn_days")]
    pub expiry_warning_days: Vec<u16>,
    /// How log lines look: `json` or `plain`.
    #[serde(default)]
    pub log_format: Format,
    /// What is logged: a level, and levels of single parts, such as `info,tandem_operator::sync=debug`. The environment's `RUST_LOG` stands
    /// above it.
    #[serde(default = "usual_levels")]
    pub log_levels: String,
}

/// How to reach the arbiter.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArbiterConfig {
    /// The members' client addresses, `https://…`.
    pub endpoints: Vec<String>,
    /// The authority that signed the members' certificates.
    pub ca_file: PathBuf,
    /// This site's client certificate.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// The key, PEM.
    pub key_file: PathBuf,
}

/// What requests a rule may approve.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApprovalConfig {
    /// Whether what only shrinks is approved.
    pub shrinking: bool,
    /// The most that a resource may grow, in per cent of what the environment has; 0 approves no growth.
    pub max_growth_per_cent: u64,
    /// The use from which on a resource may grow, in per cent of what the environment has.
    pub high_use_per_cent: u64,
    /// How many days after a growth by rule the next has to wait.
    pub growth_interval_days: u16,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        let usual = RuleSettings::default();
        Self {
            shrinking: usual.shrinking,
            max_growth_per_cent: usual.max_growth_per_cent,
            high_use_per_cent: usual.high_use_per_cent,
            growth_interval_days: 30,
        }
    }
}

impl ApprovalConfig {
    /// As the rules want it.
    #[must_use]
    pub fn settings(&self) -> RuleSettings {
        RuleSettings {
            shrinking: self.shrinking,
            max_growth_per_cent: self.max_growth_per_cent,
            high_use_per_cent: self.high_use_per_cent,
            growth_interval: SignedDuration::from_hours(24 * i64::from(self.growth_interval_days)),
            ..RuleSettings::default()
        }
    }
}

fn warn_days() -> Vec<u16> {
    WARN_DAYS.to_vec()
}

fn thirteen_months() -> u32 {
    400
}

fn usual_levels() -> String {
    USUAL_LEVELS.to_owned()
}

fn two_seconds() -> u64 {
    2
}

fn kube_system() -> String {
    "kube-system".to_owned()
}

fn gateway() -> String {
    "tandem-gateway".to_owned()
}

fn tandem_system() -> String {
    "tandem-system".to_owned()
}

fn one_day() -> u64 {
    86_400
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration {path} is not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_yaml::Error,
    },
    /// A value makes no sense.
    #[error("the configuration {path}: {field} {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads a configuration file. `replica` stands in place of the name in it.
    ///
    /// # Errors
    /// When it cannot be read, has unknown or missing fields, or its values make no sense together.
    pub fn read(path: &Path, replica: Option<String>) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, replica)
    }

    fn parse(path: &Path, text: &str, replica: Option<String>) -> Result<Self, ConfigError> {
        let mut config: Self =
            serde_yaml::from_str(text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        if let Some(replica) = replica {
            config.replica = replica;
        }
        config.check().map_err(|(field, problem)| ConfigError::Value { path: path.to_owned(), field, problem })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.replica.is_empty() {
            return Err(("replica", "is missing; name this replica here, or with --replica".to_owned()));
        }
        // It is a part of keys in the arbiter.
        if self.replica.contains('/') {
            return Err(("replica", format!("is '{}'; it must not have a '/'", self.replica)));
        }
        if !self.sites.contains(&self.site) {
            return Err(("site", format!("is '{}', which is not among sites; add it there", self.site)));
        }
        if !self.sites.contains(&self.preferred_authority) {
            let problem = format!("is '{}', which is not among sites", self.preferred_authority);
            return Err(("preferredAuthority", problem));
        }
        if self.heartbeat_seconds == 0 {
            return Err(("heartbeatSeconds", "is 0; it must be 1 or more".to_owned()));
        }
        if self.version_retention_days < LEAST_DAYS {
            let days = self.version_retention_days;
            let problem =
                format!("is {days}; it must be {LEAST_DAYS} or more: what bound an agency is kept for six months");
            return Err(("versionRetentionDays", problem));
        }
        if self.failover.report_retention_days < LEAST_DAYS {
            let days = self.failover.report_retention_days;
            let problem = format!("is {days}; it must be {LEAST_DAYS} or more: evidence is kept for six months");
            return Err(("failover.reportRetentionDays", problem));
        }
        match self.arbiter.endpoints.iter().find(|endpoint| !endpoint.starts_with("https://")) {
            _ if self.arbiter.endpoints.is_empty() => {
                Err(("arbiter.endpoints", "is empty; name the arbiter's members, https://…".to_owned()))
            }
            Some(plain) => Err(("arbiter.endpoints", format!("has '{plain}'; every address must begin with https://"))),
            None => Ok(()),
        }
    }

    /// The time between two heartbeats.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
site: dc-a
replica: operator-0
sites: [dc-a, dc-b]
preferredAuthority: dc-a
kubeconfig: /k
arbiter: {endpoints: ['https://192.0.2.1:2379'], caFile: /ca, certFile: /c, keyFile: /k}
listen: 127.0.0.1:0
pinsFile: /p
tls: {certFile: /c, keyFile: /k}
";

    fn read(text: &str) -> Result<Config, ConfigError> {
        read_as(text, None)
    }

    fn read_as(text: &str, replica: Option<&str>) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/tandem/operator.yaml"), text, replica.map(str::to_owned))
    }

    #[test]
    fn defaults_are_those_of_a_city() {
        let config = read(GOOD).unwrap();
        assert_eq!(config.heartbeat(), Duration::from_secs(2));
        assert_eq!(config.deletion_grace_seconds, 86_400);
        assert_eq!(config.version_retention_days, 400);
        assert_eq!(config.log_format, Format::Json);
    }

    #[test]
    fn replicas_that_share_a_file_are_named_beside_it() {
        let shared = GOOD.replace("replica: operator-0\n", "");
        assert_eq!(read_as(&shared, Some("tandem-operator-1")).unwrap().replica, "tandem-operator-1");
        assert_eq!(read_as(GOOD, Some("tandem-operator-1")).unwrap().replica, "tandem-operator-1");
        let message = read_as(&shared, None).unwrap_err().to_string();
        assert!(message.ends_with("replica is missing; name this replica here, or with --replica"), "{message}");
    }

    #[test]
    fn what_the_chart_writes_is_taken() {
        let written = include_str!("../../charts/tandem/ci/config/operator.yaml");
        let config = read_as(written, Some("tandem-operator-0")).unwrap();
        assert_eq!((config.site.as_str(), config.secrets_namespace.as_str()), ("dc-a", "tandem-system"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (from, to, field) in [
            ("replica: operator-0", "replica: dc-b/operator-0", "replica"),
            ("site: dc-a", "site: dc-c", "site"),
            ("preferredAuthority: dc-a", "preferredAuthority: dc-c", "preferredAuthority"),
            ("site: dc-a", "site: dc-a\nversionRetentionDays: 179", "versionRetentionDays"),
            ("site: dc-a", "site: dc-a\nfailover: {reportRetentionDays: 179}", "failover.reportRetentionDays"),
            ("https://", "http://", "arbiter.endpoints"),
            ("site: dc-a", "site: dc-a\nheartbeatSeconds: 0", "heartbeatSeconds"),
        ] {
            match read(&GOOD.replacen(from, to, 1)) {
                Err(ConfigError::Value { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        assert!(matches!(read(&format!("{GOOD}\nsurprise: 1")), Err(ConfigError::Parse { .. })));
    }
}
