//! Amounts of memory and of processor: `64m`, `0.5`.

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Not a size.
    #[error("not a size: write it like 512k, 64m or 1.5g")]
    NotBytes,
    /// Not a number of cores.
    #[error("not a number of cores: write it like 0.5 or 2")]
    NotCpus,
    /// More precise than a billionth of a core.
    #[error("more exact than a billionth of a core: write it like 0.5")]
    TooExact,
    /// Not from 0 to 1.
    #[error("not a part of all tasks: write a number from 0 to 1, like 0.25")]
    NotRatio,
    /// Negative, and not -1.
    #[error(
        "not an amount of swap: write it like 64m, 0 for none, or -1 for all of the node's swap"
    )]
    NotSwap,
    /// Not from -1 to 100.
    #[error("not a swappiness: write a number from 0 to 100, or -1 for that of the node")]
    NotSwappiness,
    /// Does not fit.
    #[error("that is more than any machine has")]
    TooMuch,
}

/// Reads a size as Docker does: multiples of 1024 by `b`, `k`, `m`, `g`, `t`, upper case or lower,
/// also as `64MiB` or `64 mb`.
pub fn bytes(text: &str) -> Result<u64, BadAmount> {
    let lower = text.trim().to_ascii_lowercase();
    let digits_end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits_end);
    let shift = match unit.trim_start().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(BadAmount::NotBytes),
    };
    let micros = decimal(number, 6).map_err(|bad| match bad {
        BadDecimal::TooLong => BadAmount::TooMuch,
        BadDecimal::Malformed | BadDecimal::TooExact => BadAmount::NotBytes,
    })?;
    let bytes = (u128::from(micros) << shift) / 1_000_000;
    u64::try_from(bytes)
        .ok()
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or(BadAmount::TooMuch)
}

/// Reads an amount of swap; -1: no limit.
pub fn swap(text: &str) -> Result<i64, BadAmount> {
    match text.trim() {
        "-1" => Ok(-1),
        negative if negative.starts_with('-') => Err(BadAmount::NotSwap),
        amount => i64::try_from(bytes(amount)?).map_err(|_| BadAmount::TooMuch),
    }
}

/// Reads a swappiness; -1: that of the node.
pub fn swappiness(text: &str) -> Result<i64, BadAmount> {
    let value = text.trim().parse().map_err(|_| BadAmount::NotSwappiness)?;
    if (-1..=100).contains(&value) { Ok(value) } else { Err(BadAmount::NotSwappiness) }
}

/// Reads a number of cores, as billionths of one.
pub fn cpus(text: &str) -> Result<u64, BadAmount> {
    decimal(text.trim(), 9).map_err(|bad| match bad {
        BadDecimal::Malformed => BadAmount::NotCpus,
        BadDecimal::TooExact => BadAmount::TooExact,
        BadDecimal::TooLong => BadAmount::TooMuch,
    })
}

/// Reads a part of a whole, from 0 to 1.
pub fn ratio(text: &str) -> Result<f32, BadAmount> {
    let ratio: f32 = text.trim().parse().map_err(|_| BadAmount::NotRatio)?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err(BadAmount::NotRatio) }
}

enum BadDecimal {
    Malformed,
    TooExact,
    TooLong,
}

/// Reads a decimal number as an integer of `places` digits after the point.
fn decimal(text: &str, places: usize) -> Result<u64, BadDecimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(BadDecimal::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(BadDecimal::TooExact);
    }
    format!("{whole}{fraction:0<places$}").parse().map_err(|_| BadDecimal::TooLong)
}

/// Writes a size for people: `64MiB`, `1.5GiB`.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths % 10 {
        0 => format!("{}{}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth}{}", tenths / 10, UNITS[unit]),
    }
}

/// Writes a number of cores: `0.5`.
pub fn show_cpus(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_multiples_of_1024() {
        for (text, expected) in [
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 mb", 64 << 20),
            ("1.5g", 3 << 29),
            ("512k", 512 << 10),
            ("100", 100),
            ("100b", 100),
            ("0", 0),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        for text in ["", "m", "64x", "-1m", "1,5g", "1.2.3m"] {
            assert_eq!(bytes(text), Err(BadAmount::NotBytes), "{text}");
        }
        assert_eq!(bytes("99999999999999p"), Err(BadAmount::TooMuch));
        for text in ["", "two", "-1", "1/2", "1e3"] {
            assert_eq!(cpus(text), Err(BadAmount::NotCpus), "{text}");
        }
        assert_eq!(cpus("0.0000000001"), Err(BadAmount::TooExact));
    }

    #[test]
    fn cores_are_billionths() {
        for (text, expected) in [("0.5", 500_000_000), ("2", 2_000_000_000), (".25", 250_000_000)] {
            assert_eq!(cpus(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_in_the_largest_unit_that_fits() {
        assert_eq!(show_bytes(64 << 20), "64MiB");
        assert_eq!(show_bytes(3 << 29), "1.5GiB");
        assert_eq!(show_bytes(100), "100B");
        assert_eq!(show_cpus(500_000_000), "0.5");
        assert_eq!(show_cpus(2_000_000_000), "2");
    }
}
