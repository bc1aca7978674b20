//! Every config file in `examples/` is one that an agent takes.
//!
//! The agent itself is asked, so that an example cannot teach a key that is gone.

use crate::fleet::program;
use crate::repo;
use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Asks the debug build about each file.
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

/// Every TOML file below `examples/` that is not cargo's.
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
