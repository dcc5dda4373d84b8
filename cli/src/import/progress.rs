//! How far an import is: a bar on a terminal, a line now and then elsewhere.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a phase is told of where there is no terminal.
const TELL: Duration = Duration::from_secs(2);

/// One phase of an import.
pub struct Progress {
    what: &'static str,
    total: u64,
    done: AtomicU64,
    // Milliseconds after the beginning at which the phase was told of last.
    told: AtomicU64,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins a phase of so many steps.
    #[must_use]
    pub fn begin(what: &'static str, total: usize) -> Self {
        let total = total as u64;
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:14} [{bar:40}] {pos}/{len} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_message(what)
        });
        Self { what, total, done: AtomicU64::new(0), told: AtomicU64::new(0), begun: Instant::now(), bar }
    }

    /// One step is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if done < self.total && self.is_time_to_tell() => {
                output::note(&format!("{}: {done}/{} after {:.1} s", self.what, self.total, self.seconds()));
            }
            None => {}
        }
    }

    /// The phase is over.
    pub fn end(self, result: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        output::note(&format!("{}: {result} in {:.1} s", self.what, self.seconds()));
    }

    fn is_time_to_tell(&self) -> bool {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.told.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= TELL.as_millis() as u64;
        due && self.told.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}
