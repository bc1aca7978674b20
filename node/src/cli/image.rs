//! `edgectl image …`

mod history;
mod import;
mod inspect;
mod load;
mod ls;
mod meter;
mod prune;
mod rm;
mod save;
mod size;
mod tag;
mod transfer;
mod verify;

use clap::Subcommand;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::help::examples;

/// Images: what containers are made of. Those of the node that answers.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// List the images of this node
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show everything about images
    Inspect(inspect::InspectArgs),
    /// Show how an image came to be
    History(history::HistoryArgs),
    /// Keep the images of an archive on this node
    #[command(help_template = examples!(
        "edgectl image load -i app.tar                     what docker save, skopeo or image save wrote",
        "docker save app:1 | edgectl image load",
    ))]
    Load(load::LoadArgs),
    /// Write images into an archive that docker load reads, too
    #[command(help_template = examples!(
        "edgectl image save -o app.tar app:1",
        "edgectl image save app:1 | ssh pi-3 edgectl image load",
    ))]
    Save(save::SaveArgs),
    /// Make an image of the tar of a root file system
    #[command(help_template = examples!(
        "edgectl image import root.tar app:1",
        "edgectl image import -c 'CMD [\"/app\"]' -c 'EXPOSE 80' root.tar.gz app:1",
        "tar -C root -c . | edgectl image import - app:1",
    ))]
    Import(import::ImportArgs),
    /// Give an image a further name
    Tag(tag::TagArgs),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Remove images that nothing needs
    Prune(prune::PruneArgs),
    /// Check everything that is kept of images; what is damaged goes, and is fetched again
    Verify,
}

/// Runs one of them.
pub async fn run(command: ImageCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        ImageCommand::Ls(args) => ls::run(args, client).await,
        ImageCommand::Inspect(args) => inspect::run(args, client).await,
        ImageCommand::History(args) => history::run(args, client).await,
        ImageCommand::Load(args) => load::run(args, client).await,
        ImageCommand::Save(args) => save::run(args, client).await,
        ImageCommand::Import(args) => import::run(args, client).await,
        ImageCommand::Tag(args) => tag::run(args, client).await,
        ImageCommand::Rm(args) => rm::run(args, client).await,
        ImageCommand::Prune(args) => prune::run(args, client).await,
        ImageCommand::Verify => verify::run(client).await,
    }
}
