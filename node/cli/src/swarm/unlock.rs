//! `edgectl swarm unlock` and `edgectl swarm unlock-key`: the key by which nodes seal what they keep on
//! their disks.

use clap::Args;
use node_docker::system::{EncryptionConfig, Swarm, SwarmSpec, UnlockKeyAnswer};

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{print, say};
use crate::terminal::{self, Hidden};

/// Flags.
#[derive(Debug, Args)]
pub struct UnlockKeyArgs {
    /// Put another key in the place of this one
    #[arg(long)]
    rotate: bool,
    /// Only the key
    #[arg(short, long)]
    quiet: bool,
}

/// Unlocks this node by the key that is typed, or is on standard input.
pub async fn unlock(client: &mut Client) -> Result<(), Failure> {
    let unlock_key = read_key()?;
    client.send("/swarm/unlock", &UnlockKeyAnswer { unlock_key }).await?;
    print("Node unlocked.")
}

fn read_key() -> Result<String, Failure> {
    if terminal::is_terminal() {
        eprint!("Unlock key: ");
    }
    let hidden = Hidden::enter();
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    drop(hidden);
    read.map_err(|error| Failure::new("no key on standard input").why(error.to_string()))?;
    match line.trim() {
        "" => Err(Failure::new("no key on standard input")
            .hint("ssh NODE edgectl swarm unlock-key -q | edgectl swarm unlock")),
        key => Ok(key.to_owned()),
    }
}

/// Shows the key, or replaces it.
pub async fn key(client: &mut Client, args: &UnlockKeyArgs) -> Result<(), Failure> {
    if args.rotate {
        let held: Swarm = client.get("/swarm").await?;
        let path = format!("/swarm/update?version={}&rotateManagerUnlockKey=1", held.version.index);
        client.send(&path, &wanted(held.spec.encryption_config.auto_lock_managers)).await?;
    }
    let answer: UnlockKeyAnswer = client.get("/swarm/unlockkey").await?;
    if answer.unlock_key.is_empty() {
        return Err(Failure::new("there is no unlock key")
            .why("nodes do not seal what they keep on their disks")
            .hint("edgectl swarm update --autolock"));
    }
    if args.quiet {
        return print(answer.unlock_key);
    }
    if args.rotate {
        say("keep the key from before until every node has this one: who is away starts with it");
    }
    show(&answer)
}

/// Shows a key that was just made.
pub async fn show_new(client: &mut Client) -> Result<(), Failure> {
    show(&client.get("/swarm/unlockkey").await?)
}

fn show(UnlockKeyAnswer { unlock_key }: &UnlockKeyAnswer) -> Result<(), Failure> {
    print(format!(
        "After a restart, a node is locked. To unlock it, type on it:\n\n    edgectl swarm unlock\n\n\
         and give it this key, which is best kept where no node is:\n\n    {unlock_key}\n"
    ))
}

/// A request that changes nothing but this.
pub fn wanted(auto_lock_managers: Option<bool>) -> SwarmSpec {
    SwarmSpec { encryption_config: EncryptionConfig { auto_lock_managers }, ..SwarmSpec::default() }
}
