//! Text for ages, counts and names.

use std::time::Duration;

/// An age in Docker's words: `3 minutes ago`, `About an hour ago`.
pub fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let number = |number: u64, unit: &str| format!("{number} {unit}");
    let words = match (seconds, minutes, hours) {
        (0, ..) => "less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => number(seconds, "seconds"),
        (_, 1, _) => "about a minute".to_owned(),
        (_, 2..60, _) => number(minutes, "minutes"),
        (_, _, 1) => "about an hour".to_owned(),
        (_, _, 2..48) => number(hours, "hours"),
        (_, _, 48..336) => number(hours / 24, "days"),
        (_, _, 336..1440) => number(hours / 24 / 7, "weeks"),
        (_, _, 1440..17_520) => number(hours / 24 / 30, "months"),
        _ => number(hours / 24 / 365, "years"),
    };
    format!("{words} ago")
}

/// An age in few characters: `4s`, `14m`, `3h12m`, `5d2h`.
pub fn compact_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let pair = |large: u64, unit: char, small: u64, small_unit: char| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    match (minutes, hours, days) {
        (0, ..) => format!("{seconds}s"),
        (_, 0, _) => format!("{minutes}m"),
        (_, _, 0) => pair(hours, 'h', minutes % 60, 'm'),
        _ => pair(days, 'd', hours % 24, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_docker_s_words() {
        for (seconds, words) in [
            (0, "less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (61, "about a minute ago"),
            (150, "2 minutes ago"),
            (3_700, "about an hour ago"),
            (2 * 3_600, "2 hours ago"),
            (3 * 86_400, "3 days ago"),
            (15 * 86_400, "2 weeks ago"),
            (90 * 86_400, "3 months ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn ages_in_few_characters() {
        for (seconds, words) in
            [(4, "4s"), (850, "14m"), (3_600, "1h"), (11_520, "3h12m"), (180_000, "2d2h")]
        {
            assert_eq!(compact_age(Duration::from_secs(seconds)), words);
        }
    }
}
