//! `edgectl volume …`: shows where the data of services is, makes volumes and removes them.

mod inspect;
mod ls;
mod prune;
mod rm;

use clap::{Args, Subcommand};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::print;
use super::value::{self, Pair};
use crate::examples;
use node_docker::volume::{Volume, VolumeCreate};

/// Volumes: data of a node that outlives tasks. A task that mounts one runs where it is.
#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// List the volumes of the fleet, and which node holds them
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Make a volume on this node
    #[command(help_template = examples!(
        "edgectl volume create pgdata",
        "edgectl volume create --label backup=daily pgdata",
    ))]
    Create(CreateArgs),
    /// Show everything about volumes of this node
    Inspect(inspect::InspectArgs),
    /// Remove volumes of this node, or give up those of another one
    #[command(visible_alias = "remove", help_template = examples!(
        "edgectl volume rm pgdata                         deletes it on this node",
        "edgectl volume rm --force --node pi-3 pgdata     pi-3 is lost: begin anew elsewhere",
    ))]
    Rm(rm::RmArgs),
    /// Remove what nobody uses from this node
    Prune(prune::PruneArgs),
}

/// Flags and operands.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name; a random one if it has none
    #[arg(value_name = "VOLUME")]
    name: Option<String>,
    /// Label
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    label: Vec<Pair>,
    /// There is one driver: local
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    driver: String,
}

/// Runs one of them.
pub async fn run(command: VolumeCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        VolumeCommand::Ls(args) => ls::run(args, client).await,
        VolumeCommand::Create(args) => create(args, client).await,
        VolumeCommand::Inspect(args) => inspect::run(args, client).await,
        VolumeCommand::Rm(args) => rm::run(args, client).await,
        VolumeCommand::Prune(args) => prune::run(args, client).await,
    }
}

async fn create(args: CreateArgs, mut client: Client) -> Result<Exit, Failure> {
    let labels = args.label.into_iter().map(|label| (label.name, label.value)).collect();
    let wanted = VolumeCreate {
        name: args.name.unwrap_or_default(),
        driver: args.driver,
        driver_opts: None,
        labels: Some(labels),
    };
    let made: Volume = client.post("/volumes/create", &wanted).await?;
    print(made.name)?;
    Ok(Exit::Done)
}
