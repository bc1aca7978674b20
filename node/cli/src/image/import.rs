//! `edgectl image import`

use clap::Args;
use hyper::Method;

use super::transfer::{Source, send};
use crate::client::{Client, escape};
use crate::failure::{Exit, Failure};
use crate::output::print;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A line of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER,
    /// VOLUME, WORKDIR. May be given several times
    #[arg(short, long, value_name = "LINE")]
    change: Vec<String>,
    /// What stands in the image's history
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// What its programs are built for, as linux/arm/v7; this node's own if it is left out
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// The tar, compressed or not; - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// What the image is called
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Sends the tar and prints the id of the image.
pub async fn run(args: ImportArgs, client: Client) -> Result<Exit, Failure> {
    let source = Source::open(&args.file)?;
    let mut path = format!("/images/create?fromSrc=-&message={}", escape(&args.message));
    if let Some(name) = &args.name {
        path.push_str(&format!("&repo={}", escape(name)));
    }
    if let Some(platform) = &args.platform {
        path.push_str(&format!("&platform={}", escape(platform)));
    }
    for change in &args.change {
        path.push_str(&format!("&changes={}", escape(change)));
    }
    for line in send(&client, Method::POST, &path, source).await? {
        print(line["status"].as_str().unwrap_or_default())?;
    }
    Ok(Exit::Done)
}
