//! Exit codes.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Ok,
    /// 1: input was refused, or something is not ready.
    Refused,
    /// 2: wrong usage, or a file cannot be read or written.
    Usage,
    /// 3: the cluster refused or did not answer.
    Cluster,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Cluster => 3,
        })
    }
}
