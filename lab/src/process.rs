//! Processes: started in a network namespace, known by id and time of start, never by name.

use crate::apart::{RunAs, Tree};
use crate::clock::WrongClock;
use crate::{command, network};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A program of the lab.
#[derive(Clone, Debug)]
pub struct Program {
    /// The place that it runs in.
    pub place: String,
    /// Its name there, such as `kube-apiserver` or `operator-0`.
    pub name: String,
    /// What is run.
    pub executable: PathBuf,
    /// With which arguments.
    pub arguments: Vec<String>,
    /// As whom, where it is not root.
    pub run_as: Option<RunAs>,
}

impl Program {
    /// Place and name, such as `dc-a/etcd`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.place, self.name)
    }

    /// Whether it is a replica of the operator.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.name.starts_with("operator-")
    }

    /// Starts the program in a network namespace, its output appended to a log, by a wrong wall clock where one is given. What
    /// is not root's is apart from all else, and is known as a whole by what it was started in.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(&self, namespace: &str, log: &Path, clock: Option<&WrongClock>) -> io::Result<(Child, Option<Tree>)> {
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        // nsenter becomes the program, so the process id is the program's own.
        let mut command = Command::new("nsenter");
        command
            .arg(network::net(namespace))
            .arg("--")
            .args(self.run_as.iter().flat_map(RunAs::become_it))
            .arg(&self.executable)
            .args(&self.arguments)
            .env("PATH", command::path())
            // Of a small machine's time the control planes would spend a quarter on collecting garbage; memory there is.
            .env("GOGC", "300")
            .envs(clock.into_iter().flat_map(WrongClock::environment))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        match &self.run_as {
            None => Ok((command.spawn()?, None)),
            Some(run_as) => {
                // Root's folders are not for it to go through, nor to begin in.
                command.env("HOME", "/").current_dir("/");
                let (child, tree) = run_as.apart(|| command.spawn())?;
                Ok((child, Some(tree)))
            }
        }
    }
}

/// A process, told from any other that later has the same id by the time of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: i32,
    /// When it was started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub started: u64,
}

impl ProcessId {
    /// The process that has an id now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may have spaces and parentheses of its own.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split_whitespace();
        // A zombie holds its id, but nothing runs any more.
        if fields.next()? == "Z" {
            return None;
        }
        Some(Self { pid, started: fields.nth(18)?.parse().ok()? })
    }

    /// This process.
    #[must_use]
    pub fn of_self() -> Option<Self> {
        i32::try_from(std::process::id()).ok().and_then(Self::of)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(self, signal: Signal) {
        if self.is_running() {
            // It may end in this very moment, which is what signals are for.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn memory(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1_024)
    }
}

/// What tells this boot of the machine from every other: process ids and times of start mean nothing beyond it.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_process_is_known_by_its_start() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = ProcessId::of(pid).unwrap();
        assert!(process.is_running());
        assert!(!ProcessId { started: process.started + 1, ..process }.is_running());
        assert!(process.memory().is_some());
        process.signal(Signal::SIGKILL);
        let deadline = Instant::now() + Duration::from_secs(5);
        while process.is_running() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
