//! Running the system's own tools, and saying what they said when they fail.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A tool that failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run {program}; mend it: install it, or put its folder on PATH")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It said that it failed.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The whole command.
        command: String,
        /// What it wrote.
        said: String,
    },
}

/// Where tools are looked for: `PATH`, then the administrators' folders, which the `PATH` of a root shell made by `su` lacks.
#[must_use]
pub fn path() -> OsString {
    let given = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&given).filter(|folder| !folder.as_os_str().is_empty()).collect();
    for usual in ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from) {
        if !folders.contains(&usual) {
            folders.push(usual);
        }
    }
    // No folder has a colon in its name: they were split at colons.
    env::join_paths(folders).unwrap_or(given)
}

/// Runs a tool to its end and gives back what it wrote to its output.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, CommandError> {
    run_with(program, arguments, "")
}

/// Runs a tool with this as its input.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run_with(program: &str, arguments: &[&str], input: &str) -> Result<String, CommandError> {
    let start = |source| CommandError::Start { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(arguments.iter().map(OsStr::new))
        .env("PATH", path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that does not read its input closes it, which is no failure.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CommandError::Failed { command: format!("{program} {}", arguments.join(" ")), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_given_back_and_input_is_passed_on() {
        assert_eq!(run_with("cat", &[], "what was given").unwrap(), "what was given");
    }

    #[test]
    fn a_failure_tells_the_command_and_what_it_said() {
        let error = run("sh", &["-c", "echo no such thing >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        let error = run("tandem-no-such-tool", &[]).unwrap_err().to_string();
        assert!(error.contains("tandem-no-such-tool") && error.contains("mend it"), "{error}");
    }

    #[test]
    fn the_administrators_folders_are_looked_into() {
        let path = path();
        let folders: Vec<PathBuf> = env::split_paths(&path).collect();
        assert!(folders.contains(&PathBuf::from("/usr/sbin")));
    }
}
