//! A timetable: when a job with a schedule runs.
//!
//! Five fields of a crontab, read in the time zone of the service. The days on which clocks change
//! follow the rule of Vixie's cron, which operators expect:
//!
//! - With fixed hours a run happens once. Of an hour that comes twice the first one counts; runs
//!   that fall into an hour that is left out happen together, as one run, when the hour is over.
//! - With `*` as the hour a run happens by the time that passes: also in both hours of a night, and
//!   never twice at one instant.
//!
//! `croner` finds the days and minutes of a pattern on a calendar without zones; what clocks do is
//! decided here, between two changes of the clocks at a time. The zones are part of the program: a
//! node may have no zone files, and every node must reckon alike. This must never read a clock.

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

mod pattern;

pub use pattern::BadTimetable;

/// A schedule must have a run within this time: five years, so that a 29 February is among them.
const WITHOUT_RUN_S_MAX: u64 = 5 * 366 * 86_400;

/// From when on the first run of a new schedule is looked for: 2024-01-01. Any time will do, the
/// calendar repeats.
const SOME_DAY_S: u64 = 1_704_067_200;

/// When a job runs.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    /// The hour is `*`.
    is_hourly: bool,
}

/// The time between two changes of a zone's clocks.
struct Stretch {
    start: Option<Timestamp>,
    offset: Offset,
    /// The first time on clocks that belongs to it.
    from: DateTime,
    /// What clocks left out when it began.
    gap: Option<(DateTime, DateTime)>,
}

impl Timetable {
    /// Reads the five fields, or a word like `@daily`, and the name of a zone.
    pub fn parse(cron: &str, zone: &str) -> Result<Timetable, BadTimetable> {
        let fields = pattern::fields(cron)?;
        let unreadable =
            |why: croner::errors::CronError| BadTimetable::field(cron, &why.to_string());
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Disallowed)
            .year(croner::parser::Year::Disallowed)
            .build();
        let timetable = Timetable {
            cron: parser.parse(&fields.join(" ")).map_err(unreadable)?,
            zone: find_zone(zone)?,
            is_hourly: fields[1] == "*",
        };
        let first = timetable.next(SOME_DAY_S);
        match first.filter(|first| *first <= SOME_DAY_S + WITHOUT_RUN_S_MAX) {
            Some(_) => Ok(timetable),
            None => Err(BadTimetable::NeverRuns(cron.to_owned())),
        }
    }

    /// The first run after a time, both in seconds since 1970.
    pub fn next(&self, after_s: u64) -> Option<u64> {
        let mut at = timestamp(after_s.checked_add(1)?)?;
        loop {
            let stretch = self.stretch(at)?;
            if stretch.start == Some(at) && self.has_run_in_gap(&stretch) {
                return seconds(at);
            }
            let from = stretch.offset.to_datetime(at).max(stretch.from);
            let found = self.cron.find_next_occurrence(&from, true).ok()?;
            let found = stretch.offset.to_timestamp(found).ok()?;
            match self.zone.following(at).next().map(|change| change.timestamp()) {
                Some(end) if found >= end => at = end,
                _ => return seconds(found),
            }
        }
    }

    /// The latest run until a time, that time included, if it is after another time.
    pub fn latest(&self, after_s: u64, until_s: u64) -> Option<u64> {
        let after = timestamp(after_s)?;
        let mut at = timestamp(until_s)?;
        while at > after {
            let stretch = self.stretch(at)?;
            let local = stretch.offset.to_datetime(at);
            let found = self.cron.find_previous_occurrence(&local, true).ok();
            if let Some(found) = found.filter(|found| *found >= stretch.from) {
                let found = stretch.offset.to_timestamp(found).ok()?;
                return seconds(found).filter(|found| *found > after_s);
            }
            let start = stretch.start?;
            if self.has_run_in_gap(&stretch) {
                return seconds(start).filter(|found| *found > after_s);
            }
            at = start.checked_sub(SignedDuration::from_secs(1)).ok()?;
        }
        None
    }

    /// A time as the clocks of the zone show it: `2026-11-30 03:00 Europe/Berlin`.
    pub fn shown(&self, at_s: u64) -> String {
        let Some(at) = timestamp(at_s) else { return at_s.to_string() };
        let zoned = at.to_zoned(self.zone.clone());
        let zone = self.zone.iana_name().unwrap_or("UTC");
        format!("{} {zone}", zoned.strftime("%Y-%m-%d %H:%M"))
    }

    fn stretch(&self, at: Timestamp) -> Option<Stretch> {
        let second = SignedDuration::from_secs(1);
        let offset = self.zone.to_offset(at);
        let change = self.zone.preceding(at.checked_add(second).ok()?).next();
        let Some(start) = change.map(|change| change.timestamp()) else {
            return Some(Stretch { start: None, offset, from: DateTime::MIN, gap: None });
        };
        let before = self.zone.to_offset(start.checked_sub(second).ok()?);
        let (was, is) = (before.to_datetime(start), offset.to_datetime(start));
        Some(match self.is_hourly {
            true => Stretch { start: Some(start), offset, from: is, gap: None },
            false => {
                let gap = (was < is).then_some((was, is));
                Stretch { start: Some(start), offset, from: was.max(is), gap }
            }
        })
    }

    fn has_run_in_gap(&self, stretch: &Stretch) -> bool {
        stretch.gap.is_some_and(|(from, until)| {
            self.cron.find_next_occurrence(&from, true).is_ok_and(|found| found < until)
        })
    }
}

fn find_zone(name: &str) -> Result<TimeZone, BadTimetable> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(name).map_err(|_| {
        let end = format!("/{}", name.to_ascii_lowercase().replace(' ', "_"));
        let mut known = zones.available().map(|zone| zone.to_string());
        let near = known.find(|zone| zone.to_ascii_lowercase().ends_with(&end));
        let write = near.unwrap_or_else(|| "Europe/Berlin, or UTC".to_owned());
        BadTimetable::NoSuchZone { zone: name.to_owned(), write }
    })
}

fn timestamp(at_s: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(at_s).ok()?).ok()
}

fn seconds(at: Timestamp) -> Option<u64> {
    u64::try_from(at.as_second()).ok()
}

#[cfg(test)]
mod tests;
