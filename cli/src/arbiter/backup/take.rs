//! Taking a backup.

use super::choose::{Chosen, choose};
use super::facts::{Facts, Origin, Peer, beside};
use super::file::{self, Part, Verified};
use super::{BackupError, cannot, folder};
use crate::arbiter::access::Access;
use crate::arbiter::args::BackupArgs;
use crate::arbiter::{ArbiterError, now};
use crate::language::Lang;
use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, DirBuilder};
use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tandem_arbiter::health::{ArbiterSeen, QUOTA, findings, look, name};
use tandem_arbiter::store::StoreError;
use tandem_logs::Chain;

/// For how long a member may lack what was written just before.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How often a long transfer is told of where there is no terminal.
const TELL: Duration = Duration::from_secs(10);

/// What stands in the arbiter, before a member is asked: read from a majority.
struct Agreed {
    revision: i64,
    generation: Option<u64>,
}

async fn agreed(access: &Access, majority: bool) -> Result<Agreed, ArbiterError> {
    if !majority {
        return Ok(Agreed { revision: 0, generation: None });
    }
    let (revision, _) = access.arbiter.read_groups().await?;
    let generation = access.arbiter.generation().await?.map_or(1, |record| record.value.generation);
    Ok(Agreed { revision, generation: Some(generation) })
}

/// A member that has everything up to a revision; waits for one that only has to apply it.
async fn member(access: &Access, revision: i64, majority: bool) -> Result<(ArbiterSeen, Chosen), ArbiterError> {
    let begun = Instant::now();
    loop {
        let seen = look(&access.config, &access.admin).await;
        match choose(&seen, &findings(&seen, QUOTA, now()), revision, majority) {
            Ok(chosen) => return Ok((seen, chosen)),
            Err(why) if begun.elapsed() >= CATCH_UP => return Err(BackupError::NoMember(why).into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Whether a target is a folder: it is one, or is written as one.
fn is_folder(target: &Path) -> bool {
    target.is_dir() || target.as_os_str().to_string_lossy().ends_with('/')
}

/// How far the transfer is.
struct Told {
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Told {
    fn begin() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("[{bar:40}] {bytes}/{total_bytes} {bytes_per_sec} {elapsed}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
        });
        Self { bar, last: Instant::now() }
    }

    fn step(&mut self, done: u64, left: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(done + left);
                bar.set_position(done);
            }
            None if self.last.elapsed() >= TELL => {
                self.last = Instant::now();
                output::note(&format!("{} of {} MiB", done >> 20, (done + left) >> 20));
            }
            None => {}
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Who may not is told what it takes.
fn refused(error: StoreError, who: &str) -> ArbiterError {
    if Chain(&error).to_string().contains("permission denied") {
        return BackupError::NotRoot { who: who.to_owned() }.into();
    }
    error.into()
}

pub(super) async fn run(
    access: &Access,
    target: &Path,
    args: &BackupArgs,
    lang: Lang,
) -> Result<(PathBuf, Facts), ArbiterError> {
    let into_folder = is_folder(target);
    if args.keep.is_some() && !into_folder {
        return Err(ArbiterError::Usage("--keep is of a folder of backups: name one (DIR/)".to_owned()));
    }
    if !into_folder && !args.force && target.exists() {
        return Err(BackupError::There(target.to_owned()).into());
    }
    if into_folder {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(target).map_err(cannot("make", target))?;
    }
    let majority = !args.without_majority;
    let Agreed { revision, generation } = agreed(access, majority).await?;
    let (seen, Chosen { endpoint, status }) = member(access, revision, majority).await?;
    let member = name(&seen.members, status.member);
    let (taken, cluster) = (now(), format!("{:x}", status.cluster));
    let path =
        if into_folder { target.join(folder::named(taken, &cluster, status.revision)) } else { target.to_owned() };
    output::note(&match lang {
        Lang::En => format!("a snapshot of {member}, {} MiB, into {}", status.db_bytes >> 20, path.display()),
        Lang::Zh => format!("正在从成员 {member} 取快照（{} MiB），写入 {}", status.db_bytes >> 20, path.display()),
    });
    let mut part = Part::begin(&path)?;
    let mut stream = access.admin.snapshot(&endpoint).await.map_err(|error| refused(error, &access.who))?;
    let (mut done, mut told) = (0, Told::begin());
    while let Some((piece, left)) = stream.next().await.map_err(|error| refused(error, &access.who))? {
        part.write(&piece)?;
        done += piece.len() as u64;
        told.step(done, left);
    }
    drop(told);
    part.sync()?;
    // As it came back from the disk, before anything else goes.
    let Verified { bytes, sha256 } = file::verify(part.path())?;
    let peers =
        seen.members.iter().map(|member| Peer { name: member.name.clone(), peer_urls: member.peer_urls.clone() });
    let origin = Origin {
        taken,
        by: access.who.clone(),
        cluster,
        generation,
        revision: status.revision,
        member,
        version: status.version,
        majority,
        members: peers.collect(),
    };
    let facts = Facts { bytes, sha256, origin: Some(origin) };
    place(part, &path, &facts, args.force)?;
    if into_folder {
        folder::prune(&path, args.keep.map(usize::from), now())?;
    }
    Ok((path, facts))
}

/// The backup first, its facts after it: at no time are facts beside a backup that is not theirs.
fn place(part: Part, path: &Path, facts: &Facts, force: bool) -> Result<(), BackupError> {
    let at = beside(path);
    let mut beside = Part::begin(&at)?;
    let text = serde_json::to_string_pretty(facts).unwrap_or_default() + "\n";
    beside.write(text.as_bytes())?;
    beside.sync()?;
    if force {
        match fs::remove_file(&at) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot("remove", &at)(error)),
            _ => {}
        }
    }
    part.place(path, force)?;
    // Facts without a backup were left behind by somebody who removed it.
    beside.place(&at, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbiter::backup::facts::{checked, tests::origin};
    use crate::arbiter::backup::file::tests::snapshot;

    #[test]
    fn a_backup_is_put_there_with_its_facts_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let write = |pages, force| {
            let mut part = Part::begin(&path).unwrap();
            part.write(&snapshot(pages)).unwrap();
            let Verified { bytes, sha256 } = file::verify(part.path()).unwrap();
            let facts = Facts { bytes, sha256, origin: Some(origin()) };
            place(part, &path, &facts, force).map(|()| facts)
        };
        let first = write(2, false).unwrap();
        assert!(matches!(write(3, false), Err(BackupError::There(_))));
        assert_eq!(checked(&path).unwrap(), first);
        let second = write(3, true).unwrap();
        assert_eq!(checked(&path).unwrap(), second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_is_one_or_is_written_as_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_folder(folder.path()) && is_folder(Path::new("/no/such/")));
        assert!(!is_folder(&folder.path().join("a.db")));
    }
}
