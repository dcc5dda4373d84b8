//! For how long versions are kept.

use jiff::Timestamp;

use super::Version;

/// The fewest days that versions are kept: the six months that China's Cybersecurity Law asks of logs.
pub const LEAST_DAYS: u32 = 180;

/// How many of an object's versions, which are given oldest first, nobody needs any more who asks what bound since `cut`. What
/// was in force at the cut is needed, however old it is.
///
/// Times are wall clocks of several publishers: a version counts as older than the cut only where all before it do.
#[must_use]
pub fn outlived<'a>(versions: impl IntoIterator<Item = &'a Version>, cut: Timestamp) -> usize {
    let older: Vec<&Version> = versions.into_iter().take_while(|version| version.at <= cut).collect();
    match older.last() {
        Some(last) if last.says.is_some() => older.len() - 1,
        // Deleted: nothing was in force.
        _ => older.len(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn versions(of: &[(i64, bool)]) -> Vec<Version> {
        let version = |(day, says): &(i64, bool)| Version {
            by: "li".into(),
            at: Timestamp::from_second(day * 86_400).unwrap(),
            says: says.then(|| json!({})),
        };
        of.iter().map(version).collect()
    }

    fn over(of: &[(i64, bool)], day: i64) -> usize {
        outlived(&versions(of), Timestamp::from_second(day * 86_400).unwrap())
    }

    #[test]
    fn what_was_in_force_at_the_cut_stays() {
        let three = [(1, true), (5, true), (9, true)];
        assert_eq!([0, 1, 4, 5, 8, 9, 900].map(|day| over(&three, day)), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(over(&[], 9), 0);
    }

    #[test]
    fn what_was_deleted_before_the_cut_goes_whole() {
        let gone = [(1, true), (5, false)];
        assert_eq!([4, 5].map(|day| over(&gone, day)), [0, 2]);
        let again = [(1, true), (5, false), (9, true)];
        assert_eq!([4, 6, 9].map(|day| over(&again, day)), [0, 2, 2]);
    }

    #[test]
    fn a_clock_that_was_wrong_costs_nothing() {
        assert_eq!(over(&[(100, true), (2, true), (101, true)], 50), 0, "one that was behind");
        assert_eq!(over(&[(1, true), (900, true), (3, true)], 50), 0, "one that was ahead");
    }
}
