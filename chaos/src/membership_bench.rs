//! `chaos membership`: how the membership protocol performs in fleets of up to 200 nodes, under
//! virtual time.
//!
//! Real `gossip` machines from one seed, connected by a network with delay, loss, slow nodes and
//! partitions. The same seed gives the same numbers on every machine. It must never use a clock of
//! the machine it runs on for a measurement.

mod meter;
mod scenarios;
pub mod signing;
mod world;

use serde::Serialize;

/// How the figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A table for people, with the target beside each figure.
    Table,
    /// One JSON object.
    Json,
}

/// The figures. The names are part of the interface of `cargo xtask bench membership --json`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// 200 nodes start at once and join through one of them, until each knows all others.
    pub join_200_s: f64,
    /// 200 nodes agree again after a partition of 60 s into halves.
    pub heal_200_s: f64,
    /// False verdicts "unreachable" in 5 minutes; all members are healthy. 100 nodes, one of them
    /// delayed by 600 ms each way.
    pub false_verdicts_slow_1_of_100: u64,
    /// The same for 200 nodes and 10 % loss of datagrams.
    pub false_verdicts_loss_10_percent: u64,
    /// From the moment a node falls silent until a survivor marks it unreachable, median of all
    /// survivors of all deaths. 2 % loss.
    pub detect_p50_s_10: f64,
    /// The same, 95th percentile.
    pub detect_p95_s_10: f64,
    /// As above, 50 nodes.
    pub detect_p50_s_50: f64,
    /// As above, 50 nodes.
    pub detect_p95_s_50: f64,
    /// As above, 200 nodes.
    pub detect_p50_s_200: f64,
    /// As above, 200 nodes.
    pub detect_p95_s_200: f64,
    /// The worst of the three medians.
    pub detect_p50_s: f64,
    /// The worst of the three 95th percentiles.
    pub detect_p95_s: f64,
    /// Bytes per second that a node of an idle fleet of 10 sends, before sealing.
    pub bytes_per_node_s_10: f64,
    /// The same for 50 nodes.
    pub bytes_per_node_s_50: f64,
    /// The same for 200 nodes.
    pub bytes_per_node_s_200: f64,
}

/// Runs all scenarios from one seed and prints the figures.
pub fn run(output: Output, seed: u64) {
    let figures = scenarios::measure(seed);
    match output {
        Output::Json => {
            let text = serde_json::to_string(&figures).expect("figures are numbers");
            println!("{text}");
        }
        Output::Table => print_table(&figures),
    }
}

fn print_table(figures: &Figures) {
    println!("{:<34} {:>9}  asked", "figure", "measured");
    let rows = [
        ("join_200_s", figures.join_200_s, "≤ 10"),
        ("heal_200_s", figures.heal_200_s, "≤ 15"),
        ("false_verdicts_slow_1_of_100", figures.false_verdicts_slow_1_of_100 as f64, "0"),
        ("false_verdicts_loss_10_percent", figures.false_verdicts_loss_10_percent as f64, "0"),
        ("detect_p50_s_10", figures.detect_p50_s_10, "≤ 4"),
        ("detect_p95_s_10", figures.detect_p95_s_10, "≤ 6"),
        ("detect_p50_s_50", figures.detect_p50_s_50, "≤ 4"),
        ("detect_p95_s_50", figures.detect_p95_s_50, "≤ 6"),
        ("detect_p50_s_200", figures.detect_p50_s_200, "≤ 4"),
        ("detect_p95_s_200", figures.detect_p95_s_200, "≤ 6"),
        ("bytes_per_node_s_10", figures.bytes_per_node_s_10, ""),
        ("bytes_per_node_s_50", figures.bytes_per_node_s_50, ""),
        ("bytes_per_node_s_200", figures.bytes_per_node_s_200, ""),
    ];
    for (name, value, asked) in rows {
        println!("{name:<34} {value:>9.2}  {asked}");
    }
}
