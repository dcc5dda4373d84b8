//! The only place that prints.

use std::error::Error;
use std::io::Write;

/// Writes results to standard output. A reader that has gone away is no error of ours.
pub fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line about what is going on to standard error.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes an error and what caused it to standard error.
pub fn error(error: &dyn Error) {
    note(&format!("error: {}", chain(error)));
}

/// An error and what caused it, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        source = cause.source();
    }
    text
}
