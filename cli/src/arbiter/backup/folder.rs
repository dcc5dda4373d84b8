//! A folder of backups: how they are named, and which of them go.

use super::facts::beside;
use super::{BackupError, cannot};
use crate::output;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

const FIRST: &str = "arbiter-";
const LAST: &str = ".db";
/// What was not ended in so long was stopped half-way.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// The name of a backup: by time first, so that names sort by age.
pub(super) fn named(taken: Timestamp, cluster: &str, revision: i64) -> String {
    format!("{FIRST}{}-{cluster}-{revision}{LAST}", taken.strftime("%Y%m%dT%H%M%SZ"))
}

/// Whether a name is one that [`named`] gives. Nothing else is ever removed.
fn is_ours(name: &str) -> bool {
    let Some(middle) = name.strip_prefix(FIRST).and_then(|rest| rest.strip_suffix(LAST)) else { return false };
    let parts: Vec<&str> = middle.split('-').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let [time, cluster, revision] = parts[..] else { return false };
    let time: Vec<&str> = time.split('T').collect();
    let is_time =
        matches!(time[..], [day, hour] if day.len() == 8 && digits(day) && hour.strip_suffix('Z').is_some_and(digits));
    is_time && !cluster.is_empty() && cluster.bytes().all(|byte| byte.is_ascii_hexdigit()) && digits(revision)
}

/// The oldest of the names that go so that `keep` stay, the new one among them.
fn too_many(mut names: Vec<String>, new: &str, keep: usize) -> Vec<String> {
    names.retain(|name| is_ours(name) && name != new);
    names.sort();
    let stay = keep.saturating_sub(1).min(names.len());
    names.truncate(names.len() - stay);
    names
}

/// Removes the oldest backups beside a new one that has been verified, and what others left half-way.
pub(super) fn prune(new: &Path, keep: Option<usize>, now: Timestamp) -> Result<(), BackupError> {
    let folder = new.parent().unwrap_or(Path::new("."));
    let entries =
        fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(cannot("read", folder))?;
    let names: Vec<String> = entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    for name in names.iter().filter(|name| name.starts_with(".arbiter-") && name.contains(".part-")) {
        let path = folder.join(name);
        let written = fs::metadata(&path).and_then(|found| found.modified()).ok();
        let old = written.and_then(|at| Timestamp::try_from(at).ok()).is_some_and(|at| now.duration_since(at) > STALE);
        if old {
            remove(&path)?;
        }
    }
    let Some(keep) = keep else { return Ok(()) };
    let new = new.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for name in too_many(names, &new, keep) {
        let path: PathBuf = folder.join(&name);
        remove(&path)?;
        remove(&beside(&path))?;
        output::note(&format!("removed {name}: {keep} are kept"));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_893_553_445 + second).unwrap()
    }

    #[test]
    fn names_sort_by_age_whatever_the_cluster() {
        let (old, new) = (named(at(0), "ffff", 900), named(at(1), "1", 3));
        assert!(old < new && is_ours(&old) && is_ours(&new), "{old} {new}");
        for other in
            ["arbiter.db", "arbiter-x.db", "notes.txt", "arbiter-20260101T000000Z-1-2.db.json", "arbiter-2026-1-2.db"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn the_oldest_go_and_neither_the_new_one_nor_anything_of_others() {
        let mut names: Vec<String> = (0..5).map(|second| named(at(second), "ab", second)).collect();
        names.push("precious.db".to_owned());
        // A clock that went back: the new one has the oldest name.
        let new = names[0].clone();
        assert_eq!(too_many(names.clone(), &new, 3), names[1..3]);
        assert_eq!(too_many(names.clone(), &new, 1), names[1..5]);
        assert!(too_many(names.clone(), &new, 9).is_empty());
        assert_eq!(too_many(names.clone(), &names[4], 2), names[0..3]);
    }

    #[test]
    fn facts_go_with_their_backup() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..3).map(|second| folder.path().join(named(at(second), "ab", second))).collect();
        for path in &paths {
            fs::write(path, "").unwrap();
            fs::write(beside(path), "").unwrap();
        }
        fs::write(folder.path().join(".arbiter-x.db.part-1"), "").unwrap();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        prune(&paths[2], Some(1), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(count(), 3, "one that is being written stays");
        prune(&paths[2], None, Timestamp::MAX).unwrap();
        assert_eq!(count(), 2, "and goes when nobody has written it for long");
    }
}
