//! `edgectl migrate …`: what runs elsewhere, as Compose files for this fleet.
//!
//! It reads, and writes files; it asks no agent and changes nothing on either side.
//!
//! ```text
//! Docker's API ──swarm──▶ JSON ──asked──▶ specs ──node_stack::write──▶ files ──compare──▶ REPORT.md
//! ```

mod asked;
mod compare;
mod docker_host;
mod folder;
mod report;
mod stacks;
mod swarm;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::failure::{Exit, Failure};
use super::output::{count, say};
use crate::examples;
use asked::Digests;
use folder::Folder;
use stacks::Written;
use swarm::Swarm;

/// What it can read.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Write the services of a Docker Swarm as Compose files, and a report of what is left to do
    #[command(
        after_help = "Nothing is changed: neither the swarm nor this fleet.",
        help_template = examples!(
            "edgectl migrate from-swarm --output moved                on a manager of the swarm",
            "edgectl stack deploy --dry-run -c moved/shop.yaml        then here, one by one",
        )
    )]
    FromSwarm(FromSwarmArgs),
}

/// Flags.
#[derive(Debug, Args)]
pub struct FromSwarmArgs {
    /// Socket of the Docker that is asked, a manager of the swarm [default: DOCKER_HOST, else
    /// unix:///var/run/docker.sock]
    #[arg(long, value_name = "HOST")]
    docker_host: Option<String>,
    /// Folder for the files
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Stack for the services that are in none
    #[arg(long, value_name = "STACK", default_value = "swarm",
        value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
    /// Keep the digests of images, instead of asking the registry again
    #[arg(long)]
    keep_digest: bool,
}

/// Runs one of them.
pub async fn run(command: MigrateCommand) -> Result<Exit, Failure> {
    let MigrateCommand::FromSwarm(args) = command;
    let folder = Folder { path: args.output.clone(), is_forced: args.force };
    let typed = args.docker_host.clone().filter(|host| !host.is_empty());
    let given = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let socket = docker_host::socket(typed.or(given).as_deref())?;
    let swarm = Swarm::read(&socket).await?;
    let digests = if args.keep_digest { Digests::Kept } else { Digests::Left };
    let written = stacks::written(&swarm, stacks::name_of(&args.name)?, digests)?;
    if written.is_empty() {
        return Err(Failure::new("there are no services in this swarm")
            .why("nothing was written")
            .hint("--docker-host HOST of another swarm"));
    }
    let report = report::text_of(&swarm, &written);
    folder.write(&files(&written, &report))?;
    for stack in &written {
        say(format!(
            "{}: {}",
            args.output.join(stack.file()).display(),
            count(stack.fitted.stack.services.len(), "service")
        ));
    }
    let open: usize = written.iter().map(Written::open).sum();
    let report = args.output.join(report::FILE).display().to_string();
    match open {
        0 => say(format!("{report}: what to do next")),
        open => say(format!("{report}: {} to look at first", count(open, "point"))),
    }
    Ok(Exit::Done)
}

/// All files, with their paths below the folder.
fn files(written: &[Written], report: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for stack in written {
        files.push((PathBuf::from(stack.file()), stack.fitted.text.clone().into_bytes()));
        files.extend(stack.configs.iter().map(|(path, data)| (path.clone(), data.clone())));
    }
    files.push((PathBuf::from(report::FILE), report.as_bytes().to_vec()));
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests;
