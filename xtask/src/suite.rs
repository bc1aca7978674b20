//! `cargo xtask test`: every check and every test, on a fresh clone, with one command.
//!
//! Cheap checks come first, so that a missing doc comment is told before five minutes of
//! compiling. The first step that fails ends the run, by name. It must never skip a step without
//! saying so.

use crate::chaos::{self, ChaosArgs};
use crate::step::{Steps, succeed};
use crate::{repo, setup, tidy};
use anyhow::Result;
use clap::Args;

/// How much of the simulator to run.
#[derive(Args)]
pub struct TestArgs {
    /// How many seeds the simulator runs at the end
    #[arg(long, default_value_t = 300)]
    pub seeds: u64,
}

/// Runs all steps in order.
pub fn run(args: &TestArgs) -> Result<()> {
    let mut steps = Steps::default();
    let result = all(&mut steps, args);
    steps.summary();
    result
}

fn all(steps: &mut Steps, args: &TestArgs) -> Result<()> {
    steps.run("setup", setup::run)?;
    steps.run("format", || succeed(repo::cargo().args(["fmt", "--all", "--check"])))?;
    steps.run("tidy", tidy::run)?;
    steps.run("clippy", || {
        let check = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        succeed(repo::cargo().args(check))
    })?;
    steps.run("build", || succeed(repo::cargo().args(["build", "--workspace", "--bins"])))?;
    steps.run("tests", tests)?;
    steps.run("documentation tests", || {
        succeed(repo::cargo().args(["test", "--quiet", "--workspace", "--doc"]))
    })?;
    steps.run("chaos", || chaos::run(&ChaosArgs { seeds: args.seeds, from: 0, rest: Vec::new() }))
}

/// nextest where it is installed: it runs all files at once and ends with one summary.
fn tests() -> Result<()> {
    if repo::program("cargo-nextest").is_some() {
        return succeed(repo::cargo().args(["nextest", "run", "--workspace"]));
    }
    let all = ["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"];
    succeed(repo::cargo().args(all))
}
