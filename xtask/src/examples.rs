//! The examples: checks the config files, and makes and runs the images.
//!
//! The agent itself checks the config files, so that an example cannot contain a key that no longer
//! exists. The images are made from Debian's packages, without a registry.

mod build;
mod packages;
mod trial;

use crate::fleet::program;
use crate::repo;
use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Which images to make.
#[derive(Args)]
pub struct ExamplesArgs {
    /// Their names; all of them unless given
    names: Vec<String>,
    /// Also run them in a fleet of one node, and ask each for an answer; needs root
    #[arg(long = "try")]
    trial: bool,
}

/// Makes images, and prints where they are.
pub fn run(args: &ExamplesArgs) -> Result<()> {
    let names = if args.names.is_empty() { build::names()? } else { args.names.clone() };
    for name in &names {
        let archive = build::build(name)?;
        let mib = archive.metadata()?.len() >> 20;
        println!("{name}:example  {mib} MiB  {}", archive.display());
    }
    if args.trial {
        trial::run()?;
    }
    Ok(())
}

/// The archive of one image, which is made anew only if its description is newer.
pub fn archive(name: &str) -> Result<PathBuf> {
    build::newest(name)
}

/// Checks each config file with the debug build of the agent.
pub fn check() -> Result<()> {
    let edgectl = program::debug()?;
    let files = config_files()?;
    ensure!(!files.is_empty(), "examples/ has no config file; edge.toml documents every key");
    for file in files {
        let mut command = Command::new(&edgectl);
        command.args(["agent", "--check", "--config"]).arg(&file).stdout(Stdio::null());
        succeed(&mut command).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Every TOML file below `examples/` except cargo's own.
fn config_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![repo::root().join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "toml")
                && !path.ends_with("Cargo.toml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
