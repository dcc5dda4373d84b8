//! `tandem lab …`: hands over to the sibling program `tandem-lab`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The program's name.
pub const PROGRAM: &str = "tandem-lab";

/// Why the lab's program could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// It is unknown where this program is, and so where its sibling would be.
    #[error("cannot find out where this program is")]
    Unknown(#[source] std::io::Error),
    /// The sibling is not there.
    #[error(
        "there is no {PROGRAM} beside this program ({0}): build it with `cargo build --release -p tandem-lab`, or run `make up`"
    )]
    Absent(PathBuf),
    /// The sibling cannot be run.
    #[error("cannot run {path}")]
    Run {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Becomes `tandem-lab`. Returns only when that fails.
///
/// # Errors
/// When there is no such program beside this one, or it cannot be run.
pub fn run(arguments: &[OsString]) -> Result<Infallible, LabError> {
    let own = std::env::current_exe().map_err(LabError::Unknown)?;
    let path = own.with_file_name(PROGRAM);
    if !path.is_file() {
        return Err(LabError::Absent(path));
    }
    let source = Command::new(&path).args(arguments).exec();
    Err(LabError::Run { path, source })
}
