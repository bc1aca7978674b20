//! `edgectl top`: the processes of a running task, on any node.

use clap::Args;

use super::client::{Client, escape};
use super::failure::{Exit, Failure};
use super::output::{self, Table};
use super::task;
use node_docker::container::ProcessTable;

/// Operands.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// The task: web.2, its id, or a service that has one task
    task: String,
    /// Arguments for the ps of the task's node, instead of -ef
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PS OPTIONS")]
    ps: Vec<String>,
}

/// Shows them.
pub async fn run(args: TopArgs, mut client: Client) -> Result<Exit, Failure> {
    let task = task::find(&mut client, &args.task).await?;
    let path = format!("/containers/{}/top?ps_args={}", task.id, escape(&args.ps.join(" ")));
    let found: ProcessTable = client.get(&path).await?;
    let mut table = Table::new();
    table.row(found.titles.iter().map(String::as_str));
    for row in &found.processes {
        table.row(row.iter().map(String::as_str));
    }
    output::print(table.lines().join("\n"))?;
    Ok(Exit::Done)
}
