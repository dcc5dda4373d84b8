//! What one API replica is told at its start.

use crate::identity::{Algorithm, Role, TokenRules};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tandem_logs::{Format, USUAL_LEVELS};

/// The configuration file of one API replica. There is no password in it, and none by default.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// This site.
    pub site: String,
    /// How to reach this site's API server. Never another site's.
    pub kubeconfig: PathBuf,
    /// How to reach the arbiter: who has authority, the audit chain, answers kept under an `Idempotency-Key`.
    pub arbiter: ArbiterConfig,
    /// Where each site's API is reached, this one's too: what is to be written is sent to the site with authority.
    pub addresses: BTreeMap<String, String>,
    /// Where the API is served, over TLS.
    pub listen: SocketAddr,
    /// The certificate for that.
    pub tls: TlsFiles,
    /// The authority of client certificates; without it nobody signs in by one.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
    /// The issuer of tokens; without it nobody signs in by one.
    #[serde(default)]
    pub oidc: Option<OidcConfig>,
    /// What keeps the API up under load.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How long it is waited until what was written is durable, in seconds. Less than `limits.requestSeconds`.
    #[serde(default = "ten")]
    pub durable_seconds: u64,
    /// How long requests may still take after the process was told to stop, in seconds.
    #[serde(default = "twenty")]
    pub drain_seconds: u64,
    /// How log lines look: `json` or `plain`.
    #[serde(default)]
    pub log_format: Format,
    /// What is logged: a level, and levels of single parts, such as `info,tandem_api::acts=debug`. The environment's `RUST_LOG` stands
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
    /// The authority that signed the members' certificates, PEM.
    pub ca_file: PathBuf,
    /// The API's client certificate, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
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

/// Who signs client certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificates {
    /// The authority, PEM. It is to sign nothing but certificates of people and programs that may use this API.
    pub ca_file: PathBuf,
}

/// The issuer of tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcConfig {
    /// The issuer, exactly as in tokens: `https://…`.
    pub issuer: String,
    /// The audience that has to be in tokens.
    pub audience: String,
    /// The authorities that sign the issuer's TLS certificate, PEM. No others are believed.
    pub ca_file: PathBuf,
    /// The algorithms by which tokens may be signed.
    #[serde(default = "every_algorithm")]
    pub algorithms: BTreeSet<Algorithm>,
    /// How far clocks may differ, in seconds; at most 300.
    #[serde(default = "sixty")]
    pub clock_skew_seconds: u64,
    /// The longest token that is read, in bytes.
    #[serde(default = "eight_kibibytes")]
    pub max_token_bytes: usize,
    /// The claim with the name. It must be one that is never given to another person.
    #[serde(default = "sub")]
    pub name_claim: String,
    /// The claim with the unit that somebody acts for.
    #[serde(default = "unit")]
    pub unit_claim: String,
    /// The claim with the roles.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// The claim with the groups, by which units name their administrators and viewers.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// Which value of the roles claim stands for which role. Others give none.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// After how long the issuer's keys are fetched again, in seconds.
    #[serde(default = "ten_minutes")]
    pub keys_refresh_seconds: u64,
    /// For how long known keys hold while the issuer does not answer, in seconds.
    #[serde(default = "one_hour")]
    pub keys_kept_seconds: u64,
    /// The least time between two attempts to fetch keys, in seconds.
    #[serde(default = "ten")]
    pub keys_pause_seconds: u64,
}

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateConfig {
    /// Requests a second, on the long run.
    pub per_second: NonZeroU32,
    /// Requests at once, after a pause.
    pub burst: NonZeroU32,
}

/// What keeps the API up under load.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// For one address, before anybody is signed in. A proxy in front of the API is one address.
    pub address: RateConfig,
    /// For one person or program.
    pub client: RateConfig,
    /// For one unit, all its people together.
    pub unit: RateConfig,
    /// Requests that are worked on at once; those about failovers and health come on top.
    pub concurrent_requests: usize,
    /// Connections at once.
    pub connections: usize,
    /// Streams at once on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Streams of events at once.
    pub streams: usize,
    /// The longest body, in bytes.
    pub body_bytes: usize,
    /// How long a request may take, its body included, in seconds.
    pub request_seconds: u64,
    /// How long the head of a request may take, in seconds; so for a TLS handshake.
    pub header_seconds: u64,
    /// After how long a connection ends on which nothing moves, in seconds.
    pub idle_seconds: u64,
}

fn rate(per_second: u32, burst: u32) -> RateConfig {
    let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    RateConfig { per_second: number(per_second), burst: number(burst) }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            address: rate(100, 400),
            client: rate(20, 60),
            unit: rate(50, 150),
            concurrent_requests: 256,
            connections: 2_048,
            streams_per_connection: 64,
            streams: 512,
            body_bytes: 1024 * 1024,
            request_seconds: 30,
            header_seconds: 10,
            idle_seconds: 90,
        }
    }
}

fn usual_levels() -> String {
    USUAL_LEVELS.to_owned()
}

fn ten() -> u64 {
    10
}

fn twenty() -> u64 {
    20
}

fn sixty() -> u64 {
    60
}

fn ten_minutes() -> u64 {
    600
}

fn one_hour() -> u64 {
    3_600
}

fn eight_kibibytes() -> usize {
    8 * 1024
}

fn every_algorithm() -> BTreeSet<Algorithm> {
    BTreeSet::from(Algorithm::ALL)
}

fn sub() -> String {
    "sub".to_owned()
}

fn unit() -> String {
    "unit".to_owned()
}

fn roles() -> String {
    "roles".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
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
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read, has unknown or missing fields, or its values make no sense together.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            serde_yaml::from_str(text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        config.check().map_err(|(field, problem)| ConfigError::Value { path: path.to_owned(), field, problem })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let fault = |field, problem: &str| Err((field, problem.to_owned()));
        if self.site.is_empty() {
            return fault("site", "is empty; name this site as its DataCentre is named");
        }
        if !self.addresses.contains_key(&self.site) {
            return fault("addresses", "does not have this site; give the address of each site's API, https://…");
        }
        if self.addresses.values().any(|address| !address.starts_with("https://")) {
            return fault("addresses", "has one that does not begin with https://");
        }
        if self.arbiter.endpoints.is_empty() {
            return fault("arbiter.endpoints", "is empty; name the arbiter's members, https://…");
        }
        if self.oidc.is_none() && self.client_certificates.is_none() {
            return fault("oidc", "is missing and clientCertificates is too: nobody could sign in; give one of them");
        }
        let limits = &self.limits;
        for (field, value) in [
            ("limits.concurrentRequests", limits.concurrent_requests as u64),
            ("limits.connections", limits.connections as u64),
            ("limits.streamsPerConnection", limits.streams_per_connection.into()),
            ("limits.streams", limits.streams as u64),
            ("limits.requestSeconds", limits.request_seconds),
            ("limits.headerSeconds", limits.header_seconds),
            ("limits.idleSeconds", limits.idle_seconds),
        ] {
            if value == 0 {
                return fault(field, "is 0; it must be 1 or more");
            }
        }
        if self.durable_seconds >= limits.request_seconds {
            return fault("durableSeconds", "is not less than limits.requestSeconds; the answer would come too late");
        }
        self.oidc.as_ref().map_or(Ok(()), OidcConfig::check)
    }
}

impl OidcConfig {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let fault = |field, problem: String| Err((field, problem));
        if !self.issuer.starts_with("https://") {
            return fault("oidc.issuer", format!("is '{}'; it must begin with https://", self.issuer));
        }
        if self.audience.is_empty() {
            return fault("oidc.audience", "is empty; name this API as the issuer does in aud".to_owned());
        }
        if self.algorithms.is_empty() {
            return fault("oidc.algorithms", "is empty; name RS256, ES256 or EdDSA".to_owned());
        }
        if self.clock_skew_seconds > 300 {
            let problem = format!("is {}; at most 300, or tokens hold long after their end", self.clock_skew_seconds);
            return fault("oidc.clockSkewSeconds", problem);
        }
        if self.keys_kept_seconds < self.keys_refresh_seconds {
            return fault(
                "oidc.keysKeptSeconds",
                "is less than keysRefreshSeconds; make it as long at least".to_owned(),
            );
        }
        if self.keys_pause_seconds == 0 {
            return fault("oidc.keysPauseSeconds", "is 0; it must be 1 or more".to_owned());
        }
        Ok(())
    }

    /// What tokens have to be.
    #[must_use]
    pub fn rules(&self) -> TokenRules {
        TokenRules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            algorithms: self.algorithms.clone(),
            skew: Duration::from_secs(self.clock_skew_seconds),
            longest: self.max_token_bytes,
            name_claim: self.name_claim.clone(),
            unit_claim: self.unit_claim.clone(),
            roles_claim: self.roles_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            roles: self.roles.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
site: dc-a
kubeconfig: /k
arbiter: {endpoints: ['https://arbiter.example:2379'], caFile: /ca, certFile: /c, keyFile: /k}
addresses: {dc-a: 'https://api.dc-a.example'}
listen: 127.0.0.1:0
tls: {certFile: /c, keyFile: /k}
oidc: {issuer: 'https://issuer.example', audience: tandem-api, caFile: /oidc, roles: {platform: platform-operator}}
";

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/tandem/api.yaml"), text)
    }

    #[test]
    fn defaults_are_strict() {
        let config = read(GOOD).unwrap();
        let rules = config.oidc.unwrap().rules();
        assert_eq!((rules.skew, rules.longest), (Duration::from_secs(60), 8192));
        assert_eq!(rules.roles["platform"], Role::PlatformOperator);
        assert_eq!(config.limits.body_bytes, 1 << 20);
        assert!(config.client_certificates.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (from, to, field) in [
            ("site: dc-a", "site: ''", "site"),
            ("{dc-a: 'https", "{dc-b: 'https", "addresses"),
            ("{dc-a: 'https", "{dc-a: 'http", "addresses"),
            ("['https://arbiter.example:2379']", "[]", "arbiter.endpoints"),
            ("oidc: {issuer", "#", "oidc"),
            ("https://issuer", "http://issuer", "oidc.issuer"),
            ("audience: tandem-api", "audience: ''", "oidc.audience"),
            ("caFile: /oidc", "caFile: /oidc, algorithms: []", "oidc.algorithms"),
            ("caFile: /oidc", "caFile: /oidc, clockSkewSeconds: 301", "oidc.clockSkewSeconds"),
            ("caFile: /oidc", "caFile: /oidc, keysKeptSeconds: 5", "oidc.keysKeptSeconds"),
            ("caFile: /oidc", "caFile: /oidc, keysPauseSeconds: 0", "oidc.keysPauseSeconds"),
            ("site: dc-a", "site: dc-a\nlimits: {requestSeconds: 0}", "limits.requestSeconds"),
            ("site: dc-a", "site: dc-a\ndurableSeconds: 30", "durableSeconds"),
        ] {
            match read(&GOOD.replacen(from, to, 1)) {
                Err(ConfigError::Value { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (from, to) in [
            ("site: dc-a", "site: dc-a\nsurprise: 1"),
            ("caFile: /oidc", "caFile: /oidc, password: x"),
            ("caFile: /oidc", "caFile: /oidc, algorithms: [none]"),
            ("caFile: /oidc", "caFile: /oidc, algorithms: [HS256]"),
            ("platform-operator", "root"),
            ("site: dc-a", "site: dc-a\nlimits: {client: {perSecond: 0, burst: 1}}"),
        ] {
            let read = read(&GOOD.replacen(from, to, 1));
            assert!(matches!(read, Err(ConfigError::Parse { .. })), "{to}: {read:?}");
        }
    }

    #[test]
    fn what_the_chart_writes_is_taken() {
        let config = read(include_str!("../../charts/tandem/ci/config/api.yaml")).unwrap();
        let oidc = config.oidc.unwrap();
        assert_eq!((config.limits.body_bytes, oidc.algorithms), (2 << 20, BTreeSet::from([Algorithm::ES256])));
        assert_eq!(oidc.roles.len(), 3);
    }

    #[test]
    fn the_example_in_the_manual_is_taken() {
        let manual = include_str!("../../docs/api.md");
        let example = manual.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
        let config = read(example).unwrap();
        assert_eq!(config.oidc.unwrap().algorithms, BTreeSet::from([Algorithm::ES256]));
    }
}
