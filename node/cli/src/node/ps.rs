//! `edgectl node ps`

use clap::Args;

use crate::client::{Client, filters};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::resolve;
use crate::service::{TaskFlags, print_tasks};
use node_docker::task::Task;

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
    let mut each = Each::new();
    for typed in &args.nodes {
        tasks.extend(each.take(read(&mut client, typed).await).unwrap_or_default());
    }
    if !tasks.is_empty() || each.is_well() {
        print_tasks(tasks, &args.tasks, &mut client).await?;
    }
    Ok(each.exit())
}

async fn read(client: &mut Client, typed: &str) -> Result<Vec<Task>, Failure> {
    let node = resolve::node(client, typed).await?;
    Ok(client.get(&format!("/tasks?{}", filters(&[("node", node.id.as_str())]))).await?)
}
