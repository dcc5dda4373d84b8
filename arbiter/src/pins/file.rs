//! The pins on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::{Acceptance, Pins};
use crate::files;

/// Writes the pins whole or not at all.
///
/// # Errors
/// Where they cannot be written.
pub fn write_pins(path: &Path, pins: &Pins) -> io::Result<()> {
    files::replace(path, &serde_json::to_vec_pretty(pins)?)
}

/// Reads the pins; `None` where nothing was pinned yet.
///
/// # Errors
/// Where the file cannot be read, or is no pins: unlike a missing one it is never taken for a first start.
pub fn read_pins(path: &Path) -> io::Result<Option<Pins>> {
    files::read(path)?.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from)).transpose()
}

/// Where a person's word about a restored arbiter stands, beside the pins.
fn acceptance_file(pins: &Path) -> PathBuf {
    let mut name = pins.file_name().unwrap_or_default().to_owned();
    name.push(".accepted");
    pins.with_file_name(name)
}

/// Writes a person's word beside the pins, whole or not at all.
///
/// # Errors
/// Where it cannot be written.
pub fn write_acceptance(pins: &Path, word: &Acceptance) -> io::Result<()> {
    files::replace(&acceptance_file(pins), format!("{word}\n").as_bytes())
}

/// Reads a person's word beside the pins; `None` where there is none.
///
/// # Errors
/// Where it cannot be read, or names no arbiter.
pub fn read_acceptance(pins: &Path) -> io::Result<Option<Acceptance>> {
    let bytes = files::read(&acceptance_file(pins))?;
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).parse().map_err(io::Error::other)).transpose()
}
