//! Times and durations in Docker's form: RFC 3339 with nanoseconds, and whole nanoseconds.
//!
//! Internally both are milliseconds. Times of day are for display; nothing is decided by them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time of day: milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// `2026-05-01T12:00:00.25Z`.
    pub fn to_rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
    }

    /// The inverse; a time before 1970 is 1970 (Docker's zero time is in the year 1).
    pub fn from_rfc3339(text: &str) -> Result<Timestamp, time::error::Parse> {
        let at = OffsetDateTime::parse(text, &Rfc3339)?;
        Ok(Timestamp(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::from_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// A duration in nanoseconds. Docker's type is signed; a negative one is read as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Nanos(pub i64);

impl Nanos {
    /// From milliseconds; more than 292 years are 292 years.
    pub fn from_ms(ms: u64) -> Nanos {
        Nanos(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }

    /// To milliseconds, rounded up, so that a duration that was asked for never becomes none.
    pub fn to_ms(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0).div_ceil(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_what_it_shows() {
        for ms in [0, 1, 1_777_636_800_250, 4_102_444_800_000] {
            assert_eq!(Timestamp::from_rfc3339(&Timestamp(ms).to_rfc3339()), Ok(Timestamp(ms)));
        }
        assert_eq!(Timestamp(1_777_636_800_250).to_rfc3339(), "2026-05-01T12:00:00.25Z");
    }

    #[test]
    fn a_time_that_no_calendar_has_is_shown_as_the_last_one() {
        assert_eq!(Timestamp(u64::MAX).to_rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_rfc3339("0001-01-01T00:00:00Z"), Ok(Timestamp(0)));
    }

    #[test]
    fn a_duration_is_never_rounded_to_nothing() {
        assert_eq!(Nanos(1).to_ms(), 1);
        assert_eq!(Nanos(-5).to_ms(), 0);
        assert_eq!(Nanos::from_ms(10_000), Nanos(10_000_000_000));
        assert_eq!(Nanos::from_ms(u64::MAX), Nanos(i64::MAX));
    }
}
