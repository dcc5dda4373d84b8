//! How far a standby is behind: the other site's primary is asked where its log ends, at a time of this machine's boot clock; once
//! the local database has replayed up to there, nothing was missing as of that time. No two clocks are compared.

use super::file::PatroniFile;
use super::service::Service;
use crate::tls::{TlsError, client};
use std::collections::VecDeque;
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_core::patroni::{Database, comparable_timeline};
use tandem_logs::Chain;
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(250);
/// How old Patroni's word on the members may be.
const MEMBERS: Duration = Duration::from_secs(1);
/// How long the other site may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the replay is looked at after each question, and how soon again.
const LOOKS: usize = 4;
const AGAIN: Duration = Duration::from_millis(15);
/// How many answers are kept that were not reached yet.
const MOST: usize = 1_000;

/// The other site's primary.
pub struct Watch {
    tls: MakeRustlsConnect,
    config: Config,
}

/// Where the primary's log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    sent: Duration,
    timeline: u32,
    at: u64,
}

/// Answers that the local database has not reached.
#[derive(Debug, Default)]
struct Ahead(VecDeque<End>);

impl Ahead {
    fn add(&mut self, end: End) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(end);
    }

    /// The latest question whose answer is reached. What is of another timeline says nothing here.
    fn reached(&mut self, timeline: u32, replayed: u64) -> Option<Duration> {
        let latest = self.0.iter().rposition(|end| end.timeline == timeline && end.at <= replayed)?;
        let sent = self.0[latest].sent;
        self.0.drain(..=latest);
        Some(sent)
    }
}

impl Watch {
    /// For the site that this file follows.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn open(file: &PatroniFile) -> Result<Self, TlsError> {
        let files = &file.watch.tls;
        let tls = MakeRustlsConnect::new(client(&files.ca, Some((&files.cert, &files.key)))?);
        let mut config = Config::new();
        config
            .host(&file.standby.host)
            .port(file.standby.port)
            .user(&file.watch.user)
            .dbname(&file.watch.database)
            .application_name("tandem-agent")
            .ssl_mode(tokio_postgres::config::SslMode::Require)
            .connect_timeout(PATIENCE);
        Ok(Self { tls, config })
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Asks for ever, whenever this member leads a standby cluster.
    pub(super) async fn follow<C: Clock>(&self, service: &Service<C>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut remote, mut local) = (None, None);
        let mut ahead = Ahead::default();
        let mut before = String::new();
        loop {
            ticks.tick().await;
            let Some(Database::Recovery { streams, .. }) = replay(service, &mut local).await else {
                (remote, ahead) = (None, Ahead::default());
                continue;
            };
            if let Some(timeline) = streams {
                super::dropped::after(service, timeline);
            }
            let sent = service.clock().now();
            let asked = tokio::time::timeout(PATIENCE, self.end(&mut remote)).await;
            let now = match asked {
                Ok(Ok(Some((timeline, at)))) => {
                    ahead.add(End { sent, timeline, at });
                    compare(service, &mut local, &mut ahead, sent).await
                }
                Ok(Ok(None)) => "the other site's database is no primary".to_owned(),
                Ok(Err(error)) => {
                    remote = None;
                    Chain(&error).to_string()
                }
                Err(_) => {
                    remote = None;
                    format!("no answer within {} ms", PATIENCE.as_millis())
                }
            };
            if now != before {
                tracing::info!(now, "asked the other site's primary for its position");
                before = now;
            }
        }
    }

    /// Timeline and end of its log; `None` where it is no primary.
    async fn end(&self, remote: &mut Option<Client>) -> Result<Option<(u32, u64)>, tokio_postgres::Error> {
        let client = match remote.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?,
        };
        let row = client
            .query_one(
                "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
                        CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END",
                &[],
            )
            .await?;
        *remote = Some(client);
        let (file, at): (Option<String>, Option<PgLsn>) = (row.get(0), row.get(1));
        let timeline = file.as_deref().and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok());
        Ok(timeline.zip(at.map(u64::from)))
    }
}

/// What the local database has replayed, over a session that is kept.
async fn replay<C: Clock>(service: &Service<C>, kept: &mut Option<Client>) -> Option<Database> {
    let asking = async {
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => service.eyes().local.connect("postgres").await.ok()?,
        };
        let row = client
            .query_one(
                "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn(),
                        (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming')",
                &[],
            )
            .await
            .ok()?;
        *kept = Some(client);
        let (in_recovery, at, streams): (bool, Option<PgLsn>, Option<i32>) = (row.get(0), row.get(1), row.get(2));
        let replayed = at.map_or(0, u64::from);
        let streams = streams.and_then(|timeline| u32::try_from(timeline).ok());
        Some(if in_recovery {
            Database::Recovery { replayed, streams }
        } else {
            Database::Primary { flushed: replayed }
        })
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
}

/// Takes in what was answered, as far as it may be compared. Says how that stands.
async fn compare<C: Clock>(
    service: &Service<C>,
    local: &mut Option<Client>,
    ahead: &mut Ahead,
    sent: Duration,
) -> String {
    let look = service.eyes().recent(MEMBERS).await;
    for _ in 0..LOOKS {
        let Some(database) = replay(service, local).await else { break };
        let mut picture = look.picture.clone();
        picture.standing = service.standing();
        picture.database = database;
        let (Some(timeline), Database::Recovery { replayed, .. }) = (comparable_timeline(&picture), database) else {
            return "answered; not every member of this site streams or is on its timeline".to_owned();
        };
        service.met(sent);
        if let Some(reached) = ahead.reached(timeline, replayed) {
            service.reached(reached);
            if reached == sent {
                break;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
    "answered".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_is_what_was_asked_before_and_on_the_same_timeline() {
        let end = |second, timeline, at| End { sent: Duration::from_secs(second), timeline, at };
        let mut ahead = Ahead::default();
        assert_eq!(ahead.reached(1, 500), None);
        for one in [end(1, 1, 100), end(2, 1, 200), end(3, 2, 150), end(4, 1, 300)] {
            ahead.add(one);
        }
        assert_eq!(ahead.reached(1, 250), Some(Duration::from_secs(2)));
        assert_eq!(ahead.reached(1, 250), None, "it is told once");
        assert_eq!(ahead.reached(2, 150), Some(Duration::from_secs(3)));
        assert_eq!(ahead.0, [end(4, 1, 300)]);
    }
}
