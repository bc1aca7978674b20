//! `cargo xtask chaos`: builds the simulator optimised, with every assertion on, and runs it.
//!
//! It knows the simulator's two commands by name, `run` and `membership`, and nothing of what
//! they check.

use crate::{repo, step::succeed};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// Which seeds to run.
#[derive(Args)]
pub struct ChaosArgs {
    /// How many seeds
    #[arg(long, default_value_t = 500)]
    pub seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// Passed on to `chaos run` unchanged
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// Runs the seeds; a failing seed prints the command that replays it.
pub fn run(args: &ChaosArgs) -> Result<()> {
    succeed(
        simulator()
            .args(["run", "--seeds", &args.seeds.to_string(), "--from", &args.from.to_string()])
            .args(&args.rest),
    )
}

/// Cargo, told to build the simulator and start it with the arguments that follow.
pub fn simulator() -> Command {
    let mut command = repo::cargo();
    command.args(["run", "--quiet", "--profile", "sim", "--package", "chaos", "--bin", "chaos"]);
    command.arg("--");
    command
}
