//! Real processes: how they are started, watched and ended.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::contain::Contained;

/// First user id of pods.
const FIRST_UID: u32 = 200_000;
/// How often a process is looked at that is not a child of this one.
const LOOK: Duration = Duration::from_millis(500);
/// Size of a log, in bytes, at which it is moved aside. One older file is kept.
pub(super) const LOG_LIMIT: u64 = 10 << 20;

/// The user id of the pod with that address. Sites have different ranges, so that pods of different sites, which share
/// the machine's user ids, never have the same one.
pub(super) fn uid_of(ip: Ipv4Addr) -> u32 {
    FIRST_UID + (u32::from(ip) & 0x00ff_ffff)
}

/// A process, told from another that later has the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessId {
    pid: i32,
    /// Clock ticks from boot to its start.
    start: u64,
    boot: String,
}

impl ProcessId {
    fn of(pid: i32) -> Option<Self> {
        let (_, _, start) = stat(pid)?;
        Some(Self { pid, start, boot: boot_id()? })
    }

    #[cfg(test)]
    pub(super) fn of_self() -> Option<Self> {
        Self::of(std::process::id().try_into().ok()?)
    }

    /// Whether it runs (a zombie does not).
    pub(super) fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, _, start)| start == self.start && !matches!(state, 'Z' | 'X'))
            && boot_id().as_ref() == Some(&self.boot)
    }

    /// Sends it a signal, if it still is itself.
    pub(super) fn signal(&self, signal: Signal) {
        if self.alive()
            && let Err(error) = kill(Pid::from_raw(self.pid), signal)
            && error != Errno::ESRCH
        {
            tracing::warn!(pid = self.pid, %error, "cannot signal a pod's process");
        }
    }

    /// Kills the process and what it started in its process group. Also meant for the time after its own end: `uid`, the
    /// pod's, makes sure that the group is not somebody else's by then.
    pub(super) fn kill_group(&self, uid: Option<u32>) {
        let ours = |pid: i32| {
            let same_user =
                || std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| uid.is_none_or(|u| m.uid() == u));
            stat(pid).is_some_and(|(_, group, start)| group == self.pid && start >= self.start) && same_user()
        };
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        if boot_id().as_ref() == Some(&self.boot)
            && pids.filter_map(|e| e.file_name().to_str()?.parse().ok()).any(ours)
            && let Err(error) = killpg(Pid::from_raw(self.pid), Signal::SIGKILL)
            && error != Errno::ESRCH
        {
            tracing::warn!(pid = self.pid, %error, "cannot kill a pod's processes");
        }
    }

    /// Resolves once it has ended, for a process that is not a child of this one.
    pub(super) async fn gone(&self) {
        while self.alive() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// State, process group and start time (ticks since boot).
fn stat(pid: i32) -> Option<(char, i32, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(16)?.parse().ok()?;
    Some((state, group, start))
}

fn boot_id() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    /// As a shell gives it: 128 + the signal, if it was one.
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

impl Exit {
    /// For a process whose end nobody saw (the kubelet's `ContainerStatusUnknown`).
    pub(super) const UNKNOWN: Self = Self { code: 137, signal: None };
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        let signal = status.signal();
        Self { code: status.code().unwrap_or_else(|| 128 + signal.unwrap_or_default()), signal }
    }
}

/// What to start, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// Program and arguments.
    pub(super) command: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    /// Working directory; made if it is missing, and given to the user.
    pub(super) work: PathBuf,
    /// User and group id; `None` = this process's own.
    pub(super) uid: Option<u32>,
    /// A file system of its own, with the user that it has there.
    pub(super) contained: Option<Contained>,
}

impl Launch {
    /// The command, under the pod's own user: no groups, no capabilities, no way to get any.
    fn prepare(&self) -> Option<Command> {
        let (program, arguments) = self.command.split_first()?;
        let mut command = if let Some(contained) = &self.contained {
            let mut wrapper = Command::new(std::env::current_exe().ok()?);
            wrapper.arg("contain").arg(serde_json::to_string(contained).ok()?).arg("--").arg(program);
            wrapper
        } else if let Some(uid) = self.uid {
            let mut wrapper = Command::new("setpriv");
            wrapper.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
            wrapper.args(["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--", program]);
            wrapper
        } else {
            Command::new(program)
        };
        // A group of its own: what it starts in turn can be ended with it, and a Ctrl-C for the lab does not reach it.
        command.args(arguments).env_clear().envs(&self.variables).current_dir(&self.work).process_group(0);
        command.stdin(Stdio::null());
        Some(command)
    }

    /// Starts it with its output appended to `log`. Files, not pipes: it then survives the node.
    pub(super) fn start(&self, log: &Path) -> io::Result<(Child, ProcessId)> {
        std::fs::create_dir_all(&self.work)?;
        if let Some(uid) = self.uid {
            chown(&self.work, Some(uid), Some(uid))?;
        }
        std::fs::set_permissions(&self.work, PermissionsExt::from_mode(0o700))?;
        if let Some(contained) = &self.contained {
            std::fs::create_dir_all(&contained.root)?;
        }
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        let empty = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        let child = self.prepare().ok_or_else(empty)?.stdout(out.try_clone()?).stderr(out).spawn()?;
        let pid = child.id().and_then(|p| p.try_into().ok()).and_then(ProcessId::of);
        // A child that is not waited for yet has an entry in /proc, ended or not.
        Ok((child, pid.ok_or_else(|| io::Error::other("the process is not in /proc"))?))
    }

    /// Runs it to its end (an exec probe) and says whether it exited with 0. It is killed when this is dropped.
    pub(super) async fn succeeds(&self) -> io::Result<bool> {
        let Some(mut command) = self.prepare() else { return Ok(false) };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        Ok(child.wait().await?.success())
    }
}

/// Bounds the size of all logs: copies a large one aside and truncates it, as its writer keeps it open (in append mode, so
/// that it goes on at the new end).
pub(super) fn bound_logs(dir: &Path, limit: u64) {
    let pods = std::fs::read_dir(dir.join("pods")).into_iter().flatten().flatten();
    for file in pods.filter_map(|p| std::fs::read_dir(p.path()).ok()).flatten().flatten() {
        let path = file.path();
        let large = file.metadata().is_ok_and(|m| m.is_file() && m.len() > limit);
        if large
            && path.extension().is_some_and(|e| e == "log")
            && let Err(error) = move_aside(&path, limit)
        {
            tracing::warn!(%error, log = %path.display(), "cannot bound a log");
        }
    }
}

fn move_aside(path: &Path, limit: u64) -> io::Result<()> {
    let mut log = File::options().read(true).write(true).open(path)?;
    let from = log.metadata()?.len().saturating_sub(limit);
    log.seek(SeekFrom::Start(from))?;
    let mut old = File::create(path.with_extension("log.1"))?;
    io::copy(&mut Read::by_ref(&mut log).take(limit), &mut old)?;
    old.flush()?;
    log.set_len(0)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn launch(dir: &Path, script: &str) -> Launch {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let variables =
            BTreeMap::from([("GREETING".to_owned(), "hello".to_owned()), ("PATH".into(), "/bin:/usr/bin".into())]);
        Launch { command, variables, work: dir.join("work"), uid: None, contained: None }
    }

    async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn users_differ_by_address_and_site() {
        assert_eq!(uid_of(Ipv4Addr::new(10, 0, 0, 0)), FIRST_UID);
        assert_ne!(uid_of(Ipv4Addr::new(10, 90, 64, 20)), uid_of(Ipv4Addr::new(10, 91, 64, 20)));
    }

    #[tokio::test]
    async fn output_exit_code_and_directory() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("c.log");
        let (mut child, id) = launch(dir.path(), "echo $GREETING; pwd >&2; exit 3").start(&log).unwrap();
        assert_eq!(Exit::from(child.wait().await.unwrap()), Exit { code: 3, signal: None });
        assert!(!id.alive());
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("hello\n") && text.ends_with("/work\n"), "{text}");
    }

    #[tokio::test]
    async fn a_signal_ends_it_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (mut child, id) = launch(dir.path(), "exec sleep 1000").start(&dir.path().join("l")).unwrap();
        assert!(id.alive());
        id.signal(Signal::SIGTERM);
        assert_eq!(Exit::from(child.wait().await.unwrap()), Exit { code: 143, signal: Some(15) });
    }

    #[tokio::test]
    async fn its_group_ends_with_it_even_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("l");
        let (mut child, id) = launch(dir.path(), "sleep 1000 & echo $!; exit 0").start(&log).unwrap();
        child.wait().await.unwrap();
        let left: i32 = std::fs::read_to_string(&log).unwrap().trim().parse().unwrap();
        let left = ProcessId::of(left).unwrap();
        assert!(left.alive());
        id.kill_group(None);
        eventually("the process that was left behind ends", || !left.alive()).await;
    }

    #[tokio::test]
    async fn a_number_that_was_used_again_is_somebody_else() {
        let mut id = ProcessId::of_self().unwrap();
        assert!(id.alive());
        id.start -= 1;
        assert!(!id.alive());
        id.signal(Signal::SIGKILL); // or this test would not go on
        id.gone().await;
    }

    #[tokio::test]
    async fn pods_run_without_rights() {
        if !nix::unistd::geteuid().is_root() {
            return; // setpriv needs root; the lab does too
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let log = dir.path().join("l");
        let script = "id -u; id -G; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; touch mine && echo wrote; touch /etc/tnode || echo kept out";
        let launch = Launch { uid: Some(uid_of(Ipv4Addr::new(10, 90, 64, 20))), ..launch(dir.path(), script) };
        let (mut child, _) = launch.start(&log).unwrap();
        child.wait().await.unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("6114644\n6114644\n"), "{text}");
        for part in ["NoNewPrivs:\t1", "CapBnd:\t0000000000000000", "wrote", "kept out"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[tokio::test]
    async fn logs_stay_small_while_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let pod = dir.path().join("pods/p");
        std::fs::create_dir_all(&pod).unwrap();
        let log = pod.join("c.log");
        let script = "head -c 5000 /dev/zero; while [ ! -e go ]; do sleep 0.02; done; echo end";
        let (mut child, _) = launch(dir.path(), script).start(&log).unwrap();
        eventually("5000 bytes", || log.metadata().is_ok_and(|m| m.len() == 5000)).await;
        bound_logs(dir.path(), 1000);
        assert_eq!((log.metadata().unwrap().len(), pod.join("c.log.1").metadata().unwrap().len()), (0, 1000));
        std::fs::write(dir.path().join("work/go"), "").unwrap();
        child.wait().await.unwrap();
        assert_eq!(std::fs::read(&log).unwrap(), b"end\n");
    }

    #[tokio::test]
    async fn exec_probes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        assert!(launch(dir.path(), "exit 0").succeeds().await.unwrap());
        assert!(!launch(dir.path(), "exit 1").succeeds().await.unwrap());
    }
}
