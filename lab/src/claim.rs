//! Whose a prefix is. Network namespaces are the machine's, so two labs must not have the same names for theirs; and one that
//! is taken down must not take another's with it.

use crate::layout::Layout;
use crate::network;
use crate::plan::{Plan, RUN};
use crate::process::ProcessId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What is written of a prefix that is taken.
#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    /// The folder of the lab.
    dir: PathBuf,
    /// Who took it.
    by: Option<ProcessId>,
}

/// Why a prefix cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another lab has it.
    #[error(
        "another lab has the prefix {prefix}: {who}; mend it: choose another --prefix, or take that lab down (tandem lab down \
         --dir FOLDER)"
    )]
    Taken {
        /// The prefix.
        prefix: String,
        /// What tells of that lab.
        who: String,
    },
    /// What is kept of claims cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// The file or folder.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

fn path_of(plan: &Plan) -> PathBuf {
    Path::new(RUN).join(format!("{}.json", plan.prefix))
}

/// A folder has many names, but one path without links.
fn own(layout: &Layout) -> PathBuf {
    layout.dir.canonicalize().unwrap_or_else(|_| layout.dir.clone())
}

/// What is claimed; a file that says nothing, as after a crash in the middle of writing, claims nothing.
fn read(path: &Path) -> io::Result<Option<Claim>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One at a time looks and writes: until the folder that this gives is dropped.
fn alone() -> Result<File, ClaimError> {
    let failed = |source| ClaimError::File { path: RUN.to_owned(), source };
    fs::create_dir_all(RUN).map_err(failed)?;
    let folder = File::open(RUN).map_err(failed)?;
    folder.lock().map_err(failed)?;
    Ok(folder)
}

/// Says whether the prefix is free for this lab.
///
/// # Errors
/// When another lab has it, or that cannot be found out.
pub fn look(plan: &Plan, layout: &Layout) -> Result<(), ClaimError> {
    let path = path_of(plan);
    let failed = |source| ClaimError::File { path: path.display().to_string(), source };
    let taken = |who: String| ClaimError::Taken { prefix: plan.prefix.clone(), who };
    if let Some(claim) = read(&path).map_err(failed)?
        && claim.dir != own(layout)
        && (claim.by.is_some_and(ProcessId::is_running) || Layout { dir: claim.dir.clone() }.state().exists())
    {
        return Err(taken(format!("the one in {}", claim.dir.display())));
    }
    match plan.namespaces().iter().find(|namespace| network::exists(namespace)) {
        Some(namespace) => Err(taken(format!("its network namespace {namespace} is there"))),
        None => Ok(()),
    }
}

/// Takes the prefix for this lab, for as long as this process runs or the lab's state is on disk.
///
/// # Errors
/// When another lab has it, or the claim cannot be written.
pub fn take(plan: &Plan, layout: &Layout) -> Result<(), ClaimError> {
    let _alone = alone()?;
    look(plan, layout)?;
    let path = path_of(plan);
    let claim = Claim { dir: own(layout), by: ProcessId::of_self() };
    let text = serde_json::to_vec(&claim).map_err(io::Error::other);
    text.and_then(|text| fs::write(&path, text))
        .map_err(|source| ClaimError::File { path: path.display().to_string(), source })
}

/// Whether what bears the prefix may be this lab's.
///
/// # Errors
/// When the claim cannot be read.
pub fn is_own(plan: &Plan, layout: &Layout) -> io::Result<bool> {
    Ok(read(&path_of(plan))?.is_none_or(|claim| claim.dir == own(layout)))
}

/// Gives the prefix back, if this lab has it.
///
/// # Errors
/// When the claim cannot be removed.
pub fn give_back(plan: &Plan, layout: &Layout) -> Result<(), ClaimError> {
    let _alone = alone()?;
    let path = path_of(plan);
    let removed = match is_own(plan, layout) {
        Ok(true) => fs::remove_file(&path),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| ClaimError::File { path: path.display().to_string(), source }),
    }
}
