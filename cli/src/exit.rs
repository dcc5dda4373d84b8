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

impl Exit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Usage, Self::Cluster];

    /// The number that a shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Cluster => 3,
        }
    }

    /// What it says, whatever the command; a command's own help is more exact.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; nothing is wrong",
            Self::Refused => "input was refused, a rule does not allow it, or something is not in order",
            Self::Usage => "wrong usage, or a file cannot be read or written",
            Self::Cluster => "the cluster, the arbiter or the API refused or did not answer",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
