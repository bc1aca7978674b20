//! How long a node takes from hearing that a task changed until its kernel leads connections
//! accordingly: `cargo bench -p node-agent --bench apply_change`, which measures it inside one
//! process.

use super::report::{Measured, Report};
use crate::repo;
use anyhow::{Context, Result, ensure};
use std::process::Stdio;

/// Services of the two worlds that are compared.
const FEW: usize = 10;
const MANY: usize = 1_000;

/// Runs it.
pub fn measure(report: &mut Report) -> Result<()> {
    let mut cargo = repo::cargo();
    cargo.args(["bench", "--package", "node-agent", "--bench", "apply_change"]);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo bench: {}", output.status);
    let table = String::from_utf8_lossy(&output.stdout);
    let (few, many) = (sum(&table, FEW)?, sum(&table, MANY)?);
    let note = format!("one task of {MANY} services × 10 tasks");
    report.add("apply_change_ms", Measured::value(many).note(note));
    let ratio = Measured::value(many / few);
    report.add("apply_change_ratio", ratio.against("with 10 services", "ms", (many, few)));
    Ok(())
}

/// The last column of the line that begins with this number of services.
fn sum(table: &str, services: usize) -> Result<f64> {
    let services = services.to_string();
    let mut lines = table.lines().map(|line| line.trim_end_matches("ms").split_whitespace());
    let last = lines.find_map(|mut words| (words.next()? == services).then(|| words.last())?);
    let last = last.with_context(|| format!("no line of {services} services in: {table}"))?;
    last.parse().with_context(|| format!("{last} is no number of milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_line_is_its_last_number() {
        let table = " services  state  sum\n 10 0.4 ms 0.9 ms\n 1000 0.5 ms 1.2 ms\n";
        assert_eq!(sum(table, 10).unwrap(), 0.9);
        assert_eq!(sum(table, 1_000).unwrap(), 1.2);
        assert!(sum(table, 100).unwrap_err().to_string().contains("100 services"));
    }
}
