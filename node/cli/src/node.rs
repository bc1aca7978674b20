//! `edgectl node …`

mod inspect;
mod ls;
mod ps;
mod rekey;
mod replace;
mod rm;
mod update;

use std::time::Duration;

use clap::Subcommand;

pub use rekey::RekeyArgs;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::compact_age;
use crate::examples;
use node_docker::node::Node;

/// Nodes: what can run it. All are equal; each takes every command.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the nodes, as seen from the one that answers
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show everything about nodes
    Inspect(inspect::InspectArgs),
    /// List the tasks of nodes
    Ps(ps::PsArgs),
    /// Set labels and availability of a node
    #[command(help_template = examples!(
        "edgectl node update --label-add zone=a pi-3",
        "edgectl node update --availability drain pi-3",
    ))]
    Update(update::UpdateArgs),
    /// Forget nodes that will not come back
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Put a node in the place of one that is lost: with its labels, availability and volume names
    #[command(help_template = examples!(
        "edgectl node replace pi-3 --with pi-9               on pi-9, after it joined",
    ))]
    Replace(replace::ReplaceArgs),
    /// Refuse a stolen node for ever: it is removed, and tokens that it knows are replaced
    Revoke(rekey::RevokeArgs),
    /// Make this machine a new node, while its agent does not run; volumes and images stay
    #[command(help_template = examples!(
        "systemctl stop edgectl && edgectl node rekey && systemctl start edgectl",
    ))]
    Rekey(rekey::RekeyArgs),
}

/// Runs one of them.
pub async fn run(command: NodeCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        NodeCommand::Ls(args) => ls::run(args, client).await,
        NodeCommand::Inspect(args) => inspect::run(args, client).await,
        NodeCommand::Ps(args) => ps::run(args, client).await,
        NodeCommand::Update(args) => update::run(args, client).await,
        NodeCommand::Rm(args) => rm::run(args, client).await,
        NodeCommand::Replace(args) => replace::run(args, client).await,
        NodeCommand::Revoke(args) => rekey::revoke(args, client).await,
        NodeCommand::Rekey(_) => unreachable!("it needs no agent, and was run before"),
    }
}

/// The state of a node as seen here, in a word: a node that is not heard is `Unreachable`, because
/// it may still run on its own.
pub fn status_text(node: &Node) -> String {
    let age = compact_age(Duration::from_millis(node.edge.since_ms));
    match node.edge.state.as_str() {
        "alive" => "Ready".to_owned(),
        "suspect" => format!("Suspect {age}"),
        "left" => "Left".to_owned(),
        _ => format!("Unreachable {age}"),
    }
}
