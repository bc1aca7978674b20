//! Amounts as Docker's client writes them, which is as Go does.

use node_docker::Nanos;

/// A duration: `30s`, `1m0s`, `1h0m0.5s`, `1.5ms`, `0s`.
pub fn duration(nanos: Nanos) -> String {
    let total = nanos.0.unsigned_abs();
    let sign = if nanos.0 < 0 { "-" } else { "" };
    let part = |unit: u64, places: usize| {
        let text = format!("{}.{:0places$}", total / unit, total % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let seconds = total / 1_000_000_000;
    let text = match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{total}ns"),
        1_000..1_000_000 => format!("{}µs", part(1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", part(1_000_000, 6)),
        _ => {
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let rest = format!("{}.{:09}", seconds % 60, total % 1_000_000_000);
            let rest = rest.trim_end_matches('0').trim_end_matches('.');
            match (hours, minutes) {
                (0, 0) => format!("{rest}s"),
                (0, _) => format!("{minutes}m{rest}s"),
                _ => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// Bytes with four digits that count: `64MiB`, `95.37MiB`, `1.465GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let places = match size {
        ..10.0 => 3,
        ..100.0 => 2,
        ..1000.0 => 1,
        _ => 0,
    };
    let text = format!("{size:.places$}");
    let text = if places > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (30_000_000_000, "30s"),
            (60_000_000_000, "1m0s"),
            (3_600_500_000_000, "1h0m0.5s"),
            (-5_000_000_000, "-5s"),
        ] {
            assert_eq!(duration(Nanos(nanos)), text);
        }
    }

    #[test]
    fn bytes_have_four_digits_that_count() {
        for (number, text) in [
            (0, "0B"),
            (1_000, "1000B"),
            (64 << 20, "64MiB"),
            (100_000_000, "95.37MiB"),
            (1_573_741_824, "1.466GiB"),
            (1_047_527_424, "999MiB"),
            (1_060_000_000, "1011MiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
