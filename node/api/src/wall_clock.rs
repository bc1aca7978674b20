//! The machine's time of day, for display, and the form in which clients send times.

use super::failure::Failure;
use node_docker::Timestamp;

/// The machine's time of day, for display.
pub fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// `1777636800` or `1777636800.25`, as Docker's client sends times, in nanoseconds since 1970.
pub fn wall_ns(parameter: &str, text: &str) -> Result<u64, Failure> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let nanos: String = fraction.chars().chain("00000000".chars()).take(9).collect();
    match (seconds.parse::<u64>(), nanos.parse::<u64>()) {
        (Ok(seconds), Ok(nanos)) => Ok(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)),
        _ => Err(Failure::Bad(format!(
            "{parameter}: `{text}` is not a number of seconds since 1970"
        ))),
    }
}
