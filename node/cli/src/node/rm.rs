//! `edgectl node rm`

use clap::Args;

use crate::client::Client;
use crate::dry_run::DryRunFlags;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::resolve;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Nodes, by host name or id
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    /// Also one that answers
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

/// Forgets each node; a failure does not stop the others.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.dry_run);
    let mut each = Each::new();
    let force = if args.force { "?force=true" } else { "" };
    for typed in &args.nodes {
        if each.take(remove(&mut client, typed, force).await).is_some() {
            print(typed)?;
        }
    }
    Ok(each.exit())
}

async fn remove(client: &mut Client, typed: &str, query: &str) -> Result<(), Failure> {
    let node = resolve::node(client, typed).await?;
    client.delete(&format!("/nodes/{}{query}", node.id)).await?;
    Ok(())
}
