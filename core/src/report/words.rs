//! Figures as people read them.

use crate::failover::Token;

/// A time in milliseconds, in seconds.
pub(super) fn seconds(millis: u64) -> String {
    let (whole, rest) = (millis / 1000, millis % 1000);
    if rest == 0 { format!("{whole} s") } else { format!("{whole}.{rest:03} s") }
}

/// A time that may not be known.
pub(super) fn seconds_or(millis: Option<u64>, unknown: &str) -> String {
    millis.map_or_else(|| unknown.to_owned(), seconds)
}

/// A token as it is compared: generation, epoch, execution, step.
pub(super) fn token(token: &Token) -> String {
    format!("{}.{}.{}.{}", token.generation, token.epoch, token.execution, token.step)
}
