//! The entries in PostgreSQL, and what may be said of a write when.

use crate::settings::Settings;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use std::future::Future;
use std::time::Duration;
use tandem_logs::Chain;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::Severity;
use tokio_postgres::{Config, Error, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What the server lets a statement take, COMMIT too.
const STATEMENT: &str = "-c statement_timeout=1500 -c idle_in_transaction_session_timeout=5000";
/// How long what was sent may stay unacknowledged before the connection is taken for dead.
const UNACKNOWLEDGED: Duration = Duration::from_millis(1_500);
/// So many connections at once.
const CONNECTIONS: usize = 16;

const INSERT: &str = "INSERT INTO ledger.entries (writer, number, epoch) VALUES ($1, $2, tandem.check()::bigint) \
                      ON CONFLICT (writer, number) DO NOTHING RETURNING id, epoch";
const FIND: &str = "SELECT id, epoch FROM ledger.entries WHERE writer = $1 AND number = $2";
const LIST: &str = "SELECT id, writer, number, epoch, to_json(at AT TIME ZONE 'UTC') #>> '{}' FROM ledger.entries \
                    WHERE ($1::text IS NULL OR writer = $1) AND id > $2 ORDER BY id LIMIT $3";
const CHECKED: &str = "SELECT tandem.check()::bigint";

/// What the switch in the database raises where the site may not write.
const NOT_ACTIVE: &str = "TD001";

/// How long each part may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To have a connection, a new one where need be.
    pub connect: Duration,
    /// All of a write before COMMIT. With [`connect`](Self::connect) the writer is refused within a second.
    pub before_commit: Duration,
    /// COMMIT. Longer than the server's own bound, so that it is the server that gives up, and says so.
    pub commit: Duration,
    /// The check after COMMIT.
    pub check: Duration,
    /// A read.
    pub read: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            connect: millis(400),
            before_commit: millis(500),
            commit: millis(2_000),
            check: millis(500),
            read: millis(2_000),
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id, given by the database.
    pub id: i64,
    /// Who wrote it.
    pub writer: String,
    /// The writer's own number for it.
    pub number: i64,
    /// Under which epoch it was written; not known of what was written by hand.
    pub epoch: Option<i64>,
    /// When, by the database server's wall clock, in UTC.
    pub at: String,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there, and the site was still active after it was.
    Accepted {
        /// The entry's id.
        id: i64,
        /// Under which epoch.
        epoch: Option<i64>,
        /// Whether this call wrote it; else it was there before.
        now: bool,
    },
    /// Nothing was written.
    Refused(String),
    /// It may be there or not, or it is there and came too late.
    Unknown(String),
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    limits: Limits,
}

/// Why no database can be asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The authority is no certificate.
    #[error("ca.crt is no certificate in PEM; give the authority of the database's certificate")]
    Authority,
    /// TLS cannot be set up.
    #[error("TLS to the database cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The pool cannot be made.
    #[error("connections to the database cannot be managed")]
    Pool(#[from] deadpool_postgres::BuildError),
}

impl Database {
    /// The database that these settings name. Nothing is connected yet.
    ///
    /// # Errors
    /// When the authority is none.
    pub fn new(settings: &Settings, limits: Limits) -> Result<Self, DatabaseError> {
        let mut config = Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .dbname(&settings.dbname)
            .user(&settings.user)
            .password(&settings.password)
            .application_name("tandem-ledger")
            .options(STATEMENT)
            .ssl_mode(SslMode::Require)
            .connect_timeout(limits.connect)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives_idle(Duration::from_secs(2))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(2);
        // A connection whose other end is gone is not used again; a statement that failed takes its connection with it.
        let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, tls(&settings.authority)?, recycle);
        let pool = Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1).build()?;
        Ok(Self { pool, limits })
    }

    async fn connection(&self) -> Result<Object, String> {
        let most = self.limits.connect;
        let limits = Timeouts { wait: Some(most), create: Some(most), recycle: Some(most) };
        match timeout(most, self.pool.timeout_get(&limits)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(format!("the database is not reached: {}", Chain(&error))),
            Err(_) => Err("the database is not reached in time".to_owned()),
        }
    }

    /// Appends an entry, unless the writer has one of that number already.
    pub async fn append(&self, writer: &str, number: i64) -> Written {
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(why) => return Written::Refused(why),
        };
        let (written, usable) = append(&connection, &self.limits, writer, number).await;
        if !usable {
            // With the connection goes whatever was begun on it and not committed.
            drop(Object::take(connection));
        }
        written
    }

    /// Entries after an id, by id, of one writer or of all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn entries(&self, writer: Option<&str>, after: i64, limit: i64) -> Result<Vec<Entry>, String> {
        let connection = self.connection().await?;
        let answer = in_time(self.limits.read, async {
            let list = connection.prepare_cached(LIST).await?;
            connection.query(&list, &[&writer, &after, &limit]).await?.iter().map(entry).collect()
        });
        match answer.await {
            Ok(entries) => Ok(entries),
            Err(failure) => {
                drop(Object::take(connection));
                Err(failure.why)
            }
        }
    }
}

fn tls(authority: &str) -> Result<MakeRustlsConnect, DatabaseError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.map_err(|_| DatabaseError::Authority)?)?;
    }
    if roots.is_empty() {
        return Err(DatabaseError::Authority);
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Why a statement was not carried out.
struct Failure {
    why: String,
    /// The server itself said so, and its session goes on: what was begun is undone.
    said: bool,
    /// The switch in the database said so.
    not_active: bool,
}

async fn in_time<T>(most: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match timeout(most, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => {
            let why = format!("the database did not answer within {} ms", most.as_millis());
            Err(Failure { why, said: false, not_active: false })
        }
    }
}

impl Failure {
    fn of(error: &Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self { why: Chain(error).to_string(), said: false, not_active: false };
        };
        Self {
            why: format!("{} ({})", said.message(), said.code().code()),
            // A session that is ended while it commits may have committed.
            said: said.parsed_severity() == Some(Severity::Error),
            not_active: said.code().code() == NOT_ACTIVE,
        }
    }
}

/// What became of it, and whether the connection can be used again.
async fn append(connection: &Object, limits: &Limits, writer: &str, number: i64) -> (Written, bool) {
    let begun = in_time(limits.before_commit, async {
        let insert = connection.prepare_cached(INSERT).await?;
        connection.batch_execute("BEGIN").await?;
        connection.query_opt(&insert, &[&writer, &number]).await
    });
    let row = match begun.await {
        Ok(row) => row,
        // COMMIT was not sent, and never will be on this connection.
        Err(failure) => {
            let usable =
                failure.not_active && in_time(limits.check, connection.batch_execute("ROLLBACK")).await.is_ok();
            return (Written::Refused(failure.why), usable);
        }
    };
    if let Err(failure) = in_time(limits.commit, connection.batch_execute("COMMIT")).await {
        let written = if failure.said { Written::Refused(failure.why) } else { Written::Unknown(failure.why) };
        return (written, failure.said && failure.not_active);
    }
    let checked = in_time(limits.check, async {
        let found = match &row {
            Some(_) => None,
            None => connection.query_opt(&connection.prepare_cached(FIND).await?, &[&writer, &number]).await?,
        };
        let check = connection.prepare_cached(CHECKED).await?;
        let epoch: i64 = connection.query_one(&check, &[]).await?.try_get(0)?;
        let Some(row) = row.as_ref().or(found.as_ref()) else { return Ok(None) };
        Ok(Some((row.try_get::<_, i64>(0)?, row.try_get::<_, Option<i64>>(1)?, epoch)))
    });
    match checked.await {
        Ok(Some((_, Some(then), now))) if row.is_some() && then != now => {
            (Written::Unknown(format!("written under epoch {then}, and {now} is in force by now")), true)
        }
        Ok(Some((id, epoch, _))) => (Written::Accepted { id, epoch, now: row.is_some() }, true),
        Ok(None) => (Written::Unknown("the entry was there, and is not there any more".to_owned()), true),
        Err(failure) => (Written::Unknown(failure.why), failure.not_active),
    }
}

fn entry(row: &Row) -> Result<Entry, Error> {
    Ok(Entry {
        id: row.try_get(0)?,
        writer: row.try_get(1)?,
        number: row.try_get(2)?,
        epoch: row.try_get(3)?,
        at: row.try_get::<_, Option<String>>(4)?.map(|at| at + "Z").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_refused_within_a_second() {
        let limits = Limits::default();
        assert!(limits.connect + limits.before_commit < Duration::from_secs(1));
        // Else it would not be the server that gives up, and nobody would know.
        assert!(STATEMENT.contains("statement_timeout=1500") && limits.commit > Duration::from_millis(1_500));
    }
}
