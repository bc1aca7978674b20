//! `cargo xtask test`: every check and every test, on a fresh clone, with one command.
//!
//! Cheap checks come first, so that a missing doc comment is reported before five minutes of
//! compiling. The first step that fails ends the run, and its name is printed. The suite must never
//! skip a step without saying so.

use crate::chaos::{self, ChaosArgs};
use crate::demo::{self, DemoArgs};
use crate::mutants::{self, MutantsArgs};
use crate::soak::{self, SoakArgs};
use crate::step::{Steps, succeed};
use crate::{examples, repo, setup, tidy};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Kills of the agent on every push; `cargo xtask soak` does more.
const SOAK_KILLS: u32 = 3;

/// The properties are tried on the same cases every time, so that what this prints depends on the
/// change at hand alone. Without this variable, `PROPTEST_CASES=20000 cargo nextest run -p PACKAGE`
/// tries other cases each time.
const SAME_CASES: (&str, &str) = ("PROPTEST_RNG_SEED", "1");

/// How much of the simulator to run.
#[derive(Args)]
pub struct TestArgs {
    /// How many seeds the simulator runs at the end
    #[arg(long, default_value_t = 50)]
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
    steps.run("mutants", || mutants::run(&MutantsArgs { names: Vec::new(), check: true }))?;
    steps.run("clippy", || {
        let check = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        succeed(repo::cargo().args(check))
    })?;
    steps.run("build", || succeed(repo::cargo().args(["build", "--workspace", "--bins"])))?;
    steps.run("tests", run_tests)?;
    steps.run("documentation tests", || {
        succeed(repo::cargo().args(["test", "--quiet", "--workspace", "--doc"]))
    })?;
    steps.run("examples", examples::check)?;
    steps.run("demo", || demo::run(&DemoArgs { keep: false }))?;
    steps.run("soak", || soak::run(&SoakArgs { kills: SOAK_KILLS, processes: false }))?;
    steps.run("chaos", || {
        chaos::run(&ChaosArgs { command: None, seeds: args.seeds, from: 0, rest: Vec::new() })
    })
}

/// Uses nextest if it is installed: it runs all test files at once and ends with one summary.
fn run_tests() -> Result<()> {
    match repo::program("cargo-nextest") {
        Some(_) => {
            let mut nextest = repo::cargo();
            nextest.args(["nextest", "run", "--workspace"]).env(SAME_CASES.0, SAME_CASES.1);
            succeed(&mut nextest)
        }
        None => cargo_test(),
    }
}

/// `cargo test` prints a summary per file; here they are added up.
fn cargo_test() -> Result<()> {
    let all = ["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"];
    let mut child =
        repo::cargo().args(all).env(SAME_CASES.0, SAME_CASES.1).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().expect("stdout is piped");
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(output).lines() {
        let line = line.context("cargo test printed no text")?;
        println!("{line}");
        passed += counted(&line, "passed");
        failed += counted(&line, "failed");
    }
    let status = child.wait()?;
    println!("{passed} passed, {failed} failed");
    ensure!(status.success(), "{status}; to see it again: cargo {}", all.join(" "));
    Ok(())
}

/// The number before `what` in a line like `test result: ok. 3 passed; 0 failed; …`.
fn counted(line: &str, what: &str) -> u64 {
    let Some(result) = line.strip_prefix("test result: ") else { return 0 };
    let part = result.split([';', '.']).find_map(|part| part.trim().strip_suffix(what));
    part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_cargo_test_are_added_up() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured";
        assert_eq!((counted(line, "passed"), counted(line, "failed")), (12, 3));
        assert_eq!(counted("12 passed", "passed"), 0);
    }
}
