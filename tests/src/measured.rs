//! Figures of a benchmark that takes long: kept line by line, so that a run that was stopped goes on where it was, and shown as
//! medians and worst cases.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// What one round gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// `T`, in seconds.
    pub t: u64,
    /// What was done, such as `power-off`.
    pub kind: String,
    /// Figures by name, in milliseconds or as counts; the name says which.
    pub figures: BTreeMap<String, f64>,
}

/// The rounds so far, in a file.
#[derive(Debug)]
pub struct Rounds {
    file: File,
    rounds: Vec<Round>,
}

impl Rounds {
    /// Opens the file; a last line that was cut off is left out.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut rounds = Vec::new();
        if path.exists() {
            for line in BufReader::new(File::open(path)?).lines() {
                rounds.extend(serde_json::from_str::<Round>(&line?).ok());
            }
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if !rounds.is_empty() {
            // After a line that was cut off, a new one begins.
            file.write_all(b"\n")?;
        }
        Ok(Self { file, rounds })
    }

    /// How many rounds of a kind there are.
    #[must_use]
    pub fn count(&self, t: u64, kind: &str) -> usize {
        self.rounds.iter().filter(|round| round.t == t && round.kind == kind).count()
    }

    /// Keeps a round.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn keep(&mut self, round: Round) -> io::Result<()> {
        let mut line = serde_json::to_vec(&round)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.rounds.push(round);
        Ok(())
    }

    /// Every figure: `T`, kind, name, how many, median and worst.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let kinds: BTreeSet<(u64, &str)> = self.rounds.iter().map(|round| (round.t, round.kind.as_str())).collect();
        for (t, kind) in kinds {
            let of = || self.rounds.iter().filter(move |round| round.t == t && round.kind == kind);
            let names: BTreeSet<&String> = of().flat_map(|round| round.figures.keys()).collect();
            for name in names {
                let mut values: Vec<f64> = of().filter_map(|round| round.figures.get(name).copied()).collect();
                values.sort_by(f64::total_cmp);
                rows.push(Row {
                    t,
                    kind: kind.to_owned(),
                    name: name.clone(),
                    count: values.len(),
                    median: median(&values),
                    worst: values.last().copied().unwrap_or_default(),
                });
            }
        }
        rows
    }
}

/// One figure of all rounds of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `T`, in seconds.
    pub t: u64,
    /// What was done.
    pub kind: String,
    /// Which figure.
    pub name: String,
    /// How many rounds have it.
    pub count: usize,
    /// The middle one.
    pub median: f64,
    /// The greatest.
    pub worst: f64,
}

/// Of values in order, the middle one; of an even number of them, the mean of the two.
fn median(sorted: &[f64]) -> f64 {
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (n, half) if n % 2 == 0 => f64::midpoint(sorted[half - 1], sorted[half]),
        (_, half) => sorted[half],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(t: u64, kind: &str, value: f64) -> Round {
        Round { t, kind: kind.into(), figures: BTreeMap::from([("gapMillis".into(), value)]) }
    }

    #[test]
    fn a_run_that_was_stopped_goes_on_and_half_a_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rounds.jsonl");
        let mut rounds = Rounds::open(&path).unwrap();
        rounds.keep(round(5, "power-off", 7.0)).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"t\": 5, \"kind\": \"pow").unwrap();
        let mut rounds = Rounds::open(&path).unwrap();
        assert_eq!(rounds.count(5, "power-off"), 1);
        rounds.keep(round(5, "power-off", 9.0)).unwrap();
        let rounds = Rounds::open(&path).unwrap();
        assert_eq!((rounds.count(5, "power-off"), rounds.count(10, "power-off")), (2, 0));
        let rows = rounds.rows();
        assert_eq!((rows.len(), rows[0].median, rows[0].worst), (1, 8.0, 9.0));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!([median(&[]), median(&[3.0]), median(&[1.0, 3.0]), median(&[1.0, 2.0, 9.0])] == [0.0, 3.0, 2.0, 2.0]);
    }
}
