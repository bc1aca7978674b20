//! Moments: `10m` is ten minutes ago, as in Docker; or a time of day as RFC 3339 writes it.

use super::duration;
use crate::cli::output::now;
use crate::docker::Timestamp;

/// Neither an age nor a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time: write it like 10m (ago) or 2026-05-01T12:00:00Z")]
pub struct BadMoment;

/// Reads a moment.
pub fn moment(text: &str) -> Result<Timestamp, BadMoment> {
    if let Ok(at) = Timestamp::from_rfc3339(text) {
        return Ok(at);
    }
    let age = duration(text).map_err(|_| BadMoment)?;
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Ok(Timestamp(now().0.saturating_sub(age_ms)))
}

/// Seconds since 1970 with three decimals, as the API takes it.
pub fn show_moment(at: Timestamp) -> String {
    format!("{}.{:03}", at.0 / 1_000, at.0 % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_age_or_a_time_of_day() {
        assert_eq!(moment("2026-05-01T12:00:00Z"), Ok(Timestamp(1_777_636_800_000)));
        let ten_minutes_ago = moment("10m").expect("an age").0;
        assert!((599_000..602_000).contains(&(now().0 - ten_minutes_ago)));
        assert_eq!(moment("yesterday"), Err(BadMoment));
        assert_eq!(show_moment(Timestamp(1_777_636_800_007)), "1777636800.007");
    }
}
