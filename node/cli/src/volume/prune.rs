//! `edgectl volume prune`

use clap::Args;

use crate::client::{Client, filters};
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::value::show_bytes;
use node_docker::volume::VolumesPruned;

/// Flags.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Also those that have a name
    #[arg(short, long)]
    all: bool,
    /// Do it: data that is removed is gone
    #[arg(short, long)]
    force: bool,
}

/// Removes volumes that no task mounts and no service of the fleet names.
pub async fn run(args: PruneArgs, mut client: Client) -> Result<Exit, Failure> {
    if !args.force {
        let all = if args.all { " --all" } else { "" };
        return Err(Failure::new("this deletes every volume of this node that nobody uses")
            .hint(format!("edgectl volume prune{all} --force")));
    }
    let query = if args.all { format!("?{}", filters(&[("all", "true")])) } else { String::new() };
    let pruned: VolumesPruned = client.post(&format!("/volumes/prune{query}"), &()).await?;
    for name in &pruned.volumes_deleted {
        print(name)?;
    }
    say(format!("freed {}", show_bytes(pruned.space_reclaimed)));
    Ok(Exit::Done)
}
