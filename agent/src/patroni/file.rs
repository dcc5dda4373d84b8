//! The agent's file.

use crate::tls::Files;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tandem_core::patroni::Wanted;

/// What the agent has to know in Patroni mode.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatroniFile {
    /// Where the highest token, the standing and the log are kept.
    pub folder: PathBuf,
    /// Where operators are served.
    pub listen: SocketAddr,
    /// Who may call, and what it serves with.
    pub tls: Files,
    /// The member's Patroni.
    pub patroni: Rest,
    /// The member's database.
    pub postgresql: Postgresql,
    /// Who may connect.
    pub access: Lists,
    /// How this cluster follows the other site's.
    pub standby: Standby,
    /// How the other site's primary is asked for its position.
    pub watch: Watch,
    /// Schemas whose tables bear the dead-man switch.
    #[serde(default)]
    pub protect: Vec<String>,
    /// Whether faults may be staged over HTTP. For tests.
    #[serde(default)]
    pub stage_faults: bool,
}

/// The member's Patroni.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rest {
    /// Its REST API.
    pub url: String,
    /// The member's name.
    pub name: String,
    /// What is shown to every member's REST API of this site, and who is believed.
    pub tls: Files,
    /// `maximum_lag_on_failover` while the site takes writes, in bytes. While it follows, there is none.
    #[serde(default = "most_lag")]
    pub maximum_lag_on_failover: u64,
}

/// The member's database.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgresql {
    /// Where its socket is: the first of `unix_socket_directories`.
    pub socket_folder: PathBuf,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// A superuser, whom `peer` lets in over the socket.
    #[serde(default = "superuser")]
    pub user: String,
    /// The database that has the protected schemas.
    pub database: String,
    /// The data.
    pub data_folder: PathBuf,
    /// PostgreSQL's programs.
    pub bin_folder: PathBuf,
}

/// Lines of `pg_hba.conf`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lists {
    /// Always there.
    pub always: Vec<String>,
    /// There while the site takes writes.
    pub open: Vec<String>,
}

/// The body of `standby_cluster`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Standby {
    /// The other site's address for its primary.
    pub host: String,
    /// Its port there.
    #[serde(default = "port")]
    pub port: u16,
    /// The slot that keeps the log for this site.
    pub primary_slot_name: String,
    /// How a member is made anew.
    #[serde(default = "methods")]
    pub create_replica_methods: Vec<String>,
}

/// As `standby_cluster` has it.
#[derive(Serialize)]
struct Body<'a> {
    host: &'a str,
    port: u16,
    primary_slot_name: &'a str,
    create_replica_methods: &'a [String],
}

/// How the other site's primary is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Watch {
    /// As whom.
    pub user: String,
    /// In which database.
    #[serde(default = "superuser")]
    pub database: String,
    /// With which certificate; the authority is that of the other site's server certificate.
    pub tls: Files,
}

fn port() -> u16 {
    5432
}

fn most_lag() -> u64 {
    1 << 20
}

fn superuser() -> String {
    "postgres".to_owned()
}

fn methods() -> Vec<String> {
    vec!["basebackup".to_owned()]
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A field is not as it must be.
    #[error("{path}: {at}: {problem}; docs/postgresql.md has the file whole")]
    Field {
        /// The file.
        path: PathBuf,
        /// Which field.
        at: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl PatroniFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let field = |at: &str, problem: String| FileError::Field { path: path.to_owned(), at: at.to_owned(), problem };
        let file: Self = serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text))
            .map_err(|error| field(&error.path().to_string(), error.inner().to_string()))?;
        if !file.patroni.url.starts_with("https://") {
            return Err(field("patroni.url", "write https://HOST:PORT; Patroni is asked over TLS alone".to_owned()));
        }
        let peer = format!("local all {} peer", file.postgresql.user);
        let same = |line: &String| line.split_whitespace().eq(peer.split_whitespace());
        if !file.access.always.iter().any(same) {
            let problem = format!("add \"{peer}\", first: without it the agent and Patroni shut themselves out");
            return Err(field("access.always", problem));
        }
        if file.access.open.is_empty() {
            return Err(field(
                "access.open",
                "name the lines that let the applications in; without any, closed and open would be one".to_owned(),
            ));
        }
        if let Some(line) = file.access.always.iter().find(|line| line.split_whitespace().any(|word| word == "trust")) {
            return Err(field("access.always", format!("\"{line}\" lets anybody in, also while the site is quiesced")));
        }
        Ok(file)
    }

    /// What Patroni's dynamic configuration is to become.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let Standby { host, port, primary_slot_name, create_replica_methods } = &self.standby;
        let body = Body { host, port: *port, primary_slot_name, create_replica_methods };
        Wanted {
            always: self.access.always.clone(),
            open: self.access.open.clone(),
            standby: serde_json::to_value(body).unwrap_or_default(),
            most_lag: self.patroni.maximum_lag_on_failover,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../tests/patroni/agent.yaml");

    fn parse(text: &str) -> Result<PatroniFile, String> {
        PatroniFile::parse(Path::new("agent.yaml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_is_read_and_gives_patronis_words() {
        let file = parse(FILE).unwrap();
        assert_eq!(file.postgresql.user, "postgres");
        let standby = file.wanted().standby;
        assert_eq!(
            (&standby["primary_slot_name"], &standby["create_replica_methods"][0]),
            (&"tandem".into(), &"basebackup".into())
        );
    }

    #[test]
    fn the_manual_shows_the_same() {
        assert!(include_str!("../../../docs/postgresql.md").contains(FILE));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |from: &str, to: &str| parse(&FILE.replace(from, to)).unwrap_err();
        assert!(wrong("socketFolder:", "socket:").contains("postgresql"), "{}", wrong("socketFolder:", "socket:"));
        assert!(wrong("https://", "http://").contains("patroni.url"));
        assert!(wrong("local all postgres peer", "local all postgres trust").contains("access.always"));
    }
}
