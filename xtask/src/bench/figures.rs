//! The figures of `bench fleet`: their names, their budgets and how they are printed.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Every figure in order, and the most it may be.
pub const BUDGETS: [(&str, f64); 11] = [
    ("create_10_s", 0.5),
    ("scale_10_to_50_s", 1.5),
    ("restart_s", 0.5),
    ("failover_median_s", 5.0),
    ("failover_worst_s", 8.0),
    ("rss_mib", 15.0),
    ("idle_cpu_percent", 0.3),
    ("idle_bytes_per_s", 600.0),
    ("idle_disk_bytes", 0.0),
    ("service_ls_ms", 20.0),
    ("heal_restarts", 0.0),
];

/// What was measured; a figure that needs root is missing without it.
#[derive(Default)]
pub struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    /// Notes a figure and shows it, because the whole takes minutes.
    pub fn note(&mut self, name: &'static str, value: f64) {
        assert!(BUDGETS.iter().any(|(known, _)| *known == name), "{name} has no budget");
        eprintln!("  {name} {}", short(value));
        self.0.insert(name, value);
    }

    /// One flat object with all names; `null` is what could not be measured.
    pub fn json(&self) -> String {
        let value = |name: &str| self.0.get(name).map_or(Value::Null, |value| rounded(*value));
        let all: Map<String, Value> =
            BUDGETS.iter().map(|(name, _)| ((*name).to_owned(), value(name))).collect();
        format!("{}\n", Value::Object(all))
    }

    /// A line per figure, with its budget and a mark where it is over.
    pub fn table(&self) -> String {
        let mut table = format!("{:<20} {:>10} {:>10}\n", "FIGURE", "MEASURED", "AT MOST");
        for (name, budget) in BUDGETS {
            let (measured, mark) = match self.0.get(name) {
                Some(value) if *value > budget => (short(*value), "  over budget"),
                Some(value) => (short(*value), ""),
                None => ("-".to_owned(), "  needs root"),
            };
            table += &format!("{name:<20} {measured:>10} {:>10}{mark}\n", short(budget));
        }
        table
    }
}

fn short(value: f64) -> String {
    if value == value.trunc() { format!("{value:.0}") } else { format!("{value:.3}") }
}

fn rounded(value: f64) -> Value {
    let value = (value * 1000.0).round() / 1000.0;
    if value == value.trunc() { Value::from(value as i64) } else { Value::from(value) }
}

/// The middle one; of an even number the upper of the two.
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

    #[test]
    fn the_object_has_every_name_also_of_what_was_not_measured() {
        let mut figures = Figures::default();
        figures.note("create_10_s", 0.31249);
        let value: Value = serde_json::from_str(&figures.json()).unwrap();
        assert_eq!(value.as_object().unwrap().len(), BUDGETS.len());
        assert_eq!(value["create_10_s"], 0.312);
        assert_eq!(value["rss_mib"], Value::Null);
    }

    #[test]
    fn a_figure_over_its_budget_is_named() {
        let mut figures = Figures::default();
        figures.note("heal_restarts", 1.0);
        figures.note("idle_disk_bytes", 0.0);
        let table = figures.table();
        let over: Vec<&str> = table.lines().filter(|line| line.contains("over budget")).collect();
        assert_eq!(over.len(), 1);
        assert!(over[0].starts_with("heal_restarts"));
    }

    #[test]
    fn the_median_is_in_the_middle_and_the_worst_at_the_end() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(worst(&[5.0, 1.0, 3.0]), 5.0);
    }
}
