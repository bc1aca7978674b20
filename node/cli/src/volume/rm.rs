//! `edgectl volume rm`

use clap::Args;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::resolve;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Volumes, by name
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
    /// Also what services mount; of another node: give the data up, so that its tasks begin anew
    /// elsewhere (nothing is deleted there)
    #[arg(short, long)]
    force: bool,
    /// The node that holds them, by host name or id [default: the one that answers]
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
}

/// Removes each volume; a failure does not stop the others.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    let folder = match &args.node {
        Some(typed) => format!("/edge/volumes/{}", resolve::node(&mut client, typed).await?.id),
        None => "/volumes".to_owned(),
    };
    let query = if args.force { "?force=true" } else { "" };
    let mut each = Each::new();
    for name in &args.volumes {
        let path = format!("{folder}/{}{query}", escape(name));
        if each.take(client.delete(&path).await).is_some() {
            print(name)?;
        }
    }
    Ok(each.exit())
}
