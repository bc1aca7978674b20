//! `edgectl node rekey` and `edgectl node revoke`: another identity for this machine, and the end of
//! one that was stolen.

use std::path::PathBuf;

use clap::Args;

use crate::client::Client;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::resolve;
use crate::secret;
use crate::swarm;
use node_docker::system::{Swarm, SwarmSpec};

/// Flags. The program itself carries it out: no agent may run.
#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// The fleet's configuration, as the agent is started with
    #[arg(long, value_name = "FILE", env = "EDGECTL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the node's key, its state and its tasks' files are kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Also while tasks run, which the agent stops when it starts again
    #[arg(short, long)]
    pub force: bool,
}

/// Operands.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Nodes, by host name or id
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

/// Removes each node, and ends the tokens that it could show again.
pub async fn revoke(args: RevokeArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    let mut readable = Vec::new();
    for typed in &args.nodes {
        let read = secret::readable_by(&mut client, typed).await.unwrap_or_default();
        if each.take(remove(&mut client, typed).await).is_some() {
            print(typed)?;
            readable.extend(read.into_iter().map(|secret| (secret, typed)));
        }
    }
    let exit = each.exit();
    if exit == Exit::Done {
        swarm::replace_key(&mut client).await;
        let fleet: Swarm = client.get("/swarm").await?;
        let path = format!(
            "/swarm/update?version={}&rotateWorkerToken=1&rotateManagerToken=1",
            fleet.version.index
        );
        client.send(&path, &SwarmSpec::default()).await?;
        say(
            "its key is refused from now on, wherever that is heard, and the standing join tokens were replaced",
        );
        for (name, node) in readable {
            say(format!(
                "{node} could read the secret {name}; make it worthless where it opens something, and then: \
                 edgectl secret rotate {name} FILE"
            ));
        }
    }
    Ok(exit)
}

async fn remove(client: &mut Client, typed: &str) -> Result<(), Failure> {
    let node = resolve::node(client, typed).await?;
    client.delete(&format!("/nodes/{}?force=true", node.id)).await?;
    Ok(())
}
