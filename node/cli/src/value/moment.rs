//! Moments with Docker's rules: `10m` is ten minutes ago; a date, or a date and a time of day, in
//! the zone of this machine unless it names one; seconds since 1970.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::duration;
use crate::output::{now, zone_offset_s};

/// Neither an age nor a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time: write it like 10m (ago), 2026-05-01, 2026-05-01T12:00:00Z, or as seconds since 1970"
)]
pub struct BadMoment;

/// A time of day, nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// Reads a moment.
pub fn moment(text: &str) -> Result<Moment, BadMoment> {
    if let Some(later) = text.strip_prefix('-').and_then(|text| duration(text).ok()) {
        return Ok(Moment(now_ns().saturating_add(nanos(later))));
    }
    // `5` without a unit is a number of seconds since 1970, and so is 0.
    if let Some(at) = since_1970(text) {
        return Ok(at);
    }
    if let Ok(age) = duration(text) {
        return Ok(Moment(now_ns().saturating_sub(nanos(age))));
    }
    date(text, zone_offset_s()).ok_or(BadMoment)
}

/// Seconds since 1970 with all decimals, in the form of the API.
pub fn show_moment(at: Moment) -> String {
    format!("{}.{:09}", at.0 / 1_000_000_000, at.0 % 1_000_000_000)
}

fn now_ns() -> u64 {
    now().0.saturating_mul(1_000_000)
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `1777636800`, `1777636800.25`.
fn since_1970(text: &str) -> Option<Moment> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let nanos: String = fraction.chars().chain("00000000".chars()).take(9).collect();
    let seconds: u64 = seconds.parse().ok()?;
    Some(Moment(seconds.checked_mul(1_000_000_000)?.checked_add(nanos.parse().ok()?)?))
}

/// `2026-05-01`, `2026-05-01T12`, `2026-05-01T12:00`, `2026-05-01T12:00:00.25`, each with or
/// without `Z` or `+02:00` behind it. Missing parts are filled in to give a time of
/// RFC 3339.
fn date(text: &str, local_offset_s: i32) -> Option<Moment> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    let time = match time.strip_prefix('T') {
        Some(time) => match time.matches(':').count() {
            0 => format!("{time}:00:00"),
            1 => format!("{time}:00"),
            _ => time.to_owned(),
        },
        None if time.is_empty() => "00:00:00".to_owned(),
        None => return None,
    };
    let zone = match zone {
        "" => {
            let minutes = local_offset_s.unsigned_abs() / 60;
            let sign = if local_offset_s < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
        zone => zone.to_owned(),
    };
    let at = OffsetDateTime::parse(&format!("{date}T{time}{zone}"), &Rfc3339).ok()?;
    // A time before 1970 counts as 1970: there are no older entries.
    Some(Moment(u64::try_from(at.unix_timestamp_nanos()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-01T12:00:00Z.
    const NOON_NS: u64 = 1_777_636_800_000_000_000;
    const HOUR_NS: u64 = 3_600_000_000_000;

    #[test]
    fn a_moment_is_an_age() {
        let ago_ms = |text| now().0.abs_diff(moment(text).expect("an age").0 / 1_000_000);
        assert!((599_000..602_000).contains(&ago_ms("10m")));
        assert!((5_399_000..5_402_000).contains(&ago_ms("1h30m")));
        assert!(moment("-1h").expect("a time to come").0 / 1_000_000 > now().0 + 3_500_000);
    }

    #[test]
    fn a_moment_is_a_date_in_the_zone_of_this_machine_or_its_own() {
        for (text, hours) in [
            ("2026-05-01T12:00:00Z", 0),
            ("2026-05-01T14:00:00+02:00", 0),
            ("2026-05-01T08:00:00-04:00", 0),
            ("2026-05-01T12:00Z", 0),
            ("2026-05-01T12Z", 0),
            ("2026-05-01Z", -12),
            ("2026-05-01T12:00:00", -2),
            ("2026-05-01T12:00:00.000", -2),
            ("2026-05-01T12:00", -2),
            ("2026-05-01T12", -2),
            ("2026-05-01", -14),
        ] {
            let expected = NOON_NS.saturating_add_signed(hours * HOUR_NS as i64);
            assert_eq!(date(text, 7_200), Some(Moment(expected)), "{text}");
        }
        assert_eq!(date("2026-05-01T12:00:00", -12_600), Some(Moment(NOON_NS + 7 * HOUR_NS / 2)));
        assert_eq!(date("2026-05-01T12:00:00.000000007Z", 0), Some(Moment(NOON_NS + 7)));
        assert_eq!(date("1969-01-01", 0), Some(Moment(0)));
    }

    #[test]
    fn a_moment_is_a_number_of_seconds_since_1970() {
        assert_eq!(moment("1777636800"), Ok(Moment(NOON_NS)));
        assert_eq!(moment("1777636800.250000007"), Ok(Moment(NOON_NS + 250_000_007)));
        assert_eq!(moment("0"), Ok(Moment(0)));
        assert_eq!(show_moment(Moment(NOON_NS + 7)), "1777636800.000000007");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "yesterday", "2026-13-01", "2026-05-01 12:00", "2026-05-01x", "1.2.3", "-"]
        {
            assert_eq!(moment(text), Err(BadMoment), "{text}");
        }
        assert_eq!(moment("ö".repeat(9).as_str()), Err(BadMoment));
    }
}
