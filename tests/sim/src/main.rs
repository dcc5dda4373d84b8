//! `tandem-sim`: runs seeds until one breaks an invariant.
#![allow(clippy::print_stderr, clippy::print_stdout)] // it speaks to people

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_sim::kept::{self, Kept};
use tandem_sim::sweep::{Swept, sweep};
use tandem_sim::worlds::failover::Failover;
use tandem_sim::worlds::membership::Membership;
use tandem_sim::{Case, Digest, World, case_of, describe, digest, run, smallest};

/// Tries to break the failover protocol, one seed after another.
#[derive(Debug, Parser)]
#[command(
    name = "tandem-sim",
    version,
    after_help = "Examples:
  tandem-sim --seeds 1000000            a million seeds on all cores
  tandem-sim --seed 4711 --trace 200    one seed, with the last 200 things that happened
  tandem-sim --file kept.json           a kept case
  tandem-sim --without sending          leave a guard out: a violation must be found

Exit codes: 0 no violation, 1 a violation, 2 called wrongly."
)]
struct Arguments {
    /// What is simulated; every world in turn if left out.
    #[arg(long, value_enum)]
    world: Option<Which>,
    /// How many seeds of each world.
    #[arg(long, default_value_t = 20_000, value_name = "NUMBER")]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,
    /// How many threads; all cores if left out.
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<usize>,
    /// Run this one seed and say what happened.
    #[arg(long, value_name = "SEED", conflicts_with = "file")]
    seed: Option<u64>,
    /// Run the case in this file and say what happened.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many of the last things that happened are shown of a failing case, or of the one that was asked for.
    #[arg(long, value_name = "LINES", num_args = 0..=1, default_value_t = 60, default_missing_value = "100000")]
    trace: usize,
    /// Keep a failing seed's case in this folder; without a name, in the tests' own.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions"))]
    keep: Option<PathBuf>,
    /// Print what each seed comes to, in one number: two builds that print the same simulate the same.
    #[arg(long)]
    digest: bool,
    /// Leave a guard of the protocol out; an unknown name lists those that the world knows.
    #[arg(long, default_value = "nothing", value_name = "GUARD")]
    without: String,
}

/// The worlds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The whole protocol: who is active, and how that moves.
    Failover,
    /// Heartbeats and leaders of both sites.
    Membership,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match worlds(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tandem-sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn worlds(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let kept = arguments.file.as_deref().map(kept::read).transpose()?;
    let named = |which| match which {
        Which::Failover => Failover::NAME,
        Which::Membership => Membership::NAME,
    };
    let mut well = true;
    for which in [Which::Failover, Which::Membership] {
        let wanted = match (&kept, arguments.world) {
            (Some(kept), _) => kept.world == named(which),
            (None, Some(world)) => world == which,
            // One seed is of one world.
            (None, None) => arguments.seed.is_none() || which == Which::Failover,
        };
        if wanted {
            well &= match which {
                Which::Failover => simulate::<Failover>(arguments, &arguments.without.parse()?)?,
                Which::Membership => simulate::<Membership>(arguments, &arguments.without.parse()?)?,
            };
        }
    }
    Ok(well)
}

fn simulate<W: World>(arguments: &Arguments, config: &W::Config) -> Result<bool, kept::KeptError> {
    let one = match (&arguments.file, arguments.seed) {
        (Some(file), _) => Some(kept::read(file)?.case),
        (None, Some(seed)) => Some(case_of::<W>(seed)),
        (None, None) => None,
    };
    if let Some(case) = one {
        print!("{}", describe::<W>(&case, config, arguments.trace));
        return Ok(run::<W>(&case, config, 0).violation.is_none());
    }
    if arguments.digest {
        for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
            let Digest { violation, events, state } = digest::<W>(&case_of::<W>(seed), config);
            let found = violation.map_or_else(|| "none".to_owned(), |violation| violation.to_string());
            println!("{} {seed}: {events} events, {state:016x}, {found}", W::NAME);
        }
        return Ok(true);
    }
    match all::<W>(arguments, config).failed {
        None => Ok(true),
        Some((case, violation)) => {
            println!("seed {} breaks an invariant: {violation}\nmaking it small ...", case.seed);
            let small = if violation.invariant == "no panic" { case } else { smallest::<W>(&case, config) };
            print!("{}", describe::<W>(&small, config, arguments.trace));
            keep::<W>(arguments, &small, violation.to_string())?;
            Ok(false)
        }
    }
}

fn all<W: World>(arguments: &Arguments, config: &W::Config) -> Swept {
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left");
    let bar = ProgressBar::new(arguments.seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let begun = Instant::now();
    let lines = Lines::new(arguments.seeds);
    let swept = sweep::<W>(arguments.from, arguments.seeds, jobs, config, |seeds| {
        bar.inc(seeds);
        lines.more(W::NAME, seeds);
    });
    bar.finish_and_clear();
    let took = begun.elapsed().as_secs_f64().max(1e-6);
    println!(
        "{}: {} seeds from {} in {took:.1} s on {jobs} threads: {:.0} seeds/s, {:.0} events a seed",
        W::NAME,
        swept.seeds,
        arguments.from,
        swept.seeds as f64 / took,
        swept.events as f64 / swept.seeds.max(1) as f64,
    );
    swept
}

/// Progress where there is no terminal to draw a bar on: a line now and then.
struct Lines {
    shown: bool,
    of: u64,
    begun: Instant,
    state: Mutex<(u64, Instant)>,
}

impl Lines {
    /// From one line to the next.
    const EVERY: Duration = Duration::from_secs(15);

    fn new(of: u64) -> Self {
        let begun = Instant::now();
        Self { shown: !std::io::stderr().is_terminal(), of, begun, state: Mutex::new((0, begun)) }
    }

    fn more(&self, world: &str, seeds: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += seeds;
        if self.shown && state.1.elapsed() >= Self::EVERY {
            state.1 = Instant::now();
            let a_second = state.0 as f64 / self.begun.elapsed().as_secs_f64();
            eprintln!("{world}: {} of {} seeds, {a_second:.0} seeds/s", state.0, self.of);
        }
    }
}

fn keep<W: World>(arguments: &Arguments, case: &Case, found: String) -> Result<(), kept::KeptError> {
    let Some(folder) = &arguments.keep else {
        println!("to keep it for ever, run again with --keep");
        return Ok(());
    };
    let path = kept::keep(folder, &Kept { world: W::NAME.to_owned(), found, case: case.clone() })?;
    println!("kept as {}", path.display());
    Ok(())
}
