//! Programs that are not root's, each apart from all else: in mount and IPC namespaces of its own, which also tell what it started
//! from everything else, whatever became of it. A database outlives what started it, in a session of its own and under another
//! parent; only by this is it known.

use crate::process::ProcessId;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::process::Child;

/// Whose a program is, and what it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// A user of the machine, whose group has the same name.
    pub user: String,
    /// Folders that it could not reach where they are: below folders that are root's alone.
    pub shown: Vec<Shown>,
}

/// A folder, and where a program finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where it is.
    pub from: PathBuf,
    /// Where it is shown: an empty folder.
    pub at: PathBuf,
}

impl RunAs {
    /// The words before a command that give up being root, and gaining any of it.
    pub(crate) fn become_it(&self) -> Vec<String> {
        let user = &self.user;
        let words =
            ["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"].map(str::to_owned);
        let rest = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"].map(str::to_owned);
        words.into_iter().chain(rest).collect()
    }

    /// Starts something in namespaces of its own, with what it is shown.
    pub(crate) fn apart(&self, spawn: impl FnOnce() -> io::Result<Child> + Send) -> io::Result<(Child, Tree)> {
        let runtime = tokio::runtime::Handle::current();
        // A thread of its own: namespaces are a thread's, and what it starts is in them from its first moment.
        let started = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let tree = self.enter()?;
                let _entered = runtime.enter();
                Ok((spawn()?, tree))
            });
            thread.join()
        });
        started.unwrap_or_else(|_| Err(io::Error::other("the thread that starts a program panicked")))
    }

    fn enter(&self) -> io::Result<Tree> {
        let none: Option<&str> = None;
        let failed = |what: &str, source: nix::Error| io::Error::other(format!("{what}: {}", io::Error::from(source)));
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC).map_err(|e| failed("namespaces of its own", e))?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .map_err(|e| failed("keeping mounts from others", e))?;
        // A database that is killed leaves its shared memory there.
        mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777"))
            .map_err(|e| failed("shared memory of its own", e))?;
        for Shown { from, at } in &self.shown {
            mount(Some(from.as_path()), at.as_path(), none, MsFlags::MS_BIND, none)
                .map_err(|e| failed(&format!("showing {} at {}", from.display(), at.display()), e))?;
        }
        Tree::of_thread()
    }
}

/// What a program was started in; all that it started is in it too. While this is held, nothing else is ever taken for it.
#[derive(Debug)]
pub struct Tree {
    number: u64,
    _held: File,
}

impl Tree {
    fn of_thread() -> io::Result<Self> {
        let held = File::open("/proc/thread-self/ns/mnt")?;
        Ok(Self { number: held.metadata()?.ino(), _held: held })
    }
}

/// The processes in any of these.
fn processes(trees: &[Tree]) -> Vec<ProcessId> {
    if trees.is_empty() {
        return Vec::new();
    }
    let within = |process: &Path| {
        let number = fs::metadata(process.join("ns/mnt")).ok()?.ino();
        trees.iter().any(|tree| tree.number == number).then_some(())?;
        ProcessId::of(process.file_name()?.to_str()?.parse().ok()?)
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| within(&entry.path())).collect()
}

/// Whether anything runs in any of these.
#[must_use]
pub fn any(trees: &[Tree]) -> bool {
    !processes(trees).is_empty()
}

/// Signals everything in them.
pub fn signal(trees: &[Tree], signal: Signal) {
    let mut told = BTreeSet::new();
    loop {
        // Who is told starts nothing more, killed or stopped; what was started just before is found the next time.
        let new: Vec<ProcessId> = processes(trees).into_iter().filter(|process| told.insert(*process)).collect();
        if new.is_empty() {
            return;
        }
        for process in new {
            process.signal(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};
    use tokio::process::Command;

    #[test]
    fn it_gives_up_being_root_before_it_is_anything() {
        let words = RunAs { user: "postgres".to_owned(), shown: Vec::new() }.become_it().join(" ");
        assert!(words.starts_with("setpriv --reuid=postgres --regid=postgres") && words.ends_with(" --"), "{words}");
        assert!(words.contains("--no-new-privs") && words.contains("--bounding-set=-all"), "{words}");
    }

    /// What is left of it when a program is killed that has gone into a session of its own and lost its parent. Needs root.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_program_started_is_known_after_its_end() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (from, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("shown"), "").unwrap();
        let shown = vec![Shown { from: from.path().to_owned(), at: at.path().to_owned() }];
        let run_as = RunAs { user: "nobody".to_owned(), shown };
        let file = at.path().join("shown");
        let script = format!("test -e {} && setsid sleep 300 & wait", file.display());
        let (mut child, tree) =
            run_as.apart(|| Command::new("sh").args(["-c", &script]).kill_on_drop(true).spawn()).unwrap();
        let trees = [tree];
        let until = |many: usize| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while processes(&trees).len() != many {
                assert!(Instant::now() < deadline, "{many} wanted: {:?}", processes(&trees));
                std::thread::yield_now();
            }
        };
        until(2);
        assert!(!file.exists(), "it is shown to nobody else");
        child.kill().await.unwrap();
        until(1);
        signal(&trees, Signal::SIGKILL);
        until(0);
        assert!(!any(&trees) && !processes(&trees).contains(&ProcessId::of_self().unwrap()));
    }
}
