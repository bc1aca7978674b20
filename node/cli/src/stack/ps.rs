//! `edgectl stack ps`

use clap::Args;

use super::{name, nothing_found, of_stack, services_of};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::service::{TaskFlags, print_tasks};
use node_docker::task::Task;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// The stack
    #[arg(value_name = "STACK", value_parser = name())]
    stack: String,
    #[command(flatten)]
    tasks: TaskFlags,
}

/// Lists the tasks of all its services.
pub async fn run(args: PsArgs, mut client: Client) -> Result<Exit, Failure> {
    if services_of(&mut client, &args.stack).await?.is_empty() {
        return Err(Failure::new(nothing_found(&args.stack)).hint("edgectl stack ls"));
    }
    let tasks: Vec<Task> = client.get(&format!("/tasks?{}", of_stack(&args.stack))).await?;
    print_tasks(tasks, &args.tasks, &mut client).await?;
    Ok(Exit::Done)
}
