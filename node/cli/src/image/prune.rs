//! `edgectl image prune`

use std::io::{BufRead, IsTerminal};

use clap::Args;
use hyper::Method;

use super::rm::print_gone;
use super::size::size;
use super::transfer::{Source, send};
use crate::client::{Client, filters};
use crate::failure::{Exit, Failure};
use crate::output::{print, say};

/// Flags.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// All images that no task of this node uses, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Asks first, if stdin is a terminal.
pub async fn run(args: PruneArgs, client: Client) -> Result<Exit, Failure> {
    let what = if args.all { "that no task of this node uses" } else { "without a name" };
    if !args.force && std::io::stdin().is_terminal() && !agreed(what)? {
        return Ok(Exit::Done);
    }
    let dangling = if args.all { "false" } else { "true" };
    let path = format!("/images/prune?{}", filters(&[("dangling", dangling)]));
    for answer in send(&client, Method::POST, &path, Source::empty()).await? {
        print_gone(&answer["ImagesDeleted"])?;
        let bytes = answer["SpaceReclaimed"].as_u64().unwrap_or(0);
        print(format!("Total reclaimed space: {}", size(bytes)))?;
    }
    Ok(Exit::Done)
}

fn agreed(what: &str) -> Result<bool, Failure> {
    say(format!("This removes all images {what}. Go on? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
