//! `cargo xtask bench`: measures the promised numbers from outside.
//!
//! `fleet`, `containers`, `docker`, `trust` and `overlay` run real agents of the release build; `membership` runs the simulator
//! under virtual time, `placement` the planner alone, as optimised as in an agent, and then a rolling
//! update on real ones. Each prints a table for people, or one JSON object. A figure that misses its
//! limit is marked but is not an error; a figure that cannot be measured is an error.

mod containers;
mod docker;
mod figures;
mod fleet;
mod heal;
mod junk;
mod overlay;
mod process;
mod rolling;
mod secret_ready;
mod swarm;
mod trust;

use crate::{chaos, step::succeed};
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

/// What to measure.
#[derive(Subcommand)]
pub enum BenchCommand {
    /// Five agents on this machine: start, scale, restart, failover, idle cost (about 6 minutes)
    Fleet(Output),
    /// Containers on five agents: start, images between peers, memory; needs root (about 2 minutes)
    Containers(Output),
    /// Docker's client against two agents and a Docker Swarm of two: stacks, lists; needs root (about 4 minutes)
    Docker(Output),
    /// Networks of five nodes: throughput, names, what clients notice; needs root (about 7 minutes)
    Overlay(overlay::OverlayArgs),
    /// Joining by a token, and a fleet under wrong tokens (about 4 minutes)
    Trust(Output),
    /// The membership protocol in the simulator: joins, verdicts, heals
    Membership(Output),
    /// Plans of 100,000 tasks on 1,000 nodes: time, balance, moves; and a rolling update on five agents
    Placement(Output),
}

/// How to print it.
#[derive(Args)]
pub struct Output {
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Measures and prints the figures.
pub fn run(command: &BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Fleet(output) => {
            let figures = fleet::measure()?;
            print!("{}", if output.json { figures.json() } else { figures.table() });
            Ok(())
        }
        BenchCommand::Containers(output) => {
            let figures = containers::measure()?;
            print!("{}", if output.json { figures.json() } else { figures.table() });
            Ok(())
        }
        BenchCommand::Docker(output) => {
            let figures = docker::measure()?;
            print!("{}", if output.json { figures.json() } else { figures.table() });
            Ok(())
        }
        BenchCommand::Trust(output) => {
            let figures = trust::measure()?;
            print!("{}", if output.json { figures.json() } else { figures.table() });
            Ok(())
        }
        BenchCommand::Overlay(args) => overlay::run(args),
        BenchCommand::Membership(output) => {
            let mut simulator = chaos::simulator();
            simulator.arg("membership").args(output.json.then_some("--json"));
            succeed(&mut simulator)
        }
        BenchCommand::Placement(output) => {
            let mut planner = chaos::release();
            planner.arg("placement").args(output.json.then_some("--json"));
            if output.json {
                let said = planner.output().context("cannot start cargo")?;
                ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
                let mut all: Map<String, Value> = serde_json::from_slice(&said.stdout)?;
                all.extend(serde_json::from_str::<Map<String, Value>>(
                    &rolling::measure()?.json(),
                )?);
                println!("{}", Value::Object(all));
                return Ok(());
            }
            succeed(&mut planner)?;
            print!("{}", rolling::measure()?.table());
            Ok(())
        }
    }
}
