//! The fields of a crontab, checked: what a library would take otherwise than crontab does is
//! refused with what to write instead.
//!
//! Taken are `*`, numbers, names of months and weekdays, ranges, steps and lists. The letters `L`,
//! `W` and `#` of other programs are not: no crontab has them.

use std::ops::RangeInclusive;

/// Why a schedule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTimetable {
    /// The number of fields is not five.
    #[error(
        "\"{cron}\" has {fields} fields, a schedule has five: minute, hour, day of the month, \
         month, weekday; {write}"
    )]
    Fields {
        /// The schedule.
        cron: String,
        /// How many it has.
        fields: usize,
        /// What to write.
        write: &'static str,
    },
    /// A word that is no time.
    #[error("{word} is no time of day; write {write}")]
    Word {
        /// The word.
        word: String,
        /// What to write.
        write: &'static str,
    },
    /// A field cannot be read.
    #[error("\"{cron}\" is no schedule: {why}")]
    Field {
        /// The schedule.
        cron: String,
        /// Why, and what to write.
        why: String,
    },
    /// No day fits.
    #[error(
        "\"{0}\" has no run within five years: no month has such a day; write a day that there is, \
         like 0 0 28 2 *"
    )]
    NeverRuns(String),
    /// The zone is not in the time zone database.
    #[error("there is no time zone {zone}; write a name of the tz database: {write}")]
    NoSuchZone {
        /// The name.
        zone: String,
        /// What to write.
        write: String,
    },
}

impl BadTimetable {
    pub(super) fn field(cron: &str, why: &str) -> BadTimetable {
        BadTimetable::Field { cron: cron.to_owned(), why: why.to_owned() }
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five fields.
struct Field {
    name: &'static str,
    range: RangeInclusive<u32>,
    /// Its names; the first one stands for the first number.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", range: 0..=59, names: &[] },
    Field { name: "hour", range: 0..=23, names: &[] },
    Field { name: "day of the month", range: 1..=31, names: &[] },
    Field { name: "month", range: 1..=12, names: &MONTHS },
    Field { name: "weekday", range: 0..=7, names: &WEEKDAYS },
];

/// The five fields of a schedule.
pub(super) fn fields(cron: &str) -> Result<Vec<String>, BadTimetable> {
    let text = match cron.trim() {
        word if word.starts_with('@') => expand(word)?,
        text => text,
    };
    let fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if fields.len() != FIELDS.len() {
        let write = match fields.len() {
            6.. => "there are no seconds and no years, leave them out: 0 3 * * *",
            _ => "write for example 0 3 * * *",
        };
        return Err(BadTimetable::Fields { cron: cron.to_owned(), fields: fields.len(), write });
    }
    for (field, text) in FIELDS.iter().zip(&fields) {
        for element in text.split(',') {
            check(field, element).map_err(|why| {
                BadTimetable::field(cron, &format!("{} {element}: {why}", field.name))
            })?;
        }
    }
    Ok(fields)
}

/// The words of crontab that are times.
fn expand(word: &str) -> Result<&'static str, BadTimetable> {
    Ok(match word {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => {
            let write = match word.split_whitespace().next() {
                Some("@every") => "a pattern, for example */5 * * * * for every five minutes",
                Some("@reboot") => "a pattern like 0 3 * * *: a fleet does not boot as a whole",
                _ => "@hourly, @daily, @weekly, @monthly, @yearly, or a pattern like 0 3 * * *",
            };
            return Err(BadTimetable::Word { word: word.to_owned(), write });
        }
    })
}

/// `*`, `5`, `1-5` or `mon-fri`, each but the number alone with a step: `*/15`, `8-18/2`.
fn check(field: &Field, element: &str) -> Result<(), String> {
    let (base, step) = match element.split_once('/') {
        Some((base, step)) => (base, Some(step)),
        None => (element, None),
    };
    let (low, high) = (*field.range.start(), *field.range.end());
    if let Some(step) = step {
        let number = step.parse::<u32>().ok().filter(|step| (1..=high).contains(step));
        number.ok_or_else(|| format!("a step is a number from 1 to {high}: write */2"))?;
    }
    if base == "*" {
        return Ok(());
    }
    let value = |text: &str| {
        let word = text.to_ascii_lowercase();
        let named = field.names.iter().zip(low..).find(|(name, _)| **name == word);
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_number && field.range.contains(number));
        named.map(|(_, number)| number).or(number).ok_or_else(|| match field.names.first() {
            Some(name) => format!("write {low} to {high}, or a name like {name}"),
            None => format!("write {low} to {high}"),
        })
    };
    match base.split_once('-') {
        None if step.is_some() => {
            value(base)?;
            Err(format!("a step needs a range: write {base}-{high}/{}", step.unwrap_or("1")))
        }
        None => value(base).map(|_| ()),
        Some((first, last)) if value(first)? > value(last)? => {
            let to = if field.names.len() == WEEKDAYS.len() { "6" } else { &high.to_string() };
            Err(format!("the range goes backwards: write {first}-{to},{low}-{last}"))
        }
        Some(_) => Ok(()),
    }
}
