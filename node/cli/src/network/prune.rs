//! `edgectl network prune`

use std::io::BufRead;

use clap::Args;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{print, say};
use crate::terminal;
use node_docker::network::NetworksPruned;

const FILTERS: [&str; 3] = ["label", "label!", "until"];

/// Flags.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Remove only what fits: label=KEY, label=KEY=VALUE; not what has it: label!=KEY
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Asks first, if somebody is there to answer.
pub async fn run(args: PruneArgs, mut client: Client) -> Result<Exit, Failure> {
    let query = Filters::parse(&args.filter, &FILTERS)?.query();
    if !args.force && !agreed()? {
        return Ok(Exit::Done);
    }
    let pruned: NetworksPruned = client.post(&format!("/networks/prune{query}"), &()).await?;
    let names = pruned.networks_deleted.unwrap_or_default();
    if names.is_empty() {
        say("nothing to remove");
    }
    for name in &names {
        print(name)?;
    }
    Ok(Exit::Done)
}

fn agreed() -> Result<bool, Failure> {
    if !terminal::is_terminal() {
        return Err(Failure::new("this removes every network of the fleet that no service is on")
            .why("nobody is there to be asked: the input is no terminal")
            .hint("edgectl network prune --force"));
    }
    say("This removes every network of the fleet that no service is on. Go on? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
