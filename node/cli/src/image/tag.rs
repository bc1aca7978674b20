//! `edgectl image tag`

use clap::Args;
use hyper::Method;

use super::transfer::{Source, send};
use crate::client::{Client, escape};
use crate::failure::{Exit, Failure};

/// Operands.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// An image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Its further name; without a tag, `latest`
    #[arg(value_name = "NAME")]
    name: String,
}

/// Gives it the name.
pub async fn run(args: TagArgs, client: Client) -> Result<Exit, Failure> {
    let path = format!("/images/{}/tag?repo={}", escape(&args.image), escape(&args.name));
    send(&client, Method::POST, &path, Source::empty()).await?;
    Ok(Exit::Done)
}
