//! The edgectl that a run uses: selects the build, and rebuilds it when it is out of date.

use crate::repo;
use crate::step::succeed;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The release build, built if needed.
pub fn release() -> Result<PathBuf> {
    build(&["--release"])?;
    Ok(folder()?.join("release/edgectl"))
}

/// The release build if it is newer than every source, because it starts faster. Otherwise the
/// debug build, because building it takes a quarter of the time.
pub fn quickest() -> Result<PathBuf> {
    let release = folder()?.join("release/edgectl");
    if modified(&release).is_some_and(|built| newest_source().is_some_and(|source| source < built))
    {
        return Ok(release);
    }
    debug()
}

/// The debug build, built if needed.
pub fn debug() -> Result<PathBuf> {
    build(&[])?;
    Ok(folder()?.join("debug/edgectl"))
}

fn build(profile: &[&str]) -> Result<()> {
    let mut cargo = repo::cargo();
    succeed(cargo.args(["build", "--package", "node", "--bin", "edgectl"]).args(profile))
        .context("edgectl does not build")
}

fn folder() -> Result<PathBuf> {
    Ok(repo::metadata()?.target_directory)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The time of the last change of a source, a manifest or the lock file.
fn newest_source() -> Option<SystemTime> {
    let mut newest = None;
    let mut folders = vec![repo::root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()? {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") || name.starts_with("Cargo.") {
                newest = newest.max(modified(&path));
            }
        }
    }
    newest
}
