//! What people see of what takes its time: a moving line on a terminal, plain lines elsewhere.
#![allow(clippy::print_stdout)] // this is where the lab speaks

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a plain line is written about a step that goes on.
const EVERY: Duration = Duration::from_secs(10);

/// Tells people what is being done.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    moving: bool,
}

/// A step that is being done.
#[derive(Debug)]
pub struct Step<'a> {
    progress: &'a Progress,
    name: String,
    begun: Instant,
    bar: Option<ProgressBar>,
    told: Mutex<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { started: Instant::now(), moving: std::io::stdout().is_terminal() }
    }
}

impl Progress {
    /// Says something.
    pub fn say(&self, text: &str) {
        println!("[{:6.1} s] {text}", self.started.elapsed().as_secs_f64());
    }

    /// Begins a step.
    #[must_use]
    pub fn begin(&self, name: &str) -> Step<'_> {
        let bar = self.moving.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let now = Instant::now();
        Step { progress: self, name: name.to_owned(), begun: now, bar, told: Mutex::new(now) }
    }
}

impl Step<'_> {
    /// Says how far the step is.
    pub fn note(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {text}", self.name));
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.elapsed() >= EVERY {
            *told = Instant::now();
            self.progress.say(&format!("  … {}: {text}", self.name));
        }
    }

    /// The step is done.
    pub fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.progress.say(&format!("{} ({:.1} s)", self.name, self.begun.elapsed().as_secs_f64()));
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
