//! `edgectl image pull`: fetches an image to the answering node, from its site or from the
//! registry.

use clap::Args;

use super::progress::{self, Verbosity};
use crate::client::{Client, escape};
use crate::failure::{Exit, Failure};
use crate::output::print;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Image, by tag or digest: nginx:1.27, registry:5000/team/app@sha256:…
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Say nothing but the image's name at the end
    #[arg(short, long)]
    quiet: bool,
}

/// Pulls it.
pub async fn run(args: PullArgs, client: Client) -> Result<Exit, Failure> {
    let path = format!("/images/create?fromImage={}", escape(&args.image));
    let stream = client.open(&path).await?;
    progress::show(stream, if args.quiet { Verbosity::Nothing } else { Verbosity::Progress })
        .await?;
    print(&args.image)?;
    Ok(Exit::Done)
}
