//! What a former primary throws away when it becomes a standby of a site that was promoted without it.
//!
//! Before it is told to follow, the commits in its log are written down, from where the other site's slot stood: what comes before that
//! the other has. Once it streams the new timeline, that timeline's history says where the two parted, and what was committed beyond
//! is what is gone. `pg_rewind` takes the log itself away.

use super::local::{LocalError, chain, lsn};
use super::service::Service;
use crate::disk;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tandem_arbiter::clock::Clock;
use tokio_postgres::types::PgLsn;

/// How many commits are written down at most.
const MOST: &str = "500000";

/// Transactions that the active site never got, and that this one no longer has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// The position up to which both sites have the same.
    pub from: u64,
    /// Where the log of this site ended.
    pub to: u64,
    /// How many transactions were committed in between.
    pub transactions: u64,
    /// When the first was, by this site's wall clock, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_commit: Option<String>,
    /// When the last was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<String>,
}

/// What is written down before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Commits {
    timeline: u32,
    end: u64,
    commits: Vec<(u64, String)>,
}

fn place(folder: &Path) -> PathBuf {
    folder.join("commits.json")
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
        Dropped {
            from,
            to: self.end.max(from),
            transactions: u64::try_from(gone.len()).unwrap_or(u64::MAX),
            first_commit: gone.first().map(|(_, time)| time.clone()),
            last_commit: gone.last().map(|(_, time)| time.clone()),
        }
    }
}

/// Writes the commits down. Where that fails, the site follows all the same: what is gone is then not known.
pub(super) async fn before<C: Clock>(service: &Service<C>) {
    match written_down(service).await {
        Ok(count) => tracing::info!(count, "commits since the other site's last word are written down"),
        Err(error) => tracing::warn!(error = chain(&error), "what this site throws away will not be known"),
    }
}

async fn written_down<C: Clock>(service: &Service<C>) -> Result<usize, LocalError> {
    let (local, file) = (&service.eyes().local, service.file());
    let client = local.connect("postgres").await?;
    let ask = "SELECT (SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = $1),
                      CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";
    let row = client.query_one(ask, &[&file.standby.primary_slot_name]).await?;
    let (slot, end): (Option<PgLsn>, Option<PgLsn>) = (row.get(0), row.get(1));
    let Some(slot) = slot else {
        return Err(LocalError::Program(format!("there is no slot {}", file.standby.primary_slot_name)));
    };
    let timeline = local.control().await?.timeline;
    let (from, timeline_text) = (slot.to_string(), timeline.to_string());
    let log = file.postgresql.data_folder.join("pg_wal").to_string_lossy().into_owned();
    let said = local
        .said("pg_waldump", &["-p", &log, "-t", &timeline_text, "-r", "Transaction", "-s", &from, "-n", MOST])
        .await?;
    let found = Commits { timeline, end: end.map_or(0, u64::from), commits: commits(&said) };
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
    let found = serde_json::from_slice::<Commits>(&bytes).ok();
    let Some(found) = found.filter(|found| found.timeline != streams) else {
        // The same timeline: nothing was left behind. Or no file of ours.
        let _ = std::fs::remove_file(place);
        return;
    };
    let history = file.postgresql.data_folder.join("pg_wal").join(format!("{streams:08X}.history"));
    let Ok(history) = std::fs::read_to_string(history) else { return };
    if let Some(from) = left_at(&history, found.timeline) {
        let dropped = found.beyond(from);
        let text = format!("{} transactions dropped", dropped.transactions);
        tracing::warn!(
            transactions = dropped.transactions,
            from,
            to = dropped.to,
            "what the active site never got is gone"
        );
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
        let found = Commits { timeline: 1, end: 0x0157_F600, commits: commits(SAID) };
        assert_eq!(found.commits.len(), 2);
        let parted = left_at("1\t0/157F400\tno recovery target specified\n", 1).unwrap();
        let dropped = found.beyond(parted);
        assert_eq!((dropped.transactions, dropped.from, dropped.to), (1, 0x0157_F400, 0x0157_F600));
        assert_eq!(dropped.first_commit.as_deref(), Some("2026-11-26T23:26:14.500000Z"));
        assert_eq!(found.beyond(0x0157_F600).transactions, 0);
        assert_eq!(left_at("1\t0/157F400\tx\n", 2), None);
    }
}
