//! Tables.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

/// A table without lines, as kubectl has them.
pub(crate) fn table<T: Into<comfy_table::Row>>(header: T) -> Table {
    let mut table = bare();
    table.set_header(header);
    table
}

/// The same without a header.
pub(crate) fn bare() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The table's lines, without what the preset puts around them.
pub(crate) fn lines(table: &Table) -> Vec<String> {
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect()
}

/// The table as text, each line ended.
pub(crate) fn text(table: &Table) -> String {
    lines(table).into_iter().map(|line| line + "\n").collect()
}

/// Seconds for people: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0);
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    if whole < 100.0 {
        return format!("{whole:.0} s");
    }
    // Within what a f64 holds exactly, and never negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = whole as u64;
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        let told: Vec<String> =
            [0.0, 0.44, 9.96, 59.6, 180.0, 200.4, 3600.0, 3900.0].into_iter().map(duration).collect();
        assert_eq!(told, ["0.0 s", "0.4 s", "10 s", "60 s", "3 min", "3 min 20 s", "1 h", "1 h 5 min"]);
    }
}
