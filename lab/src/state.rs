//! What has to be known to take a lab down whatever became of it, on disk before it is needed.

use crate::claim;
use crate::layout::Layout;
use crate::network::{self, Cut};
use crate::plan::Plan;
use crate::postgres::Databases;
use crate::process::{ProcessId, boot_id};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long processes may take to end after SIGKILL.
const END: Duration = Duration::from_secs(10);

/// What is on disk of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Names and addresses.
    pub plan: Plan,
    /// The boot of the machine in which its processes run.
    #[serde(default)]
    pub boot: String,
    /// The supervisor.
    pub supervisor: Option<ProcessId>,
    /// Every program that was started and has not been seen to end, by full name.
    pub processes: BTreeMap<String, ProcessId>,
    /// The loopback ports, by what they lead to.
    pub ports: BTreeMap<String, u16>,
    /// The cuts in force.
    pub cuts: Vec<Cut>,
    /// The database clusters.
    #[serde(default)]
    pub databases: Databases,
}

/// Why a lab could not be taken down, or its state not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read or written.
    #[error("the lab's state cannot be kept in {path}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The file is no state of a lab.
    #[error("{path} is no state of a lab; if nothing of the lab is left, remove the file")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A process did not end.
    #[error("these processes did not end: {0:?}")]
    Lives(Vec<i32>),
    /// The network could not be removed.
    #[error("the network could not be removed")]
    Network(#[from] crate::command::CommandError),
    /// The prefix could not be given back.
    #[error("the prefix could not be given back")]
    Claim(#[from] claim::ClaimError),
}

impl State {
    /// A lab of which nothing runs yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let boot = boot_id();
        Self {
            plan,
            boot,
            supervisor: None,
            processes: BTreeMap::new(),
            ports: BTreeMap::new(),
            cuts: Vec::new(),
            databases: Databases::default(),
        }
    }

    /// Reads what is on disk; nothing where there is no lab. Of one that ran before the machine was started again, no process
    /// is left: its numbers are others' by now.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(layout: &Layout) -> Result<Option<Self>, StateError> {
        let path = layout.state();
        let shown = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => match serde_json::from_str::<Self>(&text) {
                Ok(state) => Ok(Some(state.of_this_boot())),
                Err(source) => Err(StateError::Content { path: shown, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::File { path: shown, source }),
        }
    }

    fn of_this_boot(self) -> Self {
        if self.boot == boot_id() { self } else { Self { supervisor: None, processes: BTreeMap::new(), ..self } }
    }

    /// Writes it to disk, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, layout: &Layout) -> Result<(), StateError> {
        let path = layout.state();
        let file = |source| StateError::File { path: path.display().to_string(), source };
        let text = serde_json::to_string_pretty(self).map_err(|error| file(io::Error::other(error)))?;
        let next = path.with_extension("next");
        fs::write(&next, text).and_then(|()| fs::rename(&next, &path)).map_err(file)
    }

    /// Ends every process of the lab by its id, removes its namespaces, and forgets it. What was written stays.
    ///
    /// # Errors
    /// When something is left; calling it again goes on from there.
    pub fn take_down(&self, layout: &Layout) -> Result<(), StateError> {
        // The supervisor first: it would start again what ends.
        let supervisor = self.supervisor.filter(|process| i32::try_from(std::process::id()) != Ok(process.pid));
        if let Some(supervisor) = supervisor {
            supervisor.signal(Signal::SIGKILL);
            wait_for_end(&[supervisor])?;
        }
        let mut processes: Vec<ProcessId> = self.processes.values().copied().collect();
        let file = |path: &Path, source| StateError::File { path: path.display().to_string(), source };
        // Had another lab taken the prefix since, what bears it would be that lab's.
        let own = claim::is_own(&self.plan, layout).map_err(|source| file(&layout.dir, source))?;
        let namespaces: Vec<String> = if own { self.plan.namespaces() } else { Vec::new() };
        loop {
            // What the programs themselves started, the pods' processes among them, is in the lab's namespaces and only there.
            for namespace in namespaces.iter().filter(|namespace| network::exists(namespace)) {
                processes.extend(network::processes(namespace)?.into_iter().filter_map(ProcessId::of));
            }
            if processes.is_empty() {
                break;
            }
            for process in &processes {
                process.signal(Signal::SIGKILL);
            }
            wait_for_end(&processes)?;
            // One of them may have started another just before its end.
            processes.clear();
        }
        if own {
            network::remove(&self.plan)?;
            // Empty, but for those who were shown something there, who are gone.
            for shown in self.plan.places().iter().flat_map(|place| place.shown()) {
                match fs::remove_dir(&shown) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(file(&shown, source)),
                    _ => {}
                }
            }
            for copies in self.plan.places().iter().flat_map(|place| [place.program_copies(), place.memory()]) {
                match fs::remove_dir_all(&copies) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(file(&copies, source)),
                    _ => {}
                }
            }
        }
        let cleared = layout.clear(&self.plan);
        cleared.map_err(|source| file(&layout.dir, source))?;
        for path in [layout.socket(), layout.state()] {
            if let Err(source) = fs::remove_file(&path)
                && source.kind() != io::ErrorKind::NotFound
            {
                return Err(file(&path, source));
            }
        }
        Ok(claim::give_back(&self.plan, layout)?)
    }
}

/// Waits until processes have ended.
///
/// # Errors
/// When one has not after ten seconds.
pub fn wait_for_end(processes: &[ProcessId]) -> Result<(), StateError> {
    let started = Instant::now();
    loop {
        let left: Vec<i32> =
            processes.iter().filter(|process| process.is_running()).map(|process| process.pid).collect();
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() >= END {
            return Err(StateError::Lives(left));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_survived_a_reboot_names_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { dir: dir.path().to_owned() };
        let mut state = State::new(Plan::new("t", "10.90", "dc-a,dc-b").unwrap());
        state.supervisor = ProcessId::of_self();
        state.processes.extend(ProcessId::of_self().map(|own| ("dc-a/etcd".to_owned(), own)));
        state.write(&layout).unwrap();
        let read = State::read(&layout).unwrap().unwrap();
        assert_eq!((read.supervisor, read.processes.len()), (ProcessId::of_self(), 1));
        state.boot = "another".to_owned();
        state.write(&layout).unwrap();
        let read = State::read(&layout).unwrap().unwrap();
        assert_eq!((read.supervisor, read.processes.len()), (None, 0));
    }
}
