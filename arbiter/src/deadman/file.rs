//! The gate file on disk; in fact on a file system in memory, so that a power-off leaves none.

use std::io;
use std::path::Path;

use super::GateFile;
use crate::files;

/// Writes the file whole or not at all.
///
/// # Errors
/// Where it cannot be written: a fence has then not been carried out.
pub fn write_gate_file(path: &Path, file: &GateFile) -> io::Result<()> {
    files::replace(path, &serde_json::to_vec(file)?)
}

/// Reads the file; `None` where there is none, or where it is not one: it then refuses as a missing one does.
///
/// # Errors
/// Where it exists and cannot be read.
pub fn read_gate_file(path: &Path) -> io::Result<Option<GateFile>> {
    Ok(files::read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
