//! `cargo xtask chaos`: builds the simulator optimised, with every assertion on, and runs it.
//!
//! It knows the simulator's commands by name, `run`, `replay`, `membership` and `placement`, and nothing of
//! their checks.

use crate::{repo, step::succeed};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// What to simulate.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ChaosArgs {
    /// Instead of seeds
    #[command(subcommand)]
    pub command: Option<ChaosCommand>,
    /// How many seeds
    #[arg(long, default_value_t = 500)]
    pub seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// Passed on to `chaos run` unchanged
    #[arg(last = true)]
    pub rest: Vec<String>,
}

/// What else the simulator can do.
#[derive(Subcommand)]
pub enum ChaosCommand {
    /// Replay the history that `edgectl agent --history FILE` wrote, with every checker on
    Replay {
        /// The history
        file: PathBuf,
        /// Print every event
        #[arg(long)]
        trace: bool,
    },
}

/// Runs the seeds; a failing seed prints the command that replays it.
pub fn run(args: &ChaosArgs) -> Result<()> {
    if let Some(ChaosCommand::Replay { file, trace }) = &args.command {
        let history = File::open(file).with_context(|| file.display().to_string())?;
        let trace = trace.then_some("--trace");
        return succeed(simulator().arg("replay").args(trace).stdin(history));
    }
    succeed(
        simulator()
            .args(["run", "--seeds", &args.seeds.to_string(), "--from", &args.from.to_string()])
            .args(&args.rest),
    )
}

/// A cargo command that builds the simulator and starts it with the arguments that follow.
pub fn simulator() -> Command {
    built_as("sim")
}

/// The same, built as an agent is: for what the machine's clock measures.
pub fn release() -> Command {
    built_as("release")
}

fn built_as(profile: &str) -> Command {
    let mut command = repo::cargo();
    command.args(["run", "--quiet", "--profile", profile, "--package", "chaos", "--bin", "chaos"]);
    command.arg("--");
    command
}
