//! The command line of the simulator.
//!
//! `chaos membership` measures the failure detector alone, `chaos signing` what signatures cost, `chaos
//! placement` the planner. `chaos replay` replays a history of an agent. `chaos run --seeds N [--from M]` runs N seeds on two threads and prints a summary. A
//! failing seed prints the seed, the command that replays it, the invariant and the last fifty
//! events; then the exit code is 1. The exit code is also 1 if a sweep that is long enough never
//! reaches one of the interesting states.

use std::io::Read;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, Parser, Subcommand};
use node_core::history;

use crate::membership_bench::{self, Output};
use crate::placement_bench;
use crate::profile::{RunOptions, Worlds};
use crate::replay::replay;
use crate::run::{Outcome, run};
use crate::sabotage::Sabotage;
use crate::sometimes::{Event, Sometimes};
use crate::trace::Echo;

/// Failing seeds that are printed in full; the others are only counted.
const FAILURES_SHOWN_MAX: usize = 3;

/// A sweep of this many whole worlds from seed 0 must reach every interesting state: CI runs as
/// many.
const REACHES_ALL_SEEDS: u64 = 300;

/// The simulator.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run simulated fleets through harm, heal and agreement, one world for each seed
    Run(RunArgs),
    /// Replay the history that an agent wrote, from standard input
    Replay {
        /// Print every event to standard error as it happens
        #[arg(long)]
        trace: bool,
    },
    /// Measure the membership protocol: joins, verdicts, heals
    Membership {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// The seed of every scenario
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measure what signatures add to the spreading of 1,000 changes on 50 nodes
    Signing {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Measure plans of 100,000 tasks on 1,000 nodes: time, balance, moves
    Placement {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Which seeds, and how.
#[derive(Debug, Args)]
struct RunArgs {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Machines in each world, instead of what the seed draws
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=64))]
    nodes: Option<u64>,
    /// Stop each world at this second
    #[arg(long, value_name = "SECONDS")]
    until: Option<u64>,
    /// The worlds of the seeds as they were when the first ones were kept
    #[arg(long)]
    as_kept: bool,
    /// Break a promise that the nodes rely on, to see which checker finds it
    #[arg(long)]
    sabotage: Option<Sabotage>,
    /// Print every event to standard error as it happens
    #[arg(long)]
    trace: bool,
    /// Worlds that run at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run_seeds(&args),
        Command::Replay { trace } => {
            replay_history(if trace { Echo::Printed } else { Echo::Silent })
        }
        Command::Membership { json, seed } => {
            let output = if json { Output::Json } else { Output::Table };
            membership_bench::run(output, seed);
            ExitCode::SUCCESS
        }
        Command::Signing { json } => {
            membership_bench::signing::run(if json { Output::Json } else { Output::Table });
            ExitCode::SUCCESS
        }
        Command::Placement { json } => {
            placement_bench::run(if json { Output::Json } else { Output::Table });
            ExitCode::SUCCESS
        }
    }
}

fn replay_history(echo: Echo) -> ExitCode {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| error.to_string());
    let entries = read.and_then(|_| history::decode(&bytes).map_err(|error| error.to_string()));
    let report = match entries {
        Ok(entries) => replay(entries, echo),
        Err(error) => {
            eprintln!(
                "error: {error}\n  try: edgectl agent --history FILE, then cargo xtask chaos replay FILE"
            );
            return ExitCode::FAILURE;
        }
    };
    let seconds = report.at / 1_000;
    let digest = report.digest.map_or(String::new(), |digest| format!("; its state is {digest}"));
    println!("{} facts in {seconds} s of an agent {}{digest}", report.inputs, report.version);
    let Some(stopped) = report.stopped else {
        println!("it is what happened, and no invariant is broken");
        return ExitCode::SUCCESS;
    };
    report.last_events.iter().for_each(|line| println!("    {line}"));
    println!("fact {} at {} ms: {stopped}", report.inputs, report.at);
    if report.version != env!("CARGO_PKG_VERSION") {
        println!("try: the simulator of the agent's own version, {}", report.version);
    }
    ExitCode::FAILURE
}

fn run_seeds(args: &RunArgs) -> ExitCode {
    let worlds = if args.as_kept { Worlds::AsKept } else { Worlds::Whole };
    let machines = args.nodes.map(|nodes| nodes as usize);
    let options = RunOptions { machines, worlds, sabotage: args.sabotage, ..RunOptions::default() };
    let until = args.until.map_or(u64::MAX, |seconds| seconds.saturating_mul(1_000));
    let echo = if args.trace { Echo::Printed } else { Echo::Silent };
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.threads.min(args.seeds) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= args.seeds {
                        break;
                    }
                    let outcome = run(args.from.wrapping_add(number), &options, until, echo);
                    outcomes.lock().expect("no thread panics here").push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panics here");
    outcomes.sort_by_key(|outcome| outcome.seed);
    print_failures(&outcomes);
    let sometimes = summed(&outcomes);
    print_summary(&outcomes, &sometimes);
    let is_whole = args.seeds >= REACHES_ALL_SEEDS && !args.as_kept;
    let is_sweep = is_whole && args.nodes.is_none() && args.until.is_none();
    let missed: Vec<Event> = if is_sweep { sometimes.missed().collect() } else { Vec::new() };
    if !missed.is_empty() {
        println!("never reached, so not tested: {missed:?}");
        return ExitCode::FAILURE;
    }
    let is_green = outcomes.iter().all(|outcome| outcome.failure.is_none());
    if is_green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_failures(outcomes: &[Outcome]) {
    let failed = outcomes.iter().filter_map(|o| o.failure.as_ref().map(|failure| (o, failure)));
    for (number, (outcome, failure)) in failed.enumerate() {
        let seed = outcome.seed;
        if number >= FAILURES_SHOWN_MAX {
            println!("seed {seed} failed: {}", failure.violation);
            continue;
        }
        for line in &failure.last_events {
            println!("    {line}");
        }
        println!("seed {seed} failed at {} ms: {}", outcome.virtual_ms, failure.violation);
        println!("    {}", failure.profile);
        println!("    replay: cargo xtask chaos --seeds 1 --from {seed}");
        println!("    every event: cargo xtask chaos --seeds 1 --from {seed} -- --trace\n");
    }
}

fn summed(outcomes: &[Outcome]) -> Sometimes {
    let mut sometimes = Sometimes::default();
    outcomes.iter().for_each(|outcome| sometimes.add(&outcome.sometimes));
    sometimes
}

fn print_summary(outcomes: &[Outcome], sometimes: &Sometimes) {
    let sum = |figure: fn(&Outcome) -> u64| outcomes.iter().map(figure).sum::<u64>();
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let mut agreed: Vec<u64> = outcomes.iter().filter_map(|o| o.agreed_after_ms).collect();
    agreed.sort_unstable();
    let at = |percent: usize| agreed.get(agreed.len().saturating_sub(1) * percent / 100);
    let ms = |percent| at(percent).copied().unwrap_or(0);
    println!("what was reached, over all seeds:");
    for (event, count) in sometimes.iter() {
        println!("    {count:>9}  {event:?}");
    }
    println!(
        "{} seeds, {failed} failed; {} events in {} virtual minutes; agreed after the heal: median {} ms, p95 {} ms, worst {} ms",
        outcomes.len(),
        sum(|outcome| outcome.events),
        sum(|outcome| outcome.virtual_ms) / 60_000,
        ms(50),
        ms(95),
        ms(100),
    );
    if let [only] = outcomes {
        println!("trace {}", only.hash);
    }
}
