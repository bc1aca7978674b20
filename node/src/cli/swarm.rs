//! `edgectl swarm …`: who belongs to the fleet.

use clap::{Args, Subcommand};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::help::examples;
use super::output::{count, print};
use crate::docker::node::Node;
use crate::docker::system::{InitRequest, JoinRequest};

/// The fleet: joining it and leaving it.
#[derive(Debug, Subcommand)]
pub enum SwarmCommand {
    /// Make this node the first of a fleet (every agent is, until it joins another)
    Init {
        /// Address that other nodes are told; the agent's configuration has it
        #[arg(long, value_name = "ADDR", hide = true)]
        advertise_addr: Option<String>,
        /// Refused: there is no quorum that could be lost
        #[arg(long, hide = true)]
        force_new_cluster: bool,
    },
    /// Join the fleet of another node
    #[command(help_template = examples!(
        "edgectl swarm join 10.0.0.1",
        "edgectl swarm join pi-1.local:7946",
    ))]
    Join(JoinArgs),
    /// Leave the fleet: tasks move away first, then the agent ends
    Leave {
        /// As Docker has it; leaving never needs force here
        #[arg(short, long, hide = true)]
        force: bool,
    },
}

/// Operands.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Any node of the fleet; more than one are all tried
    #[arg(required = true, value_name = "HOST[:PORT]")]
    addresses: Vec<String>,
}

/// Runs one of them.
pub async fn run(command: SwarmCommand, mut client: Client) -> Result<Exit, Failure> {
    match command {
        SwarmCommand::Init { advertise_addr, force_new_cluster } => {
            let advertise_addr = advertise_addr.unwrap_or_default();
            let request = InitRequest { advertise_addr, force_new_cluster, ..Default::default() };
            init(&mut client, &request).await?;
        }
        SwarmCommand::Join(args) => join(&mut client, args).await?,
        SwarmCommand::Leave { force: _ } => {
            client.send("/swarm/leave", &serde_json::json!({})).await?;
            print("Node left the fleet; its agent has ended.")?;
        }
    }
    Ok(Exit::Done)
}

async fn init(client: &mut Client, request: &InitRequest) -> Result<(), Failure> {
    let id: String = client.post("/swarm/init", request).await?;
    let nodes: Vec<Node> = client.get("/nodes").await?;
    let me = nodes.into_iter().find(|node| node.edge.is_me).unwrap_or_default();
    let address = match me.status.addr.as_str() {
        "" => "ADDRESS",
        address => address,
    };
    print(format!(
        "Fleet initialized: {} ({id}) is its first node.\n\n\
         To add a node, give it the same edge.toml and on it run:\n\n    \
         edgectl swarm join {address}\n",
        me.description.hostname
    ))
}

/// The agent answers when somebody there answered it, or says that nobody does.
async fn join(client: &mut Client, args: JoinArgs) -> Result<(), Failure> {
    let before = reached(client).await?;
    let addresses = args.addresses.join(", ");
    let request = JoinRequest { remote_addrs: args.addresses, ..JoinRequest::default() };
    client.send("/swarm/join", &request).await?;
    let now = count(reached(client).await? + 1, "node");
    match before {
        0 => print(format!("This node joined a fleet; it reaches {now}, itself among them.")),
        _ => {
            print(format!("This node is in a fleet already ({now}); it asks {addresses} as well."))
        }
    }
}

/// Other nodes that answer.
async fn reached(client: &mut Client) -> Result<usize, Failure> {
    let nodes: Vec<Node> = client.get("/nodes").await?;
    Ok(nodes.iter().filter(|node| !node.edge.is_me && node.edge.state == "alive").count())
}
