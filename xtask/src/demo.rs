//! `cargo xtask demo`: shows the main job in about a minute on one machine.
//!
//! Three agents, a web page that asks a redis by its name, a node that dies, a fleet that is
//! partitioned, edited on both sides and healed. Every claim is checked, and a claim that does not
//! hold ends the demo with an error. It must leave nothing behind, unless it is told to keep the
//! fleet.

mod chapters;
mod print;
mod shop;
mod visitors;

use crate::fleet::{Fleet, Links, program};
use crate::setup;
use anyhow::Result;
use clap::Args;
use print::{say, title};
use shop::Shop;
use std::time::{Duration, Instant};

/// Nodes of the demo.
const NODES: usize = 3;
/// Longer than any step should take; then the demo names the step that did not happen.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between what the API shows and what every node's names and virtual addresses lead to.
const SPREAD: Duration = Duration::from_secs(1);

/// What to do with the fleet in the end.
#[derive(Args)]
pub struct DemoArgs {
    /// Leave the fleet up and say how to talk to it
    #[arg(long)]
    pub keep: bool,
}

/// Shows all chapters.
pub fn run(args: &DemoArgs) -> Result<()> {
    setup::run()?;
    let edgectl = program::quickest()?;
    let begun = Instant::now();
    title("Three equal nodes");
    let fleet = Fleet::up(&edgectl, "demo", NODES)?;
    say(&format!("three agents know each other after {:.1} s", begun.elapsed().as_secs_f64()));
    for node in &fleet.nodes {
        say(&format!("  {}  {}", node.name, node.address));
    }
    if fleet.links == Links::Loopback {
        say("not root: every node is an address of 127.0.0.0/8 instead of a network namespace");
    }
    let told = tell(&fleet);
    if let Err(error) = told {
        fleet.down()?;
        return Err(error);
    }
    say(&format!("\nThe demo took {:.0} s.", begun.elapsed().as_secs_f64()));
    if args.keep {
        return keep(fleet, &edgectl.display().to_string());
    }
    fleet.down()?;
    say("Everything is cleaned up. To look around yourself: cargo xtask demo --keep");
    Ok(())
}

fn tell(fleet: &Fleet) -> Result<()> {
    let shop = Shop::on(fleet);
    chapters::create(&shop)?;
    chapters::kill(&shop)?;
    if fleet.links == Links::Loopback {
        title("A fleet cut in two: left out");
        say("cutting a link needs network namespaces; type: sudo -E cargo xtask demo");
        return Ok(());
    }
    chapters::cut_and_heal(&shop)
}

fn keep(fleet: Fleet, edgectl: &str) -> Result<()> {
    say("The fleet stays up. To talk to it:");
    say(&format!("  export EDGECTL_SOCKET={}", fleet.nodes[0].socket.display()));
    say(&format!("  {edgectl} status"));
    say(&format!("  {edgectl} service ps web"));
    say(&format!("  {edgectl} lab ls --name demo"));
    say("To take it down:");
    say(&format!("  {edgectl} lab down --name demo"));
    fleet.keep()
}
