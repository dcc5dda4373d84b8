//! Many seeds on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::run::{case_of, run, run_until_well};
use crate::schedule::Case;
use crate::world::{Violation, World};

/// How many seeds a thread takes at a time.
const BATCH: u64 = 64;

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// How many seeds ran.
    pub seeds: u64,
    /// How many events they had.
    pub events: u64,
    /// The failing seed with the lowest number among those that ran.
    pub failed: Option<(Case, Violation)>,
}

/// Runs the seeds from `from` on, `seeds` of them, on `jobs` threads, until one fails. `progress` is told now and then how many
/// more have run.
pub fn sweep<W: World>(from: u64, seeds: u64, jobs: usize, config: &W::Config, progress: impl Fn(u64) + Sync) -> Swept {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let swept = Mutex::new(Swept::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= seeds {
                        break;
                    }
                    let batch = batch::<W>(from.wrapping_add(first), BATCH.min(seeds - first), config);
                    progress(batch.seeds);
                    let mut swept = swept.lock().unwrap_or_else(PoisonError::into_inner);
                    swept.seeds += batch.seeds;
                    swept.events += batch.events;
                    if let Some(failed) = batch.failed {
                        stop.store(true, Ordering::Relaxed);
                        let known = swept.failed.as_ref().map_or(u64::MAX, |(case, _)| case.seed);
                        if failed.0.seed < known {
                            swept.failed = Some(failed);
                        }
                    }
                }
            });
        }
    });
    swept.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn batch<W: World>(from: u64, seeds: u64, config: &W::Config) -> Swept {
    let mut swept = Swept::default();
    for seed in from..from.saturating_add(seeds) {
        let case = case_of::<W>(seed);
        // A panic in the code under test is a finding like any other: it must name its seed.
        // Of every eight, one runs to its very end.
        let report = catch_unwind(AssertUnwindSafe(|| match seed % 8 {
            0 => run::<W>(&case, config, 0),
            _ => run_until_well::<W>(&case, config),
        }));
        swept.seeds += 1;
        let violation = match report {
            Ok(report) => {
                swept.events += report.events;
                report.violation
            }
            Err(_) => Some(Violation::new("no panic", format!("seed {seed} panicked"))),
        };
        if let Some(violation) = violation {
            swept.failed = Some((case, violation));
            break;
        }
    }
    swept
}
