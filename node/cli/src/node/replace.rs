//! `edgectl node replace`: a machine in the place of one that is lost.

use clap::Args;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::resolve;
use node_docker::edge::{ReplaceAnswer, ReplaceRequest};
use node_docker::node::Node;
use node_docker::service::Service;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// The node that is lost, by host name or id
    #[arg(value_name = "NODE")]
    old: String,
    /// The node in its place, which has joined already
    #[arg(long, value_name = "NODE")]
    with: String,
    /// Also if the old node answers
    #[arg(short, long)]
    force: bool,
}

/// Gives the new node what the old one had, and removes the old one.
pub async fn run(args: ReplaceArgs, mut client: Client) -> Result<Exit, Failure> {
    let old = resolve::node(&mut client, &args.old).await?;
    let new = resolve::node(&mut client, &args.with).await?;
    let request = ReplaceRequest { by: new.id.clone(), force: args.force };
    let path = format!("/edge/nodes/{}/replace", old.id);
    let ReplaceAnswer { volumes } = client.post(&path, &request).await?;
    let name = &new.description.hostname;
    print(name)?;
    if !volumes.is_empty() {
        say(format!("{name} has the volumes of {} now, empty: {}", args.old, volumes.join(", ")));
    }
    if old.spec.availability != "active" {
        say(format!(
            "{name} is set to {0}, as {1} was; to give it tasks: edgectl node update --availability \
             active {name}",
            old.spec.availability, args.old
        ));
    }
    let services: Vec<Service> = client.get("/services").await?;
    for service in services.iter().filter(|service| names(service, &old, name)) {
        say(format!(
            "the service {} has a constraint that names {}; name {name} in its place: edgectl service \
             update --constraint-rm … --constraint-add … {0}",
            service.spec.name, args.old
        ));
    }
    Ok(Exit::Done)
}

/// Is a service kept to the old node by a constraint that the new one does not fulfil?
fn names(service: &Service, old: &Node, new: &str) -> bool {
    let hostname = &old.description.hostname;
    let placement = service.spec.task_template.placement.as_ref();
    let constraints = placement.map(|placement| placement.constraints.as_slice());
    constraints.unwrap_or_default().iter().any(|constraint| {
        let Some((what, value)) = constraint.split_once("==") else { return false };
        match what.trim() {
            "node.hostname" => value.trim() == hostname && hostname != new,
            "node.id" => value.trim() == old.id,
            _ => false,
        }
    })
}
