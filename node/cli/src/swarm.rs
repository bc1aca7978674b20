//! `edgectl swarm …`: membership in the fleet.

use clap::{Args, Subcommand};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::{count, print, say};
use crate::examples;
use node_docker::node::Node;
use node_docker::system::{InitRequest, JoinAnswer, JoinRequest, SwarmSpec};

mod ca;
mod settings;
mod token;
mod unlock;

pub use ca::replace_key;

/// The fleet: joining it, leaving it, and what holds for all of it.
#[derive(Debug, Subcommand)]
pub enum SwarmCommand {
    /// Say what other machines type to join this one, the first of its fleet
    Init {
        #[command(flatten)]
        common: CommonArgs,
        /// Past tasks of a slot that are kept and shown, from 0 to 50 [default: 5]
        #[arg(long, value_name = "N", value_parser = settings::limit,
            allow_negative_numbers = true)]
        task_history_limit: Option<i64>,
        /// Nodes seal what they keep on their disks, and are locked after a restart
        #[arg(long)]
        autolock: bool,
        /// Refused: there is no quorum that could be lost
        #[arg(long, hide = true)]
        force_new_cluster: bool,
    },
    /// Join the fleet of another node
    #[command(help_template = examples!(
        "edgectl swarm join --token EDGE-2-5f… 10.0.0.1      as swarm init on 10.0.0.1 prints it",
        "edgectl swarm join EDGE-2-5f…                       finds a member on this machine's networks",
        "edgectl swarm join pi-1.local:7946                  with the same fleet key in edge.toml",
        "ssh pi-1 edgectl swarm join-token -q | edgectl swarm join --token - pi-1",
    ))]
    Join(JoinArgs),
    /// Say what another machine types to join this fleet, and manage tokens
    #[command(help_template = examples!(
        "edgectl swarm join-token                            what another machine types",
        "edgectl swarm join-token --uses 1 --expires-after 15m --site shop-12",
        "edgectl swarm join-token --rotate                   the token before is refused from now on",
        "edgectl swarm join-token ls",
        "edgectl swarm join-token rm 5f3a",
    ))]
    JoinToken(token::TokenArgs),
    /// Show the root of trust of the API over TLS, or give the fleet another key
    #[command(help_template = examples!(
        "edgectl swarm ca > ca.pem                  by which clients know the nodes",
        "edgectl swarm ca --rotate                  after a machine was lost or stolen",
    ))]
    Ca(ca::CaArgs),
    /// Unlock this node: it is locked after a restart, if autolock is on
    #[command(help_template = examples!(
        "edgectl swarm unlock                                     asks for the key",
        "ssh pi-2 edgectl swarm unlock-key -q | edgectl swarm unlock",
    ))]
    Unlock,
    /// Show the key that unlocks nodes, or put another one in its place
    #[command(help_template = examples!(
        "edgectl swarm unlock-key                                 any node shows it",
        "edgectl swarm unlock-key --rotate                        after somebody saw it",
    ))]
    UnlockKey(unlock::UnlockKeyArgs),
    /// Change what holds for the whole fleet
    #[command(help_template = examples!(
        "edgectl swarm update --task-history-limit 1    every slot keeps its last past task",
        "edgectl swarm update --autolock                what nodes keep on their disks is sealed",
        "edgectl swarm update --autolock=false",
    ))]
    Update(settings::UpdateArgs),
    /// Show what holds for the whole fleet
    Inspect(settings::InspectArgs),
    /// Leave the fleet: tasks move away first, then the agent ends
    Leave {
        /// Also as the last node of its fleet, with services that nobody would run any more
        #[arg(short, long)]
        force: bool,
    },
}

/// Flags of Docker's that ask for what an agent is started with: the agent refuses what is not so.
#[derive(Debug, Default, Args)]
pub struct CommonArgs {
    /// Address that other nodes are told; refused unless the agent tells it
    #[arg(long, value_name = "ADDR", hide = true, default_value_t)]
    advertise_addr: String,
    /// Address that packets of containers leave from; refused unless the agent tells it
    #[arg(long, value_name = "ADDR", hide = true, default_value_t)]
    data_path_addr: String,
    /// Address to listen at; refused unless the agent does
    #[arg(long, value_name = "ADDR", hide = true, default_value_t)]
    listen_addr: String,
    /// Refused unless it is active
    #[arg(long, value_name = "WORD", hide = true, default_value_t)]
    availability: String,
}

/// Flags and operands.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The fleet's token, as swarm init and swarm join-token print it; -: read it from standard input
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
    /// Any node of the fleet; of several, all are tried and one that answers is enough. With a token it may
    /// be left out on a network that has a member, and the token may stand here
    #[arg(value_name = "HOST[:PORT]")]
    addresses: Vec<String>,
}

/// Runs one of them.
pub async fn run(command: SwarmCommand, mut client: Client) -> Result<Exit, Failure> {
    match command {
        SwarmCommand::Init { common, task_history_limit, autolock, force_new_cluster } => {
            let CommonArgs { advertise_addr, data_path_addr, listen_addr, availability } = common;
            let request = InitRequest {
                listen_addr,
                advertise_addr,
                data_path_addr,
                force_new_cluster,
                availability,
                spec: SwarmSpec {
                    encryption_config: unlock::wanted(Some(autolock)).encryption_config,
                    ..settings::asked(task_history_limit)
                },
            };
            init(&mut client, &request).await?;
            if autolock {
                unlock::show_new(&mut client).await?;
            }
        }
        SwarmCommand::Join(args) => join(&mut client, args).await?,
        SwarmCommand::JoinToken(args) => token::run(args, &mut client).await?,
        SwarmCommand::Ca(args) => ca::run(&mut client, &args).await?,
        SwarmCommand::Unlock => unlock::unlock(&mut client).await?,
        SwarmCommand::UnlockKey(args) => unlock::key(&mut client, &args).await?,
        SwarmCommand::Update(args) => settings::update(&mut client, &args).await?,
        SwarmCommand::Inspect(args) => settings::inspect(&mut client, &args).await?,
        SwarmCommand::Leave { force: false } => leave(&mut client, "/swarm/leave").await?,
        SwarmCommand::Leave { force: true } => leave(&mut client, "/swarm/leave?force=1").await?,
    }
    Ok(Exit::Done)
}

async fn init(client: &mut Client, request: &InitRequest) -> Result<(), Failure> {
    let id: String = client.post("/swarm/init", request).await?;
    let me = me(client).await?;
    print(format!("Fleet initialized: {} ({id}) is its first node.\n", me.description.hostname))?;
    let token = token::standing(client, token::Role::Worker).await?;
    token::invite(&me, &token)
}

pub(crate) async fn me(client: &mut Client) -> Result<Node, Failure> {
    let nodes: Vec<Node> = client.get("/nodes").await?;
    nodes
        .into_iter()
        .find(|node| node.edge.is_me)
        .ok_or_else(|| Failure::new("the agent does not know itself").hint("edgectl doctor"))
}

/// The form to type: with a port only if it is not the default.
fn without_usual_port(address: &str) -> &str {
    match address.strip_suffix(":7946") {
        Some(ip) if !ip.starts_with('[') => ip,
        _ => address,
    }
}

/// The agent answers when a node there has answered, or reports why none does.
async fn join(client: &mut Client, mut args: JoinArgs) -> Result<(), Failure> {
    if args.token.is_none() && args.addresses.first().is_some_and(|word| word.starts_with("EDGE-"))
    {
        args.token = Some(args.addresses.remove(0));
    }
    let before = reached(client).await?;
    let CommonArgs { advertise_addr, data_path_addr, listen_addr, availability } = args.common;
    let request = JoinRequest {
        listen_addr,
        advertise_addr,
        data_path_addr,
        remote_addrs: args.addresses,
        join_token: read_token(args.token)?,
        availability,
    };
    let answer = client.post_without_timeout("/swarm/join", &request).await?;
    // An agent that is older than this command sends no body.
    let answer: JoinAnswer = node_docker::read(&answer).unwrap_or_default();
    for refused in &answer.refused {
        say(format!("warning: {}", refused.replace('\n', "\n  ")));
    }
    let now = count(reached(client).await? + 1, "node");
    match before {
        0 => print(format!("This node joined a fleet; it reaches {now}, itself among them.")),
        _ => print(format!("This node is in a fleet of {now} now, {} too.", answer.met.join(", "))),
    }
}

/// Every user of the machine can read a token on the command line while the command runs, and it
/// stays in the shell's history: `-` reads it from standard input.
fn read_token(typed: Option<String>) -> Result<String, Failure> {
    if typed.as_deref() != Some("-") {
        return Ok(typed.unwrap_or_default());
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::new("no token on standard input").why(error.to_string()))?;
    match line.trim() {
        "" => Err(Failure::new("no token on standard input")
            .hint("ssh NODE edgectl swarm join-token -q | edgectl swarm join --token - NODE")),
        token => Ok(token.to_owned()),
    }
}

/// Waits without a deadline until the tasks have ended.
async fn leave(client: &mut Client, path: &str) -> Result<(), Failure> {
    say("leaving: the tasks of this node move to others, then they are stopped here");
    client.post_without_timeout(path, &serde_json::json!({})).await?;
    print("Node left the fleet; its agent has ended.")
}

/// The number of other nodes that answer.
async fn reached(client: &mut Client) -> Result<usize, Failure> {
    let nodes: Vec<Node> = client.get("/nodes").await?;
    Ok(nodes.iter().filter(|node| !node.edge.is_me && node.edge.state == "alive").count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_is_typed() {
        assert_eq!(without_usual_port("10.0.0.1:7946"), "10.0.0.1");
        assert_eq!(without_usual_port("10.0.0.1:7000"), "10.0.0.1:7000");
        assert_eq!(without_usual_port("[fd00::1]:7946"), "[fd00::1]:7946");
    }
}
