//! Measures failovers of a database under writes: power-offs, partitions and planned switchovers on the lab, with clients that
//! write to `tandem-ledger` through the balancer; how long all 530 groups of the city take; and beside them a plain Patroni cluster
//! over the same three places, failed over in the same way. `make bench-failover` runs it; it tests nothing but that no write that
//! was acknowledged is missing beyond what was said.
//!
//! Each round is kept as soon as it is over (`--results FILE`), so that a run that was stopped goes on where it was.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

mod city;
mod plain;
mod rounds;

use clap::Parser;
use comfy_table::{Table, presets};
use std::path::PathBuf;
use tandem_tests::measured::{Rounds, Row};

#[derive(Debug, Parser)]
#[command(about = "Measures failovers of a database under writes, on labs of its own")]
struct Arguments {
    /// Where rounds are kept, and taken up again.
    #[arg(long, default_value = "failover-rounds.jsonl")]
    results: PathBuf,
    /// How many power-offs, and as many switchovers home, at T = 5 s.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How many partitions at T = 5 s, and how many of each at T = 10 s and 30 s.
    #[arg(long, default_value_t = 3)]
    few: usize,
    /// Leave out what moves the whole city.
    #[arg(long)]
    no_city: bool,
    /// Print what is there, and measure nothing.
    #[arg(long)]
    show: bool,
    /// What a test would be told; not used.
    #[arg(long, hide = true)]
    nocapture: bool,
    /// Likewise.
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    let mut rounds = Rounds::open(&arguments.results).unwrap();
    if !arguments.show {
        for (t, count) in [(5, arguments.rounds), (10, arguments.few), (30, arguments.few)] {
            rounds::run(&mut rounds, t, count, arguments.few).await;
        }
        if !arguments.no_city {
            city::run(&mut rounds, 1).await;
        }
    }
    show(&rounds.rows());
}

/// Figures by `T` and kind, and how many times the plain cluster's each is.
fn show(rows: &[Row]) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["T", "what", "figure", "rounds", "median", "worst", "of plain Patroni's median"]);
    for row in rows {
        // Counts say how fast the clients wrote, which is not compared.
        let plain = rows.iter().find(|plain| {
            row.name.ends_with("Millis")
                && plain.t == row.t
                && plain.name == row.name
                && plain.kind == format!("plain {}", row.kind)
                && plain.median > 0.0
        });
        let ratio = plain.map_or_else(String::new, |plain| format!("{:.2}", row.median / plain.median));
        let figure = |value: f64| {
            if row.name.ends_with("Millis") { format!("{:.2} s", value / 1000.0) } else { format!("{value:.0}") }
        };
        table.add_row([
            format!("{} s", row.t),
            row.kind.clone(),
            row.name.clone(),
            row.count.to_string(),
            figure(row.median),
            figure(row.worst),
            ratio,
        ]);
    }
    println!("{table}");
}
