//! What the node must still know after a restart: one small file for each pod that has processes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::process::ProcessId;

const FILE: &str = "state.json";

/// A pod's record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PodState {
    pub(super) uid: String,
    /// The pod's address.
    pub(super) ip: Option<std::net::Ipv4Addr>,
    pub(super) containers: Vec<ContainerState>,
}

/// A container's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ContainerState {
    pub(super) name: String,
    pub(super) restarts: i32,
    /// The process, while it runs.
    pub(super) process: Option<ProcessId>,
    /// When the process was started.
    pub(super) since: Timestamp,
    /// An init container that has completed.
    #[serde(default)]
    pub(super) completed: bool,
}

/// The directory of one pod: `<dir>/pods/<namespace>_<name>_<uid>`.
#[derive(Debug, Clone)]
pub(super) struct PodDir(PathBuf);

impl PodDir {
    pub(super) fn new(dir: &Path, namespace: &str, name: &str, uid: &str) -> Self {
        Self(dir.join("pods").join(format!("{namespace}_{name}_{uid}")))
    }

    /// The log of a container, kept after its end.
    pub(super) fn log(&self, container: &str) -> PathBuf {
        self.0.join(format!("{container}.log"))
    }

    /// The working directory of a container, gone after its pod's end.
    pub(super) fn work(&self, container: &str) -> PathBuf {
        self.0.join("work").join(container)
    }

    /// What a volume of the pod holds, gone after its pod's end.
    pub(super) fn volume(&self, name: &str) -> PathBuf {
        self.0.join("volumes").join(name)
    }

    /// Where a container's file system is put together; empty for everybody else.
    pub(super) fn root(&self, container: &str) -> PathBuf {
        self.0.join("root").join(container)
    }

    /// The names that a container knows.
    pub(super) fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    /// Reads the record back. `None` where there is none, or none that can be read.
    pub(super) fn load(&self) -> Option<PodState> {
        serde_json::from_slice(&std::fs::read(self.0.join(FILE)).ok()?).ok()
    }

    /// Writes the record: whole or not at all.
    pub(super) fn save(&self, state: &PodState) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        file.persist(self.0.join(FILE)).map_err(|e| e.error)?;
        Ok(())
    }

    /// Removes all but the logs.
    pub(super) fn clear(&self) {
        let files = [self.0.join(FILE), self.hosts()].map(std::fs::remove_file);
        let folders = ["work", "volumes", "root"].map(|name| std::fs::remove_dir_all(self.0.join(name)));
        for result in files.into_iter().chain(folders) {
            if let Err(error) = result
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, directory = %self.0.display(), "cannot clean up after a pod");
            }
        }
    }
}

/// All records on disk.
pub(super) fn load_all(dir: &Path) -> Vec<(PodDir, PodState)> {
    let Ok(entries) = std::fs::read_dir(dir.join("pods")) else { return Vec::new() };
    entries.flatten().map(|e| PodDir(e.path())).filter_map(|d| Some((d.clone(), d.load()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_logs_outlive_them() {
        let dir = tempfile::tempdir().unwrap();
        let pod = PodDir::new(dir.path(), "ns", "p", "u");
        assert_eq!(pod.load(), None);
        let container = ContainerState {
            name: "c".into(),
            restarts: 3,
            process: Some(ProcessId::of_self().unwrap()),
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            completed: false,
        };
        let state = PodState { uid: "u".into(), ip: Some([10, 0, 0, 20].into()), containers: vec![container] };
        pod.save(&state).unwrap();
        std::fs::write(pod.log("c"), "hello").unwrap();
        std::fs::create_dir_all(pod.work("c")).unwrap();
        let all = load_all(dir.path());
        assert_eq!((all.len(), &all[0].1), (1, &state));
        pod.clear();
        assert!(load_all(dir.path()).is_empty());
        assert!(!pod.work("c").exists());
        assert_eq!(std::fs::read(pod.log("c")).unwrap(), b"hello");
    }
}
