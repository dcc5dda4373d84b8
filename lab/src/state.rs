//! What has to be known to take a lab down whatever became of it, on disk before it is needed.

use crate::layout::Layout;
use crate::network::{self, Cut};
use crate::plan::Plan;
use crate::process::ProcessId;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How long processes may take to end after SIGKILL.
const END: Duration = Duration::from_secs(10);

/// What is on disk of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Names and addresses.
    pub plan: Plan,
    /// The supervisor.
    pub supervisor: Option<ProcessId>,
    /// Every program that was started and has not been seen to end, by full name.
    pub processes: BTreeMap<String, ProcessId>,
    /// The loopback ports, by what they lead to.
    pub ports: BTreeMap<String, u16>,
    /// The cuts in force.
    pub cuts: Vec<Cut>,
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
}

impl State {
    /// A lab of which nothing runs yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { plan, supervisor: None, processes: BTreeMap::new(), ports: BTreeMap::new(), cuts: Vec::new() }
    }

    /// Reads what is on disk; nothing where there is no lab.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(layout: &Layout) -> Result<Option<Self>, StateError> {
        let path = layout.state();
        let shown = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(state) => Ok(Some(state)),
                Err(source) => Err(StateError::Content { path: shown, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::File { path: shown, source }),
        }
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
        // What the programs themselves started, the pods' processes among them, is in the lab's namespaces and only there.
        for namespace in self.plan.namespaces().iter().filter(|namespace| network::exists(namespace)) {
            processes.extend(network::processes(namespace)?.into_iter().filter_map(ProcessId::of));
        }
        for process in &processes {
            process.signal(Signal::SIGKILL);
        }
        wait_for_end(&processes)?;
        network::remove(&self.plan)?;
        let cleared = layout.clear(&self.plan);
        cleared.map_err(|source| StateError::File { path: layout.dir.display().to_string(), source })?;
        for path in [layout.socket(), layout.state()] {
            if let Err(source) = fs::remove_file(&path)
                && source.kind() != io::ErrorKind::NotFound
            {
                return Err(StateError::File { path: path.display().to_string(), source });
            }
        }
        Ok(())
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
