//! `edgectl image …`

mod history;
mod import;
mod inspect;
mod load;
pub(crate) mod ls;
mod meter;
mod progress;
mod prune;
mod pull;
mod pulls;
mod push;
mod rm;
mod save;
mod size;
mod tag;
mod transfer;
mod verify;

use clap::Subcommand;

use super::client::Client;
use super::failure::{Exit, Failure};
use crate::examples;

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
    /// Fetch an image to this node, from its site or from the registry
    #[command(help_template = examples!(
        "edgectl image pull nginx:1.27",
        "edgectl image pull nas:5000/team/app@sha256:…",
    ))]
    Pull(pull::PullArgs),
    /// Give an image to the fleet, without a registry, or to a registry
    #[command(help_template = examples!(
        "edgectl image push app.tar            load it and make it known to the whole fleet",
        "edgectl image push app:1              the same with an image that this node has",
        "edgectl image push nas:5000/app:1     to that registry",
    ))]
    Push(push::PushArgs),
    /// What is being fetched to this node, and from where
    Pulls(pulls::PullsArgs),
    /// Fetch nothing to this node for now; what is here runs
    Pause,
    /// Fetch again
    Resume,
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
        ImageCommand::Pull(args) => pull::run(args, client).await,
        ImageCommand::Push(args) => push::run(args, client).await,
        ImageCommand::Pulls(args) => pulls::run(args, client).await,
        ImageCommand::Pause => pulls::pause(client).await,
        ImageCommand::Resume => pulls::resume(client).await,
    }
}
