//! Faults that a test stages.

use serde::{Deserialize, Serialize};
use tandem_arbiter::hooks::Call;

/// What is done to a call on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is never answered, and nothing is done.
    Hang,
    /// It is answered 500, and nothing is done.
    Fail,
}

/// A fault to stage.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Which call.
    pub call: Call,
    /// What happens to it.
    pub mode: Mode,
}
