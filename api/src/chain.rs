//! An error with all that caused it, for the log. Each error says its own part only.

use std::error::Error;
use std::fmt;

/// Shows an error and its sources, outermost first.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] fmt::Error);

    #[test]
    fn every_cause_is_shown_once() {
        assert_eq!(Chain(&Outer(fmt::Error)).to_string(), format!("outer: {}", fmt::Error));
    }
}
