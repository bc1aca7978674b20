//! `edgectl image push`: sends an archive or an image of the node to the fleet, or an image to its
//! registry.
//!
//! The operand decides. A file is loaded and becomes an image of the fleet. A name with a registry
//! is pushed there, as with Docker's `push`. Any other name becomes an image of the fleet.

use std::path::Path;

use clap::Args;
use hyper::Method;
use runtime::image::reference::names_a_registry;

use super::progress::{self, Verbosity};
use super::transfer::{Source, send};
use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Archive of docker save, skopeo or edgectl image save, or the name of an image
    #[arg(value_name = "FILE|IMAGE")]
    what: String,
    /// Make an image known to the fleet even if its name has a registry in it
    #[arg(long)]
    fleet: bool,
    /// Say nothing but the names at the end
    #[arg(short, long)]
    quiet: bool,
}

/// Pushes it.
pub async fn run(args: PushArgs, mut client: Client) -> Result<Exit, Failure> {
    let verbosity = if args.quiet { Verbosity::Nothing } else { Verbosity::Progress };
    let file = Path::new(&args.what);
    if file.is_file() {
        let socket = client.socket().to_owned();
        let said = send(&client, Method::POST, "/images/load", Source::open(&args.what)?).await?;
        let lines = said.iter().filter_map(|line| line["stream"].as_str());
        let names: Vec<&str> =
            lines.filter_map(|line| line.strip_prefix("Loaded image: ")).collect();
        if names.is_empty() {
            return Err(Failure::new(format!("{} has no image with a name", args.what))
                .why("the fleet knows its images by name")
                .hint("docker save NAME:TAG > FILE, with the name"));
        }
        let mut each = Each::new();
        for name in names {
            each.take(publish(Client::connect(&socket).await?, name.trim(), verbosity).await);
        }
        return Ok(each.exit());
    }
    if looks_like_a_file(&args.what) {
        return Err(Failure::new(format!("there is no file {}", args.what))
            .hint("edgectl image push FILE.tar, or edgectl image push NAME"));
    }
    if args.fleet || !names_a_registry(&args.what) {
        publish(client, &args.what, verbosity).await?;
        return Ok(Exit::Done);
    }
    let _: serde_json::Value = client.get(&format!("/images/{}/json", escape(&args.what))).await?;
    let stream = client.open(&format!("/images/{}/push", escape(&args.what))).await?;
    progress::show(stream, verbosity).await?;
    print(&args.what)?;
    Ok(Exit::Done)
}

async fn publish(client: Client, name: &str, verbosity: Verbosity) -> Result<(), Failure> {
    let stream = client.open(&format!("/edge/images/publish?name={}", escape(name))).await?;
    progress::show(stream, verbosity).await?;
    print(name)
}

fn looks_like_a_file(what: &str) -> bool {
    [".tar", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|end| what.ends_with(end))
        || what.starts_with(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_to_a_registry_only_if_it_names_one() {
        for name in ["nas:5000/app", "ghcr.io/team/app:1", "localhost/app"] {
            assert!(names_a_registry(name), "{name}");
        }
        for name in ["app", "app:1", "team/app:1"] {
            assert!(!names_a_registry(name), "{name}");
        }
        assert!(looks_like_a_file("./app.tar") && !looks_like_a_file("app:1.tar-2"));
    }
}
