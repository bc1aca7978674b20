//! `edgectl node rm`

use clap::Args;

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print, say};
use crate::cli::resolve;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Nodes, by host name or id
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    /// Also one that answers
    #[arg(short, long)]
    force: bool,
}

/// Forgets each; what cannot be forgotten does not stop the others.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut last = None;
    for typed in &args.nodes {
        if let Some(failure) = last.take() {
            say(format!("error: {failure}"));
        }
        let force = if args.force { "?force=true" } else { "" };
        match remove(&mut client, typed, force).await {
            Ok(()) => print(typed)?,
            Err(failure) => last = Some(failure),
        }
    }
    last.map_or(Ok(Exit::Done), Err)
}

async fn remove(client: &mut Client, typed: &str, query: &str) -> Result<(), Failure> {
    let node = resolve::node(client, typed).await?;
    client.delete(&format!("/nodes/{}{query}", node.id)).await?;
    Ok(())
}
