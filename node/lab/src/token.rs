//! The token by which the nodes of a lab join its first one, as machines from one image do: a file that
//! the config of all of them names.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::LabNode;
use super::query::get;

/// The part of `GET /swarm` that is read here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Swarm {
    join_tokens: JoinTokens,
}

/// The standing tokens of a fleet.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JoinTokens {
    worker: String,
}

/// Writes the standing token of the fleet of `node` to a file that only its owner can read.
pub(super) fn write(node: &LabNode, path: &Path) -> Result<()> {
    let swarm: Swarm = get(&node.socket, "/swarm")
        .with_context(|| format!("{} gives no join token", node.name))?;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| writeln!(file, "{}", swarm.join_tokens.worker))
        .with_context(|| format!("cannot write {}", path.display()))
}
