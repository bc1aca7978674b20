//! `bench overlay`: containers of one network on five nodes of the release build, measured from
//! outside.
//!
//! Every ratio is of one run, with both sides in turn. A figure that cannot be had on this machine
//! says why; a part that fails is said at its figures, and the other parts go on. The bench must
//! never ask an agent for what a client can see itself.

mod apply;
mod by_hand;
mod dead;
mod drain;
mod memory;
mod names;
mod report;
mod server;
mod shop;
mod start;
mod swarm;
mod traffic;

use super::figures::Limit::{self, AtLeast, AtMost};
use crate::fleet::program;
use crate::setup;
use anyhow::{Result, ensure};
use clap::Args;
use report::{Figure, Report};
use shop::Shop;
use std::path::{Path, PathBuf};

/// What to measure, and how to print it.
#[derive(Args)]
pub struct OverlayArgs {
    /// Only these figures, by name or by how their names begin: `--only dns,drain`
    #[arg(long, value_name = "FIGURE", value_delimiter = ',')]
    only: Vec<String>,
    /// This build, to compare it with another, instead of the release build of this tree
    #[arg(long, value_name = "PATH")]
    edgectl: Option<PathBuf>,
    /// The name of the lab; two benches at a time need two
    #[arg(long, value_name = "NAME", default_value = "bench")]
    lab: String,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

const FIGURES: &[Figure] = &[
    wanted("overlay_ratio", "", AtLeast(0.97)),
    wanted("vip_ratio", "", AtLeast(0.97)),
    wanted("mesh_ratio", "", AtLeast(0.9)),
    printed("mesh_far_ratio", ""),
    printed("encrypted_ratio", ""),
    wanted("swarm_throughput_ratio", "", AtLeast(1.1)),
    wanted("swarm_name_ratio", "", AtLeast(5.0)),
    wanted("vip_connections_ratio", "", AtLeast(0.9)),
    wanted("dns_p99_ms", "ms", AtMost(1.0)),
    wanted("dns_qps", "1/s", AtLeast(20_000.0)),
    wanted("name_ready_ms", "ms", AtMost(300.0)),
    wanted("drain_errors", "", AtMost(0.0)),
    wanted("dead_after_same_ms", "ms", AtMost(200.0)),
    wanted("dead_after_other_ms", "ms", AtMost(1_000.0)),
    wanted("apply_change_ms", "ms", AtMost(10.0)),
    wanted("apply_change_ratio", "", AtMost(1.5)),
    wanted("start_overlay_ms", "ms", AtMost(8.0)),
    wanted("agent_rss_mib", "MiB", AtMost(18.0)),
    printed("agent_rss_anon_mib", "MiB"),
    printed("agent_rss_file_mib", "MiB"),
];

const fn wanted(name: &'static str, unit: &'static str, limit: Limit) -> Figure {
    Figure { name, unit, wanted: Some(limit) }
}

const fn printed(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, wanted: None }
}

/// Measures and prints the figures.
pub fn run(args: &OverlayArgs) -> Result<()> {
    let chosen = chosen(&args.only)?;
    setup::run()?;
    let edgectl = args.edgectl.clone().map_or_else(program::release, Ok)?;
    let mut bench = Bench { chosen, report: Report::new(FIGURES), failed: 0 };
    bench.measure(&edgectl, &args.lab);
    print!("{}", if args.json { bench.report.json() } else { bench.report.table() });
    ensure!(bench.failed == 0, "{} parts of the bench failed; their figures say why", bench.failed);
    Ok(())
}

/// The figures that these words name.
fn chosen(words: &[String]) -> Result<Vec<&'static str>> {
    let names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
    for word in words {
        let known = names.iter().any(|name| name.starts_with(word.as_str()));
        ensure!(known, "no figure {word}; there are: {}", names.join(", "));
    }
    let is_chosen =
        |name: &&str| words.is_empty() || words.iter().any(|word| name.starts_with(word));
    Ok(FIGURES.iter().map(|figure| figure.name).filter(|name| is_chosen(name)).collect())
}

/// Figures that one part of the bench measures together.
type Names = &'static [&'static str];

const RSS: Names = &["agent_rss_mib", "agent_rss_anon_mib", "agent_rss_file_mib"];
const APPLY: Names = &["apply_change_ms", "apply_change_ratio"];
const START: Names = &["start_overlay_ms"];
const THROUGHPUT: Names =
    &["overlay_ratio", "vip_ratio", "mesh_ratio", "mesh_far_ratio", "encrypted_ratio"];
const CONNECTIONS: Names = &["vip_connections_ratio"];
const DNS: Names = &["dns_p99_ms", "dns_qps"];
const READY: Names = &["name_ready_ms"];
const DEAD: Names = &["dead_after_same_ms", "dead_after_other_ms"];
const DRAIN: Names = &["drain_errors"];
const ON_SHOP: [Names; 8] =
    [START, THROUGHPUT, CONNECTIONS, DNS, READY, &swarm::NAMES, DEAD, DRAIN];

/// A run of the bench.
struct Bench {
    chosen: Vec<&'static str>,
    report: Report,
    /// Parts that failed.
    failed: usize,
}

impl Bench {
    fn measure(&mut self, edgectl: &Path, lab: &str) {
        self.part(&[APPLY], apply::measure);
        // A fleet of its own: memory grows with what an agent has done.
        self.part(&[RSS], |report| {
            let shop = Shop::open(edgectl, lab)?;
            let measured = memory::measure(&shop, report);
            shop.close(measured)
        });
        if !self.wants(&ON_SHOP) {
            return;
        }
        let opened = Shop::open(edgectl, lab);
        let shop = match opened {
            Ok(shop) => shop,
            Err(error) => return self.part(&ON_SHOP, |_| Err(error)),
        };
        self.on_shop(&shop);
        if let Err(error) = shop.close(Ok(())) {
            self.failed += 1;
            eprintln!("bench: {error:#}");
        }
    }

    fn on_shop(&mut self, shop: &Shop) {
        let chosen = self.chosen.clone();
        self.part(&[START], |report| start::measure(shop, report));
        self.part(&[THROUGHPUT], |report| traffic::throughput(shop, &chosen, report));
        self.part(&[CONNECTIONS], |report| traffic::connections(shop, report));
        self.part(&[DNS], |report| names::load(shop, report));
        self.part(&[READY], |report| names::ready(shop, report));
        self.part(&[&swarm::NAMES], |report| swarm::measure(shop, &chosen, report));
        self.part(&[DEAD], |report| dead::measure(shop, report));
        self.part(&[DRAIN], |report| drain::measure(shop, report));
    }

    fn wants(&self, parts: &[Names]) -> bool {
        parts.iter().copied().flatten().any(|name| self.chosen.contains(name))
    }

    /// Measures the figures of a part, unless none of them is wanted. If that fails, those that
    /// are missing say why.
    fn part(&mut self, names: &[Names], measure: impl FnOnce(&mut Report) -> Result<()>) {
        if !self.wants(names) {
            return;
        }
        if let Err(error) = measure(&mut self.report) {
            self.failed += 1;
            for name in names.iter().copied().flatten().filter(|name| self.chosen.contains(name)) {
                self.report.miss(name, &format!("{error:#}"));
            }
        }
        self.report.keep(&self.chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::report::Measured;
    use super::*;

    #[test]
    fn figures_are_chosen_by_how_their_names_begin() {
        assert_eq!(chosen(&[]).unwrap().len(), FIGURES.len());
        let two = chosen(&["dead_after".into()]).unwrap();
        assert_eq!(two, ["dead_after_same_ms", "dead_after_other_ms"]);
        let parts = ON_SHOP.iter().chain(&[RSS, APPLY]).copied().flatten();
        let mut measured: Vec<&str> = parts.copied().collect();
        let mut all = chosen(&[]).unwrap();
        measured.sort_unstable();
        all.sort_unstable();
        assert_eq!(measured, all, "every figure is of one part");
        assert!(chosen(&["nothing".into()]).unwrap_err().to_string().contains("vip_ratio"));
    }

    #[test]
    fn a_part_that_fails_is_said_at_its_figures_and_the_others_go_on() {
        let chosen = chosen(&["dns".into(), "name".into()]).unwrap();
        let mut bench = Bench { chosen, report: Report::new(FIGURES), failed: 0 };
        bench.part(&[DNS], |report| {
            report.add("dns_qps", Measured::value(1.0));
            anyhow::bail!("the node is gone")
        });
        bench.part(&[READY], |report| {
            report.add("name_ready_ms", Measured::value(2.0));
            Ok(())
        });
        bench.part(&[DRAIN], |_| panic!("nobody asked for it"));
        let said: serde_json::Value = serde_json::from_str(&bench.report.json()).unwrap();
        assert_eq!((bench.failed, said.as_object().unwrap().len()), (1, 3));
        assert_eq!(said["dns_qps"]["value"], 1);
        assert_eq!(said["dns_p99_ms"]["not_measured"], "the node is gone");
        assert_eq!(said["name_ready_ms"]["reached"], true);
    }
}
