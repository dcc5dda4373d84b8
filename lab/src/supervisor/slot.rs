//! One program of the running lab, kept running for as long as it is wanted.

use super::{Supervisor, lock};
use crate::apart::{self, Tree};
use crate::process::{ProcessId, Program};
use nix::sys::signal::Signal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How soon a program that ended is started again, at first and at last.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
const LAST_AGAIN: Duration = Duration::from_secs(8);
/// Who has run for so long has started well.
const STARTED_WELL: Duration = Duration::from_secs(20);

/// A program and how it stands.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) program: Program,
    /// Arguments that were added since; the last of a name is the one that counts.
    more: Mutex<Vec<String>>,
    seen: Mutex<Seen>,
    /// What its starts were apart in, as long as something of them runs.
    trees: Mutex<Vec<Tree>>,
    wanted: watch::Sender<bool>,
}

/// How a program stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) process: Option<ProcessId>,
    pub(super) paused: bool,
    pub(super) since: Instant,
    pub(super) restarts: u32,
    pub(super) wanted: bool,
}

impl Seen {
    /// In a word, for people.
    pub(super) fn state(&self) -> &'static str {
        match (self.process, self.paused, self.wanted) {
            (Some(_), true, _) => "paused",
            (Some(_), false, _) => "running",
            (None, _, true) => "starting again",
            (None, _, false) => "down",
        }
    }
}

impl Slot {
    pub(super) fn new(program: Program) -> Self {
        let seen = Seen { process: None, paused: false, since: Instant::now(), restarts: 0, wanted: true };
        Self {
            program,
            more: Mutex::default(),
            seen: Mutex::new(seen),
            trees: Mutex::default(),
            wanted: watch::channel(true).0,
        }
    }

    /// Has the program started with these arguments too, from its next start on.
    pub(super) fn add_arguments(&self, more: &[String]) {
        let mut known = lock(&self.more);
        for argument in more {
            if !known.contains(argument) {
                known.push(argument.clone());
            }
        }
    }

    /// The program as it is to be started next.
    pub(super) fn to_start(&self) -> Program {
        let mut program = self.program.clone();
        program.arguments.extend(lock(&self.more).iter().cloned());
        program
    }

    /// Ends the program for good; says whether its process was seen to be gone before the deadline.
    pub(super) fn end(&self, deadline: Duration) -> bool {
        self.want(false);
        let started = Instant::now();
        self.signal(Signal::SIGKILL);
        while self.seen().process.is_some_and(ProcessId::is_running) || apart::any(&lock(&self.trees)) {
            if started.elapsed() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Says whether the program is to run. What runs is not ended by this.
    pub(super) fn want(&self, wanted: bool) {
        let mut seen = lock(&self.seen);
        seen.wanted = wanted;
        // While it is locked: two that want different things must not leave one half each.
        self.wanted.send_replace(wanted);
    }

    pub(super) fn seen(&self) -> Seen {
        *lock(&self.seen)
    }

    /// Signals the program, and where it is apart from all else also what it started.
    pub(super) fn signal(&self, signal: Signal) {
        let mut seen = lock(&self.seen);
        apart::signal(&lock(&self.trees), signal);
        let Some(process) = seen.process else { return };
        process.signal(signal);
        match signal {
            Signal::SIGSTOP => seen.paused = true,
            Signal::SIGCONT => seen.paused = false,
            _ => {}
        }
    }

    /// Ends the program and nothing that it started: a database lives on without what looks after it.
    pub(super) fn kill_alone(&self) {
        if let Some(process) = self.seen().process {
            process.signal(Signal::SIGKILL);
        }
    }

    /// Keeps what the program was started in.
    pub(super) fn is_apart(&self, tree: Option<Tree>) {
        let mut trees = lock(&self.trees);
        trees.retain(|tree| apart::any(std::slice::from_ref(tree)));
        trees.extend(tree);
    }

    pub(super) fn became(&self, process: Option<ProcessId>) {
        let mut seen = lock(&self.seen);
        seen.process = process;
        seen.paused = false;
        seen.since = Instant::now();
    }
}

/// Keeps a program running for as long as it is wanted, until the lab is taken down.
pub(super) async fn keep(supervisor: Arc<Supervisor>, slot: Arc<Slot>) {
    let name = slot.program.full_name();
    let mut wanted = slot.wanted.subscribe();
    let mut again = FIRST_AGAIN;
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let started = Instant::now();
        match supervisor.spawn(&slot) {
            Ok(Some(mut child)) => {
                tracing::info!(program = name, pid = child.id(), "started");
                let ended = child.wait().await;
                tracing::info!(program = name, ?ended, "ended");
            }
            Ok(None) if supervisor.is_closing() => return,
            Ok(None) => continue,
            Err(error) => tracing::error!(program = name, %error, "cannot be started"),
        }
        slot.became(None);
        if let Err(error) = supervisor.record(|state| {
            state.processes.remove(&name);
        }) {
            tracing::error!(program = name, error = &error as &dyn std::error::Error, "not recorded");
        }
        if !*wanted.borrow() {
            again = FIRST_AGAIN;
            continue;
        }
        lock(&slot.seen).restarts += 1;
        again = if started.elapsed() >= STARTED_WELL { FIRST_AGAIN } else { again };
        tokio::time::sleep(again).await;
        again = (again * 2).min(LAST_AGAIN);
    }
}
