//! Sizes in Docker's form: `7.8MB`, three digits, powers of 1000.

/// A size for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut thousandths = bytes.saturating_mul(1000);
    while thousandths >= 1_000_000 && unit + 1 < UNITS.len() {
        thousandths /= 1000;
        unit += 1;
    }
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    let number = match whole {
        0..10 => format!("{whole}.{rest:03}")[..4].to_owned(),
        10..100 => format!("{whole}.{rest:03}")[..4].to_owned(),
        _ => whole.to_string(),
    };
    let short = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{short}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_docker_s_words() {
        for (bytes, words) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1kB"),
            (7_800_000, "7.8MB"),
            (12_340_000, "12.3MB"),
            (187_600_000, "187MB"),
            (2_000_000_000, "2GB"),
            (100, "100B"),
        ] {
            assert_eq!(size(bytes), words);
        }
    }
}
