//! Durations in Go's form: `5s`, `1m30s`, `1.5h`, `300ms`.

use std::time::Duration;

const NANOS_PER_UNIT: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// `5`.
    #[error("a unit is missing: did you mean {0}s?")]
    NoUnit(String),
    /// `5w`.
    #[error("unknown unit {0:?}: use ms, s, m, h or d, as in 1m30s")]
    UnknownUnit(String),
    /// `-5s`.
    #[error("a duration cannot be negative")]
    Negative,
    /// More than Docker's API can carry.
    #[error("that is longer than 290 years")]
    TooLong,
    /// Anything else.
    #[error("not a duration: write it like 500ms, 5s or 1m30s")]
    Malformed,
}

/// Reads a duration. Only `0` needs no unit.
pub fn duration(text: &str) -> Result<Duration, BadDuration> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(BadDuration::Negative);
    }
    if text.is_empty() {
        return Err(BadDuration::Malformed);
    }
    let mut nanos: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| BadDuration::NoUnit(text.to_owned()))?;
        let number = &rest[..unit_at];
        rest = &rest[unit_at..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..unit_end];
        rest = &rest[unit_end..];
        nanos = nanos.checked_add(part(number, unit)?).ok_or(BadDuration::TooLong)?;
    }
    if nanos > i64::MAX as u64 {
        return Err(BadDuration::TooLong);
    }
    Ok(Duration::from_nanos(nanos))
}

fn part(number: &str, unit: &str) -> Result<u64, BadDuration> {
    let nanos_per_unit = NANOS_PER_UNIT
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, nanos)| *nanos)
        .ok_or_else(|| BadDuration::UnknownUnit(unit.to_owned()))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(BadDuration::Malformed);
    }
    let whole: u64 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| BadDuration::TooLong)? };
    let mut nanos = whole.checked_mul(nanos_per_unit).ok_or(BadDuration::TooLong)?;
    let mut place = nanos_per_unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.checked_add(place * u64::from(digit - b'0')).ok_or(BadDuration::TooLong)?;
    }
    Ok(nanos)
}

/// Writes a duration in Go's form: `1m30s`, `1h0m0s`, `500ms`.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = match millis % 60_000 {
        whole if whole % 1_000 == 0 => format!("{}s", whole / 1_000),
        parts => {
            let text = format!("{}.{:03}", parts / 1_000, parts % 1_000);
            format!("{}s", text.trim_end_matches('0'))
        }
    };
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, _) => format!("{minutes}m{seconds}"),
        _ => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            (".5s", 500),
            ("2h45m", 9_900_000),
            ("0", 0),
            ("0s", 0),
            ("1d", 86_400_000),
            ("2000us", 2),
            ("2000µs", 2),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        assert_eq!(duration("5"), Err(BadDuration::NoUnit("5".to_owned())));
        assert_eq!(duration("5w"), Err(BadDuration::UnknownUnit("w".to_owned())));
        assert_eq!(duration("-5s"), Err(BadDuration::Negative));
        assert_eq!(duration("999999999999h"), Err(BadDuration::TooLong));
        for text in ["", ".s", "1.2.3s", "..s"] {
            assert_eq!(duration(text), Err(BadDuration::Malformed), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_go_shows_them() {
        for text in ["5s", "1m30s", "1h0m0s", "500ms", "1.5s", "0s"] {
            assert_eq!(show_duration(duration(text).expect("valid")), text);
        }
    }
}
