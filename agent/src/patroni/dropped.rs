//! What a former primary throws away when it becomes a standby of a site that was promoted without it.
//!
//! Before it is told to follow, the commits in its log are written down, as far back as [`SEGMENTS`] go. (The other site's slot would say
//! where to begin, but Patroni takes it away from a member that does not lead.) Once it streams the new timeline, that timeline's
//! history says where the two parted, and what was committed beyond is what is gone. `pg_rewind` takes the log itself away.

use super::local::{LocalError, lsn};
use super::service::Service;
use crate::disk;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tandem_arbiter::clock::Clock;
use tandem_core::failover::Dropped;
use tandem_logs::Chain;
use tokio_postgres::types::PgLsn;

/// How many commits are written down at most.
const MOST: &str = "500000";
/// How many segments of the log are read, the last ones: 2 GiB of the usual size.
const SEGMENTS: usize = 128;

/// What is written down before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Commits {
    /// Of the token under which the site was told to follow.
    epoch: u64,
    timeline: u32,
    /// From where on.
    begin: u64,
    end: u64,
    commits: Vec<(u64, String)>,
}

fn place(folder: &Path) -> PathBuf {
    folder.join("commits.json")
}

/// Where the log begins that is still there, of the last segments of a timeline.
fn begin(names: impl Iterator<Item = String>, timeline: u32, bytes: u64) -> Option<u64> {
    let number = |name: &str| {
        let of = u32::from_str_radix(name.get(..8)?, 16).ok()?;
        let (high, low) =
            (u64::from_str_radix(name.get(8..16)?, 16).ok()?, u64::from_str_radix(name.get(16..)?, 16).ok()?);
        (of == timeline && name.len() == 24).then_some((high << 32) + low * bytes)
    };
    let mut begins: Vec<u64> = names.filter_map(|name| number(&name)).collect();
    begins.sort_unstable();
    begins.get(begins.len().saturating_sub(SEGMENTS)).copied()
}

/// The commits in what `pg_waldump` writes of the resource manager Transaction.
fn commits(said: &str) -> Vec<(u64, String)> {
    said.lines()
        .filter_map(|line| {
            let at = lsn(line.split_once("lsn: ")?.1.split(',').next()?)?;
            let what = line.split_once("desc: ")?.1;
            let time = what.strip_prefix("COMMIT ").or_else(|| what.strip_prefix("COMMIT_PREPARED "))?;
            let mut words = time.split([' ', ';']).skip_while(|word| !word.contains('-'));
            Some((at, format!("{}T{}Z", words.next()?, words.next()?)))
        })
        .collect()
}

/// Where a timeline's history says that another one was left.
fn left_at(history: &str, timeline: u32) -> Option<u64> {
    history.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()?.parse() == Ok(timeline)).then(|| lsn(words.next()?))?
    })
}

impl Commits {
    fn beyond(&self, from: u64) -> Dropped {
        let gone: Vec<&(u64, String)> = self.commits.iter().filter(|(at, _)| *at >= from).collect();
        let at = |commit: Option<&&(u64, String)>| commit.and_then(|(_, time)| time.parse().ok());
        Dropped {
            epoch: self.epoch,
            from,
            to: self.end.max(from),
            transactions: Some(u64::try_from(gone.len()).unwrap_or(u64::MAX)),
            first_commit: at(gone.first()),
            last_commit: at(gone.last()),
        }
    }
}

/// What was written down before is of another time.
pub(super) fn forget<C: Clock>(service: &Service<C>) -> std::io::Result<()> {
    service.keep_dropped(None)?;
    match std::fs::remove_file(place(&service.file().folder)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the commits down. Where that fails, the site follows all the same: what is gone is then not known.
pub(super) async fn before<C: Clock>(service: &Service<C>) {
    match written_down(service).await {
        Ok(count) => tracing::info!(count, "commits since the other site's last word are written down"),
        Err(error) => tracing::warn!(error = %Chain(&error), "what this site throws away will not be known"),
    }
}

async fn written_down<C: Clock>(service: &Service<C>) -> Result<usize, LocalError> {
    let (local, file) = (&service.eyes().local, service.file());
    let client = local.connect("postgres").await?;
    let ask = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";
    let end: Option<PgLsn> = client.query_one(ask, &[]).await?.get(0);
    let control = local.control().await?;
    let log = file.postgresql.data_folder.join("pg_wal");
    let unreadable = |source| LocalError::Io { what: "pg_wal".to_owned(), field: "dataFolder", source };
    let names = std::fs::read_dir(&log).map_err(unreadable)?.filter_map(Result::ok);
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let timeline = control.timeline;
    let begin = begin(names, timeline, control.segment)
        .ok_or_else(|| LocalError::Program("pg_wal has no log of the present timeline".to_owned()))?;
    let (from, of) = (PgLsn::from(begin).to_string(), timeline.to_string());
    let log = log.to_string_lossy().into_owned();
    let said = local.said("pg_waldump", &["-p", &log, "-t", &of, "-r", "Transaction", "-s", &from, "-n", MOST]).await?;
    let epoch = service.token().epoch;
    let found = Commits { epoch, timeline, begin, end: end.map_or(0, u64::from), commits: commits(&said) };
    let bytes = serde_json::to_vec(&found).unwrap_or_default();
    disk::replace(&place(&file.folder), &bytes).map_err(|source| LocalError::Io {
        what: "commits.json".to_owned(),
        field: "folder",
        source,
    })?;
    Ok(found.commits.len())
}

/// Says what is gone, once the database is sent a timeline.
pub(super) fn after<C: Clock>(service: &Service<C>, streams: u32) {
    let file = service.file();
    let place = place(&file.folder);
    let Ok(bytes) = std::fs::read(&place) else { return };
    let Ok(found) = serde_json::from_slice::<Commits>(&bytes) else { return };
    // Not yet rewound: it may be sent the old one for a moment.
    if found.timeline == streams {
        return;
    }
    let history = file.postgresql.data_folder.join("pg_wal").join(format!("{streams:08X}.history"));
    let Ok(history) = std::fs::read_to_string(history) else { return };
    let left = left_at(&history, found.timeline);
    if left.is_some_and(|from| from < found.begin) {
        tracing::warn!("what this site threw away is not known: the log did not go back to where the two parted");
    } else if let Some(from) = left {
        let dropped = found.beyond(from);
        let transactions = dropped.transactions.unwrap_or_default();
        let text = format!("{transactions} transactions dropped");
        tracing::warn!(transactions, from, to = dropped.to, "what the active site never got is gone");
        service.note_dropped(&text, from);
        if let Err(error) = service.keep_dropped(Some(dropped)) {
            tracing::error!(%error, "the agent's folder cannot be written");
            return;
        }
    }
    let _ = std::fs::remove_file(place);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
rmgr: Transaction len (rec/tot):     34/    34, tx:        741, lsn: 0/0157F3B8, prev 0/0157F378, desc: COMMIT 2026-11-26 23:26:12.599137 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx:        742, lsn: 0/0157F400, prev 0/0157F3B8, desc: ABORT 2026-11-26 23:26:13.599137 UTC
rmgr: Transaction len (rec/tot):    130/   130, tx:        743, lsn: 0/0157F500, prev 0/0157F400, desc: COMMIT 2026-11-26 23:26:14.500000 UTC; inval msgs: catcache 7
";

    #[test]
    fn commits_beyond_the_parting_are_what_is_gone() {
        let found = Commits { epoch: 5, timeline: 1, begin: 0x0100_0000, end: 0x0157_F600, commits: commits(SAID) };
        assert_eq!(found.commits.len(), 2);
        let parted = left_at("1\t0/157F400\tno recovery target specified\n", 1).unwrap();
        let dropped = found.beyond(parted);
        assert_eq!((dropped.epoch, dropped.transactions), (5, Some(1)));
        assert_eq!((dropped.from, dropped.to), (0x0157_F400, 0x0157_F600));
        assert_eq!(dropped.first_commit.map(|time| time.to_string()).as_deref(), Some("2026-11-26T23:26:14.5Z"));
        assert_eq!(found.beyond(0x0157_F600).transactions, Some(0));
        assert_eq!(left_at("1\t0/157F400\tx\n", 2), None);
        let names =
            ["000000010000000000000003", "000000010000000100000002", "000000020000000000000001", "archive_status"];
        assert_eq!(begin(names.iter().map(ToString::to_string), 1, 16 << 20), Some(3 * (16 << 20)));
    }
}
