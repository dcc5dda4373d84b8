//! The pins on disk.

use std::io;
use std::path::Path;

use super::Pins;
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
