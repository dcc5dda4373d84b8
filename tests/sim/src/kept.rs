//! Failing cases that are kept, so that they are run again for ever.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::schedule::Case;

/// A failing case as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The world.
    pub world: String,
    /// Which invariant was broken, and how, when it was found.
    pub found: String,
    /// The case.
    pub case: Case,
}

/// A folder or a file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The system refuses.
    #[error("cannot use {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no case.
    #[error("{} is not a kept case; run the seed again with --keep", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The folder of the kept cases.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// Keeps a case; returns its file.
///
/// # Errors
/// Where the folder cannot be written.
pub fn keep(folder: &Path, kept: &Kept) -> Result<PathBuf, KeptError> {
    let path = folder.join(format!("{}-{}.json", kept.world, kept.case.seed));
    let file = |source| KeptError::File { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(file)?;
    let malformed = |source| KeptError::Malformed { path: path.clone(), source };
    let text = serde_json::to_string_pretty(kept).map_err(malformed)?;
    std::fs::write(&path, text + "\n").map_err(file)?;
    Ok(path)
}

/// Every kept case of a folder, in the order of their files; none where there is no folder.
///
/// # Errors
/// Where one cannot be read.
pub fn all(folder: &Path) -> Result<Vec<Kept>, KeptError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.into_iter().map(|path| read(&path)).collect()
}

/// One kept case.
///
/// # Errors
/// Where it cannot be read.
pub fn read(path: &Path) -> Result<Kept, KeptError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeptError::File { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| KeptError::Malformed { path: path.to_owned(), source })
}
