//! The report of `bench overlay`: every figure with its unit, what is wanted, and what it was
//! compared with in the same run.

use crate::bench::figures::{Limit, rounded, short};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A figure of the bench.
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// The unit of its value.
    pub unit: &'static str,
    /// What is wanted; `None`: it is only printed.
    pub wanted: Option<Limit>,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    value: Option<f64>,
    baseline: Option<Baseline>,
    note: Option<String>,
    /// Why there is no value.
    missing: Option<String>,
}

/// What a value was compared with, in the same run.
#[derive(Debug, Clone)]
struct Baseline {
    what: &'static str,
    unit: &'static str,
    /// What was measured itself, in this unit.
    own: f64,
    value: f64,
}

impl Measured {
    /// A value that stands alone.
    pub fn value(value: f64) -> Measured {
        Measured { value: Some(value), ..Measured::default() }
    }

    /// A figure that could not be measured here, and why.
    pub fn absent(why: impl Into<String>) -> Measured {
        Measured { missing: Some(why.into()), ..Measured::default() }
    }

    /// A value that was computed from `own` and what it is compared with.
    pub fn against(mut self, what: &'static str, unit: &'static str, pair: (f64, f64)) -> Measured {
        self.baseline = Some(Baseline { what, unit, own: pair.0, value: pair.1 });
        self
    }

    /// A remark for people.
    pub fn note(mut self, note: impl Into<String>) -> Measured {
        self.note = Some(note.into());
        self
    }
}

/// All figures that were asked for, in order.
pub struct Report {
    figures: &'static [Figure],
    measured: BTreeMap<&'static str, Measured>,
}

impl Report {
    /// Nothing is measured yet.
    pub fn new(figures: &'static [Figure]) -> Report {
        Report { figures, measured: BTreeMap::new() }
    }

    /// Records a figure and prints it at once, because the whole bench takes minutes.
    pub fn add(&mut self, name: &'static str, measured: Measured) {
        let figure = self.figures.iter().find(|figure| figure.name == name);
        let figure = figure.expect("every figure is in the list");
        eprintln!("  {}", line(figure, &measured));
        self.measured.insert(name, measured);
    }

    /// Records why a figure has no value, unless it has one.
    pub fn miss(&mut self, name: &'static str, why: &str) {
        if !self.measured.contains_key(name) {
            self.add(name, Measured::absent(why));
        }
    }

    /// Drops the figures that nobody asked for, which were measured along with others.
    pub fn keep(&mut self, chosen: &[&str]) {
        self.measured.retain(|name, _| chosen.contains(name));
    }

    /// An object with an object for every figure that was asked for.
    pub fn json(&self) -> String {
        let all: Map<String, Value> = self
            .asked()
            .map(|(figure, one)| (figure.name.to_owned(), object(figure, one)))
            .collect();
        format!("{}\n", Value::Object(all))
    }

    /// A line per figure.
    pub fn table(&self) -> String {
        let head = ["FIGURE", "MEASURED", "UNIT", "WANTED"];
        let head = format!("{:<24} {:>10} {:<6} {:>9}", head[0], head[1], head[2], head[3]);
        let lines: Vec<String> = self.asked().map(|(figure, one)| line(figure, one)).collect();
        format!("{head}\n{}\n", lines.join("\n"))
    }

    fn asked(&self) -> impl Iterator<Item = (&Figure, &Measured)> {
        self.figures.iter().filter_map(|figure| Some((figure, self.measured.get(figure.name)?)))
    }
}

fn object(figure: &Figure, measured: &Measured) -> Value {
    let mut object = json!({
        "value": measured.value.map(rounded),
        "unit": figure.unit,
        "wanted": figure.wanted.map(Limit::in_words),
        "reached": figure.wanted.zip(measured.value).map(|(wanted, value)| wanted.is_kept_by(value)),
        "note": measured.note,
        "not_measured": measured.missing,
    });
    if let Some(baseline) = &measured.baseline {
        object["against"] = json!({
            "what": baseline.what,
            "unit": baseline.unit,
            "own": rounded(baseline.own),
            "baseline": rounded(baseline.value),
            "ratio": rounded(baseline.own / baseline.value),
        });
    }
    object
}

fn line(figure: &Figure, measured: &Measured) -> String {
    let value = measured.value.map_or("-".to_owned(), short);
    let wanted = figure.wanted.map_or("printed".to_owned(), Limit::in_words);
    let mut line = format!("{:<24} {value:>10} {:<6} {wanted:>9}", figure.name, figure.unit);
    match (figure.wanted, measured.value) {
        (_, None) => {
            let why = measured.missing.as_deref().unwrap_or("nobody tried");
            line += &format!("  not measured: {why}");
        }
        (Some(wanted), Some(value)) if wanted.is_kept_by(value) => line += "  reached",
        (Some(_), Some(_)) => line += "  missed",
        (None, Some(_)) => (),
    }
    if let Some(baseline) = &measured.baseline {
        let Baseline { what, unit, own, value } = baseline;
        line += &format!("  {} {unit}, {what} {}", short(*own), short(*value));
    }
    if let Some(note) = &measured.note {
        line += &format!("  ({note})");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &[Figure] = &[
        Figure { name: "vip_ratio", unit: "", wanted: Some(Limit::AtLeast(0.97)) },
        Figure { name: "rss_mib", unit: "MiB", wanted: None },
        Figure { name: "dns_qps", unit: "1/s", wanted: Some(Limit::AtLeast(20_000.0)) },
    ];

    #[test]
    fn a_figure_tells_its_baseline_and_whether_it_keeps_what_is_wanted() {
        let mut report = Report::new(FIGURES);
        let value = Measured::value(0.5).against("direct", "Gbit/s", (4.0, 8.0));
        report.add("vip_ratio", value.note("busy"));
        report.add("dns_qps", Measured::absent("no name server"));
        let object: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(object["vip_ratio"]["reached"], false);
        assert_eq!(object["vip_ratio"]["against"]["ratio"], 0.5);
        assert_eq!(object["dns_qps"]["value"], Value::Null);
        assert!(object.get("rss_mib").is_none(), "it was not asked for");
        let table = report.table();
        let line = table.lines().find(|line| line.starts_with("vip_ratio")).unwrap();
        assert!(line.contains("missed") && line.contains("4 Gbit/s, direct 8"), "{line}");
        assert!(table.contains("not measured: no name server"));
    }
}
