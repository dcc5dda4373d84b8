//! An error with all that caused it, on one line.

use std::error::Error;
use std::fmt;

/// Shows an error and its sources, outermost first.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let told = cause.to_string();
            // Some libraries repeat their source in their own text.
            if !text.contains(&told) {
                text = format!("{text}: {told}");
            }
            source = cause.source();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("outer")]
        Terse(#[source] fmt::Error),
        #[error("outer: {0}")]
        Telling(#[source] fmt::Error),
    }

    #[test]
    fn every_cause_is_shown_once() {
        let wanted = format!("outer: {}", fmt::Error);
        for error in [Outer::Terse(fmt::Error), Outer::Telling(fmt::Error)] {
            assert_eq!(Chain(&error).to_string(), wanted);
        }
    }
}
