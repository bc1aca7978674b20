//! Figures: their names, their limits and their output.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// The figure must not be larger.
    AtMost(f64),
    /// The figure must not be smaller.
    AtLeast(f64),
}

impl Limit {
    /// Does the value keep it?
    pub fn is_kept_by(self, value: f64) -> bool {
        match self {
            Limit::AtMost(limit) => value <= limit,
            Limit::AtLeast(limit) => value >= limit,
        }
    }

    /// `≤ 5`.
    pub fn in_words(self) -> String {
        match self {
            Limit::AtMost(limit) => format!("≤ {}", short(limit)),
            Limit::AtLeast(limit) => format!("≥ {}", short(limit)),
        }
    }
}

/// Every figure of a bench in order, each with its limit.
pub type Limits = &'static [(&'static str, Limit)];

/// The measured figures; those that need root are missing without it.
pub struct Figures {
    limits: Limits,
    values: BTreeMap<&'static str, f64>,
}

impl Figures {
    /// No figure measured yet.
    pub fn new(limits: Limits) -> Figures {
        Figures { limits, values: BTreeMap::new() }
    }

    /// Records a figure and prints it at once, because the whole bench takes minutes.
    pub fn note(&mut self, name: &'static str, value: f64) {
        assert!(self.limits.iter().any(|(known, _)| *known == name), "{name} has no limit");
        eprintln!("  {name} {}", short(value));
        self.values.insert(name, value);
    }

    /// One flat object with all names; a figure that could not be measured is `null`.
    pub fn json(&self) -> String {
        let value = |name: &str| self.values.get(name).map_or(Value::Null, |value| rounded(*value));
        let all: Map<String, Value> =
            self.limits.iter().map(|(name, _)| ((*name).to_owned(), value(name))).collect();
        format!("{}\n", Value::Object(all))
    }

    /// A line per figure, with its limit and a mark where it is missed.
    pub fn table(&self) -> String {
        let mut table = format!("{:<22} {:>10} {:>10}\n", "FIGURE", "MEASURED", "LIMIT");
        for (name, limit) in self.limits {
            let (measured, mark) = match self.values.get(name) {
                Some(value) if !limit.is_kept_by(*value) => (short(*value), "  missed"),
                Some(value) => (short(*value), ""),
                None => ("-".to_owned(), "  not measured"),
            };
            table += &format!("{name:<22} {measured:>10} {:>10}{mark}\n", limit.in_words());
        }
        table
    }
}

/// A number for people.
pub fn short(value: f64) -> String {
    if value == value.trunc() { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// A number for machines, to three digits.
pub fn rounded(value: f64) -> Value {
    let value = (value * 1000.0).round() / 1000.0;
    if value == value.trunc() { Value::from(value as i64) } else { Value::from(value) }
}

/// The median; for an even number the upper of the two middle values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The largest one.
pub fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = &[
        ("create_10_s", Limit::AtMost(0.5)),
        ("heal_restarts", Limit::AtMost(0.0)),
        ("unpack_mb_per_s", Limit::AtLeast(150.0)),
    ];

    #[test]
    fn the_object_has_every_name_also_of_what_was_not_measured() {
        let mut figures = Figures::new(LIMITS);
        figures.note("create_10_s", 0.31249);
        let value: Value = serde_json::from_str(&figures.json()).unwrap();
        assert_eq!(value.as_object().unwrap().len(), LIMITS.len());
        assert_eq!(value["create_10_s"], 0.312);
        assert_eq!(value["heal_restarts"], Value::Null);
    }

    #[test]
    fn a_figure_that_misses_its_limit_is_named() {
        let mut figures = Figures::new(LIMITS);
        figures.note("create_10_s", 0.5);
        figures.note("heal_restarts", 1.0);
        figures.note("unpack_mb_per_s", 149.0);
        let table = figures.table();
        let missed: Vec<&str> = table.lines().filter(|line| line.contains("missed")).collect();
        assert_eq!(missed.len(), 2);
        assert!(missed[0].starts_with("heal_restarts"));
        assert!(missed[1].starts_with("unpack_mb_per_s"));
    }

    #[test]
    fn the_median_is_in_the_middle_and_the_worst_at_the_end() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(worst(&[5.0, 1.0, 3.0]), 5.0);
    }
}
