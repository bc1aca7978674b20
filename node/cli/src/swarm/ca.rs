//! `edgectl swarm ca`: the root of trust of the fleet, and another one in its place.

use clap::Args;
use node_docker::edge::KeyRotation;
use node_docker::system::Swarm;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{count, print, say};

const ROTATE: &str = "/edge/fleet-key/rotate";

/// Flags.
#[derive(Debug, Args)]
pub struct CaArgs {
    /// Give the fleet another key: who has the key from before, and is no member, gets in no more
    #[arg(long)]
    rotate: bool,
    /// Only the certificate
    #[arg(short, long)]
    quiet: bool,
    /// Has no effect: nothing is waited for
    #[arg(short, long, hide = true)]
    detach: bool,
}

/// Shows it, or replaces it.
pub async fn run(client: &mut Client, args: &CaArgs) -> Result<(), Failure> {
    if args.rotate {
        rotate(client, args).await?;
    }
    let fleet: Swarm = client.get("/swarm").await?;
    let trust = fleet.tls_info.unwrap_or_default();
    print(trust.trust_root.trim_end())
}

async fn rotate(client: &mut Client, args: &CaArgs) -> Result<(), Failure> {
    let done: KeyRotation = client.post(ROTATE, &serde_json::json!({})).await?;
    if !args.quiet {
        tell(done);
    }
    Ok(())
}

/// The same where it is a part of something else: a key that is configured is told of, and stays.
pub async fn replace_key(client: &mut Client) {
    match client.post(ROTATE, &serde_json::json!({})).await {
        Ok(done) => tell(done),
        Err(refused) => say(format!("warning: the fleet keeps its key: {refused}")),
    }
}

fn tell(KeyRotation { members, clients_ended }: KeyRotation) {
    say(format!(
        "the fleet has another key, for {}; who is away gets it when it comes back\nstanding join tokens \
         are others now: edgectl swarm join-token",
        count(members as usize, "node")
    ));
    for name in clients_ended {
        say(format!(
            "the certificate of the client {name} is of no use any more: edgectl ca client -o DIR {name}"
        ));
    }
}
