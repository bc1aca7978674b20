//! `edgectl stack rm`

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{ArgAction, Args};
use serde::Deserialize;

use super::{name, nothing_found, of_stack, services_of};
use crate::client::{CallError, Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{natural, say};
use node_docker::network::Network;
use node_docker::task::Task;

/// Pause between two looks at the tasks that still end.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// States that a task does not leave.
const ENDED: [&str; 6] = ["complete", "shutdown", "failed", "rejected", "remove", "orphaned"];

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Stacks
    #[arg(required = true, value_name = "STACK", value_parser = name())]
    stacks: Vec<String>,
    /// Do not wait for tasks, but for those on its networks; with --detach=false for all of them
    #[arg(
        short,
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    detach: bool,
}

/// Something to remove: what it is, where, and its name.
struct Part {
    kind: &'static str,
    path: String,
    name: String,
}

/// A secret or a config.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec")]
    spec: FileSpec,
}

#[derive(Deserialize)]
struct FileSpec {
    #[serde(rename = "Name")]
    name: String,
}

/// Removes each stack; a failure does not stop the others. That a stack is unknown is none, as with
/// Docker's client.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    for stack in &args.stacks {
        let Some(parts) = each.take(parts(&mut client, stack).await) else { continue };
        if parts.is_empty() {
            say(nothing_found(stack));
        }
        let mut removed = BTreeSet::new();
        for part in &parts {
            say(format!("Removing {} {}", part.kind, part.name));
            if each.take(remove(&mut client, part).await).is_some() {
                removed.extend(part.path.strip_prefix("/services/"));
            }
        }
        if !args.detach && !removed.is_empty() {
            each.take(wait(&mut client, &removed).await);
        }
    }
    Ok(each.exit())
}

/// A network goes when the last task has left it. What somebody else has removed meanwhile is gone as
/// well.
async fn remove(client: &mut Client, part: &Part) -> Result<(), CallError> {
    let removed = match part.kind {
        "network" => client.delete_without_timeout(&part.path).await,
        _ => client.delete(&part.path).await,
    };
    match removed {
        Err(CallError::Refused { status: 404, .. }) => Ok(()),
        other => other,
    }
}

/// Everything of a stack, in the order in which nothing is removed that something else still uses.
async fn parts(client: &mut Client, stack: &str) -> Result<Vec<Part>, Failure> {
    let of_stack = of_stack(stack);
    let services = services_of(client, stack).await?;
    let secrets: Vec<File> = client.get(&format!("/secrets?{of_stack}")).await?;
    let configs: Vec<File> = client.get(&format!("/configs?{of_stack}")).await?;
    let networks: Vec<Network> = client.get(&format!("/networks?{of_stack}")).await?;
    let part = |kind, folder: &str, id: &str, name: String| Part {
        kind,
        path: format!("/{folder}/{}", escape(id)),
        name,
    };
    let groups: [Vec<Part>; 4] = [
        services.into_iter().map(|s| part("service", "services", &s.id, s.spec.name)).collect(),
        secrets.into_iter().map(|s| part("secret", "secrets", &s.id, s.spec.name)).collect(),
        configs.into_iter().map(|c| part("config", "configs", &c.id, c.spec.name)).collect(),
        networks.into_iter().map(|n| part("network", "networks", &n.id, n.name)).collect(),
    ];
    let sorted = groups.into_iter().flat_map(|mut group| {
        group.sort_by_cached_key(|part| (natural(&part.name), part.path.clone()));
        group
    });
    Ok(sorted.collect())
}

/// Until the tasks of these services have ended. Those on nodes that are not reached end when
/// these nodes hear of it, which may take any time: they are named and not waited for.
async fn wait(client: &mut Client, services: &BTreeSet<&str>) -> Result<(), Failure> {
    loop {
        let mut tasks: Vec<Task> = client.get("/tasks").await?;
        tasks.retain(|task| {
            services.contains(task.service_id.as_str())
                && !ENDED.contains(&task.status.state.as_str())
        });
        if tasks.iter().all(|task| task.edge.unreachable_ms.is_some()) {
            for task in tasks {
                say(format!("! {} ends when its node is reached again", task.edge.name));
            }
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
