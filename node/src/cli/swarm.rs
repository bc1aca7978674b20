//! `edgectl swarm …`: who belongs to the fleet.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::help::examples;
use super::output::{count, print};
use crate::docker::node::Node;
use crate::docker::system::{InitRequest, JoinRequest};

/// An address that answers does so in milliseconds; the handshake is tried several times.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two looks whether somebody answered.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Leave the fleet: tasks move away first
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
    /// Return at once, do not wait for an answer
    #[arg(short, long)]
    detach: bool,
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
            print("Node left the fleet.")?;
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

async fn join(client: &mut Client, args: JoinArgs) -> Result<(), Failure> {
    let before = reached(client).await?;
    let request = JoinRequest { remote_addrs: args.addresses.clone(), ..JoinRequest::default() };
    client.send("/swarm/join", &request).await?;
    if args.detach {
        return Ok(());
    }
    let began = Instant::now();
    while began.elapsed() < JOIN_WAIT_MAX {
        let now = reached(client).await?;
        if now > before || (now > 0 && before > 0) {
            return print(format!("This node joined a fleet of {}.", count(now + 1, "node")));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(Failure::new(format!("no answer from {}", args.addresses.join(", ")))
        .why(format!("asked for {} s; the agent goes on asking", JOIN_WAIT_MAX.as_secs()))
        .why("no agent there, another fleet key, or UDP port 7946 is not let through")
        .hint("edgectl status, on that node")
        .hint("edgectl node ls, here, to see whether it has answered meanwhile"))
}

/// Other nodes that answer.
async fn reached(client: &mut Client) -> Result<usize, Failure> {
    let nodes: Vec<Node> = client.get("/nodes").await?;
    Ok(nodes.iter().filter(|node| !node.edge.is_me && node.edge.state == "alive").count())
}
