//! The latest writes that were asked for, in memory, for whoever judges a failover from the outside.

use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;

/// How many writes are kept: some minutes of a busy bench.
const KEPT: usize = 50_000;

/// Nanoseconds of this machine's boot clock, which nobody sets and which goes on while it sleeps.
#[must_use]
pub fn boot_nanos() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map_or(u64::MAX, |at| u64::try_from(std::time::Duration::from(at).as_nanos()).unwrap_or(u64::MAX))
}

/// A write that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The line's number, from 1 on; the process begins anew when it is started.
    pub line: u64,
    /// When the question came, in nanoseconds of this machine's boot clock.
    pub asked_nanos: u64,
    /// When it was answered, likewise.
    pub answered_nanos: u64,
    /// Who writes.
    pub writer: String,
    /// The writer's own number for the entry.
    pub number: i64,
    /// `accepted`, `refused` or `unknown`.
    pub outcome: &'static str,
    /// The entry's id, where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Under which epoch, where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// Why it was not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// The log.
#[derive(Debug, Default)]
pub struct Log {
    lines: Mutex<(u64, VecDeque<Line>)>,
}

impl Log {
    /// Adds a line; its number is given here. The oldest goes where there are too many.
    pub fn add(&self, line: Line) {
        let mut lines = self.lines.lock();
        lines.0 += 1;
        let number = lines.0;
        if lines.1.len() == KEPT {
            lines.1.pop_front();
        }
        lines.1.push_back(Line { line: number, ..line });
    }

    /// The lines after this one.
    #[must_use]
    pub fn after(&self, line: u64) -> Vec<Line> {
        self.lines.lock().1.iter().filter(|known| known.line > line).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_the_oldest_go() {
        let log = Log::default();
        let line = |number| Line {
            line: 0,
            asked_nanos: 1,
            answered_nanos: 2,
            writer: "w".to_owned(),
            number,
            outcome: "accepted",
            id: Some(1),
            epoch: Some(1),
            why: String::new(),
        };
        for number in 0..=i64::try_from(KEPT).unwrap() {
            log.add(line(number));
        }
        let last = u64::try_from(KEPT).unwrap() + 1;
        assert_eq!((log.after(0).len(), log.after(0)[0].line), (KEPT, 2));
        assert_eq!(
            log.after(last - 1).iter().map(|line| line.number).collect::<Vec<_>>(),
            [i64::try_from(KEPT).unwrap()]
        );
        assert!(log.after(last).is_empty());
    }
}
