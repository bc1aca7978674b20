//! `edgectl image load`

use clap::Args;
use hyper::Method;

use super::transfer::{Source, send};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};

/// Flags.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Read the archive from this file [default: standard input]
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    input: String,
    /// Print nothing but the images' names
    #[arg(short, long)]
    quiet: bool,
}

/// Sends the archive and prints what was in it.
pub async fn run(args: LoadArgs, client: Client) -> Result<Exit, Failure> {
    let source = Source::open(&args.input)?;
    for line in send(&client, Method::POST, "/images/load", source).await? {
        let said = line["stream"].as_str().unwrap_or_default().trim_end().to_owned();
        let name = said.rsplit_once(": ").map_or(said.as_str(), |(_, name)| name);
        print(if args.quiet { name } else { &said })?;
        if !args.quiet && said.starts_with("Loaded image ID") {
            say(format!("it has no name; give it one: edgectl image tag {} NAME", &name[7..19]));
        }
    }
    Ok(Exit::Done)
}
