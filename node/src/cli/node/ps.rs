//! `edgectl node ps`

use clap::Args;

use crate::cli::client::{Client, filters};
use crate::cli::failure::{Exit, Failure};
use crate::cli::resolve;
use crate::cli::service::{TaskFlags, print_tasks};
use crate::docker::task::Task;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Nodes, by host name or id
    #[arg(value_name = "NODE", default_value = "self")]
    nodes: Vec<String>,
    #[command(flatten)]
    tasks: TaskFlags,
}

/// Lists the tasks of nodes.
pub async fn run(args: PsArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut tasks: Vec<Task> = Vec::new();
    for typed in &args.nodes {
        let node = resolve::node(&mut client, typed).await?;
        let query = filters(&[("node", node.id.as_str())]);
        let found: Vec<Task> = client.get(&format!("/tasks?{query}")).await?;
        tasks.extend(found);
    }
    print_tasks(tasks, &args.tasks, &mut client).await?;
    Ok(Exit::Done)
}
