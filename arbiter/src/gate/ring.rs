//! A replica's own transitions, for the checker.

use std::collections::VecDeque;
use std::time::Duration;

/// How many transitions are kept: some hours of a site whose groups all move every minute, in less than a megabyte.
pub const KEPT: usize = 4096;

/// That this replica's answer for a group changed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Counts from 1 without gaps: whoever reads the ring now and then sees whether it missed any.
    pub number: u64,
    /// When, on this machine's boot clock, in nanoseconds. For a fence this is the deadline itself, whenever it was noticed.
    #[serde(rename = "atNanos", serialize_with = "nanos")]
    pub at: Duration,
    /// The group.
    pub group: String,
    /// The epoch of the record that was applied.
    pub epoch: u64,
    /// Whether the answer is now 200.
    pub active: bool,
    /// Why.
    pub reason: String,
}

fn nanos<S: serde::Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
}

/// The newest [`KEPT`] transitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    count: u64,
    kept: VecDeque<Transition>,
}

impl Ring {
    pub(super) fn push(&mut self, at: Duration, group: &str, epoch: u64, active: bool, reason: String) {
        self.count += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Transition { number: self.count, at, group: group.to_owned(), epoch, active, reason });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Transition> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_gaps_can_be_seen() {
        let mut ring = Ring::default();
        for n in 0..KEPT as u64 + 5 {
            ring.push(Duration::from_secs(n), "g", n, n % 2 == 0, String::new());
        }
        let numbers: Vec<u64> = ring.iter().map(|transition| transition.number).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[KEPT - 1]), (KEPT, 6, KEPT as u64 + 5));
    }
}
