//! The member's own database: asked over its Unix socket, and by PostgreSQL's programs where it does not run.

use super::file::{PatroniFile, Postgresql};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;
use tandem_core::patroni::{Access, Database, Wanted};
use tandem_logs::Chain;
use tokio::process::Command;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{PgLsn, Type};
use tokio_postgres::{Client, NoTls};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How soon a session asks again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long `pg_ctl` waits for a stop, in seconds. Whoever asked gives up earlier.
const STOP: &str = "120";

/// A session: its process, and when it began, since process numbers come again.
pub type Session = (i32, String);

/// What was seen of the database.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How it is.
    pub database: Database,
    /// Which list its `pg_hba.conf` is.
    pub access: Access,
    /// When it last loaded its configuration, in seconds of its wall clock: only compared for being the same.
    pub loaded: f64,
    /// The other site streams from it.
    pub followed: bool,
    /// The sessions of those that may write: everybody but superusers, replication and the other site's watch.
    pub sessions: BTreeSet<Session>,
    /// Why it cannot be told how it is.
    pub trouble: Option<String>,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Local {
    settings: Postgresql,
    wanted: Wanted,
    watch: String,
    /// The slot by which the other site follows: it has one name at both.
    slot: String,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// PostgreSQL said no.
    #[error("the database refused")]
    Refused(#[from] tokio_postgres::Error),
    /// It did not answer.
    #[error("the database does not answer within {} ms", PATIENCE.as_millis())]
    TooLate,
    /// A program failed.
    #[error("{0}")]
    Program(String),
    /// A file or a program is not there.
    #[error("{what} cannot be used; is postgresql.{field} right?")]
    Io {
        /// What.
        what: String,
        /// The field of the agent's file that says where it is.
        field: &'static str,
        /// Why not.
        source: io::Error,
    },
}

const LOOK: &str = "\
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_flush_lsn() END,
       (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'),
       extract(epoch FROM pg_conf_load_time())::float8,
       current_setting('hba_file'),
       EXISTS (SELECT FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid
                WHERE s.slot_name = $1 AND r.state = 'streaming')";

const SESSIONS: &str = "\
SELECT a.pid, a.backend_start::text FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.backend_type = 'client backend' AND a.usename IS DISTINCT FROM $1 AND r.rolsuper IS NOT TRUE";

impl Local {
    /// The database of this file.
    #[must_use]
    pub fn new(file: &PatroniFile, wanted: Wanted) -> Self {
        let (watch, slot) = (file.watch.user.clone(), file.standby.primary_slot_name.clone());
        Self { settings: file.postgresql.clone(), wanted, watch, slot }
    }

    /// What the agent's file says of it.
    #[must_use]
    pub fn settings(&self) -> &Postgresql {
        &self.settings
    }

    /// A session of the superuser's in this database. It ends when it is dropped.
    ///
    /// # Errors
    /// Where the database does not take one.
    pub async fn connect(&self, database: &str) -> Result<Client, LocalError> {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&self.settings.socket_folder)
            .port(self.settings.port)
            .user(&self.settings.user)
            .dbname(database)
            .application_name("tandem-agent");
        let connecting = async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        };
        within(connecting).await
    }

    /// Looks.
    pub async fn look(&self) -> Seen {
        let trouble = match self.ask().await {
            Ok(seen) => return seen,
            Err(error) => error,
        };
        let refusing =
            matches!(&trouble, LocalError::Refused(error) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW));
        let absent = matches!(&trouble, LocalError::Refused(error) if error.code().is_none());
        let down = if refusing || absent { self.down().await } else { Err(trouble) };
        let (database, told) = match down {
            Ok(database) => (database, None),
            Err(error) => (Database::Unknown, Some(Chain(&error).to_string())),
        };
        Seen { database, access: Access::Other, loaded: 0.0, followed: false, sessions: BTreeSet::new(), trouble: told }
    }

    async fn ask(&self) -> Result<Seen, LocalError> {
        let client = self.connect("postgres").await?;
        // Both at once: a session takes questions before it has answered others.
        let look = async { client.query_typed(LOOK, &[(&self.slot, Type::NAME)]).await };
        let sessions = async { client.query_typed(SESSIONS, &[(&self.watch, Type::NAME)]).await };
        let (row, sessions) = within(async { tokio::try_join!(look, sessions) }).await?;
        let row = row.first().ok_or(LocalError::TooLate)?;
        let at: PgLsn = row.get(1);
        let streams: Option<i32> = row.get(2);
        let database = if row.get(0) {
            let streams = streams.and_then(|timeline| u32::try_from(timeline).ok());
            Database::Recovery { replayed: at.into(), streams }
        } else {
            Database::Primary { flushed: at.into() }
        };
        let list: String = row.get(4);
        let lines = tokio::fs::read_to_string(&list).await.unwrap_or_default();
        let lines: Vec<&str> =
            lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        Ok(Seen {
            database,
            access: self.wanted.access(&lines),
            loaded: row.get(3),
            followed: row.get(5),
            sessions: sessions.iter().map(|row| (row.get(0), row.get(1))).collect(),
            trouble: None,
        })
    }

    /// How it is when it takes no sessions.
    async fn down(&self) -> Result<Database, LocalError> {
        let control = self.control().await?;
        Ok(match (self.runs(), control.state.as_str()) {
            // It is going down, or was just killed and starts over.
            (true, "in production" | "shutting down") => Database::Unknown,
            (true, _) => Database::Starting,
            (false, state) => Database::Stopped { clean: state == "shut down", checkpoint: control.checkpoint },
        })
    }

    /// Whether a postmaster has this data. What a power-off left of its file says nothing.
    fn runs(&self) -> bool {
        let data = &self.settings.data_folder;
        let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return false };
        let place = std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("cwd"));
        place.is_ok_and(|place| data.canonicalize().is_ok_and(|data| data == place))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.settings.bin_folder.join(name));
        command.env("LC_ALL", "C").env("TZ", "UTC").stdin(std::process::Stdio::null());
        command
    }

    pub(super) async fn output(&self, name: &'static str, arguments: &[&str]) -> Result<String, LocalError> {
        let output = self.program(name).args(arguments).output().await;
        let output = output.map_err(|source| LocalError::Io { what: name.to_owned(), field: "binFolder", source })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).lines().next_back().unwrap_or_default().to_owned();
            return Err(LocalError::Program(format!("{name} failed: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a program writes before it fails: one that reads to the end of the log always does.
    pub(super) async fn said(&self, name: &'static str, arguments: &[&str]) -> Result<String, LocalError> {
        let output = self.program(name).args(arguments).output().await;
        let output = output.map_err(|source| LocalError::Io { what: name.to_owned(), field: "binFolder", source })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) async fn control(&self) -> Result<Control, LocalError> {
        let data = self.settings.data_folder.to_string_lossy().into_owned();
        let said = self.output("pg_controldata", &["-D", &data]).await?;
        Control::parse(&said).ok_or_else(|| LocalError::Program("pg_controldata says something else".to_owned()))
    }

    /// Waits until it is out of recovery, for this long at most.
    pub async fn promoted(&self, limit: Duration) {
        let waiting = async {
            let client = self.connect("postgres").await?;
            while within(client.query_one("SELECT pg_is_in_recovery()", &[])).await?.get(0) {
                tokio::time::sleep(AGAIN).await;
            }
            Ok::<_, LocalError>(())
        };
        // Whether it is will be looked at.
        let _ = tokio::time::timeout(limit, waiting).await;
    }

    /// Has the database load its configuration.
    ///
    /// # Errors
    /// [`LocalError`].
    pub async fn reload(&self) -> Result<(), LocalError> {
        let client = self.connect("postgres").await?;
        within(client.query_one("SELECT pg_reload_conf()", &[])).await?;
        Ok(())
    }

    /// Ends these sessions.
    ///
    /// # Errors
    /// [`LocalError`].
    pub async fn end(&self, sessions: &BTreeSet<Session>) -> Result<(), LocalError> {
        let client = self.connect("postgres").await?;
        let (pids, began): (Vec<i32>, Vec<&str>) = sessions.iter().map(|(pid, began)| (*pid, began.as_str())).unzip();
        let end = "\
            SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN unnest($1::int4[], $2::text[]) s(pid, began)
                ON s.pid = a.pid AND s.began = a.backend_start::text";
        within(client.query(end, &[&pids, &began])).await?;
        Ok(())
    }

    /// Stops the database: it sends what it has to whoever follows, and writes a last checkpoint.
    ///
    /// # Errors
    /// [`LocalError`].
    pub async fn stop(&self) -> Result<(), LocalError> {
        let data = self.settings.data_folder.to_string_lossy().into_owned();
        self.output("pg_ctl", &["stop", "-D", &data, "-m", "fast", "-w", "-t", STOP]).await.map(drop)
    }
}

/// What `pg_controldata` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Control {
    state: String,
    checkpoint: u64,
    pub(super) timeline: u32,
    /// Bytes in a segment of the log.
    pub(super) segment: u64,
}

impl Control {
    fn parse(said: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.trim().to_owned())
        };
        Some(Self {
            state: field("Database cluster state")?,
            checkpoint: lsn(&field("Latest checkpoint location")?)?,
            timeline: field("Latest checkpoint's TimeLineID")?.parse().ok()?,
            segment: field("Bytes per WAL segment")?.parse().ok()?,
        })
    }
}

/// A place in the log, as PostgreSQL writes it.
pub(super) fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some((u64::from_str_radix(high, 16).ok()? << 32) | u64::from(u32::from_str_radix(low, 16).ok()?))
}

async fn within<T, E>(asking: impl Future<Output = Result<T, E>>) -> Result<T, LocalError>
where
    LocalError: From<E>,
{
    Ok(tokio::time::timeout(PATIENCE, asking).await.map_err(|_| LocalError::TooLate)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pg_controldata_says_is_read() {
        let said = "Database cluster state:               shut down\n\
                    Latest checkpoint location:           1/3000028\n\
                    Latest checkpoint's REDO location:    1/3000000\n\
                    Latest checkpoint's TimeLineID:       2\n\
                    Bytes per WAL segment:                16777216\n";
        let expected =
            Control { state: "shut down".to_owned(), checkpoint: 0x1_0300_0028, timeline: 2, segment: 16 << 20 };
        assert_eq!(Control::parse(said), Some(expected));
        assert_eq!(Control::parse("nothing"), None);
        assert_eq!((lsn("0/10"), lsn("x/10"), lsn("10")), (Some(16), None, None));
    }
}
