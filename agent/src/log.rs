//! All that was asked, one JSON object a line, on disk and to be read over HTTP.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use tandem_core::failover::Token;

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When the question came, in nanoseconds of this machine's boot clock.
    pub asked_nanos: u64,
    /// When it was answered, likewise.
    pub answered_nanos: u64,
    /// What: a call's name, `write`, or `drop` for numbers that the active site never got.
    pub what: String,
    /// Under which token; of a write, the highest seen.
    pub token: Token,
    /// The fence of a site that fenced itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
    /// What became of it: `done`, `refused`, `failed`; of a write `accepted`, `refused` or `unknown`.
    pub outcome: String,
    /// Why, where it was not done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The position afterwards.
    pub position: u64,
}

/// The log.
#[derive(Debug)]
pub struct Log {
    file: File,
    lines: Vec<Line>,
}

/// Nanoseconds of a reading of the boot clock.
#[must_use]
pub fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

impl Log {
    /// Goes on with the log in this folder.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("log.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            read => read.unwrap_or_default(),
        };
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(path)?, lines })
    }

    /// Adds a line.
    pub fn add(&mut self, line: Line) {
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            tracing::error!(%error, "the log cannot be written");
        }
        self.lines.push(line);
    }

    /// The lines after so many.
    #[must_use]
    pub fn after(&self, count: usize) -> &[Line] {
        &self.lines[count.min(self.lines.len())..]
    }
}
