//! How a lab stands, for people and for programs.
#![allow(clippy::print_stdout)] // this is what it is for

use crate::city::Count;
use crate::control::Status;
use crate::postgres::Cluster;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Prints a status as tables.
pub fn print(status: &Status, counts: &[Count], clusters: &[Cluster]) {
    println!("lab {} · Kubernetes {}\n", status.prefix, status.version);
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["PLACE", "PROGRAM", "STATE", "PID", "FOR", "RESTARTS", "MEMORY"]);
    for program in &status.programs {
        table.add_row([
            program.place.clone(),
            program.program.clone(),
            program.state.clone(),
            program.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            span(program.since_seconds),
            program.restarts.to_string(),
            program.memory.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
        ]);
    }
    println!("{table}");
    if !status.addresses.is_empty() {
        println!();
    }
    for (program, address) in &status.addresses {
        println!("{program}: {address}");
    }
    for cut in &status.cuts {
        println!("cut: {cut}");
    }
    for place in &status.powered_off {
        println!("without power: {place}");
    }
    if !clusters.is_empty() {
        println!();
    }
    for cluster in clusters {
        println!("{cluster}");
    }
    if !counts.is_empty() {
        println!();
    }
    for count in counts {
        println!("{}: {}/{} {} Ready", count.site, count.ready, count.all, count.kind.plural());
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_read_well() {
        assert_eq!(span(5), "5 s");
        assert_eq!(span(125), "2 min");
        assert_eq!(span(7_300), "2 h");
    }
}
