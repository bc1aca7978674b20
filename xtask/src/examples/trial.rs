//! nginx and redis, tried out: a fleet of one node, the images pushed, both asked for an answer.
//!
//! The command lines are those of the examples' own `service.sh`. It must leave nothing behind.

use super::build;
use crate::fleet::{Fleet, Links, program};
use crate::setup;
use crate::step::succeed;
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::Duration;

/// A container starts in a fraction of it; the debug build on a busy machine needs more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs both and asks them.
pub fn run() -> Result<()> {
    setup::run()?;
    let edgectl = program::quickest()?;
    let fleet = Fleet::up(&edgectl, "examples", 1)?;
    let tried = ask_both(&fleet, &edgectl);
    fleet.down()?;
    tried
}

fn ask_both(fleet: &Fleet, edgectl: &std::path::Path) -> Result<()> {
    if fleet.links == Links::Loopback {
        bail!("containers need root; type: sudo -E cargo xtask examples --try");
    }
    let node = &fleet.nodes[0];
    for name in ["nginx", "redis"] {
        let archive = build::build(name)?;
        let archive = archive.to_str().context("the path is no text")?;
        fleet.edgectl(node, &["image", "push", archive])?;
        let folder = edgectl.parent().context("edgectl lies in a folder")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut create = Command::new("sh");
        create
            .arg(build::folder().join(name).join("service.sh"))
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("EDGECTL_SOCKET", &node.socket);
        succeed(&mut create)?;
    }
    let mut page = String::new();
    fleet.wait("nginx answers", PATIENCE, || {
        let url = format!("http://{}:8080/", node.address);
        page = fleet.on_node(node, &["curl", "--silent", "--fail", "--max-time", "2", &url])?;
        Ok(true)
    })?;
    ensure!(page == "nginx in a container of edgectl", "nginx answered `{page}`");
    println!("nginx answers: {page}");
    let mut pong = String::new();
    fleet.wait("redis answers", PATIENCE, || {
        let line = "printf 'PING\\r\\n' | busybox nc -w 2 127.0.0.1 6379";
        pong = fleet.on_node(node, &["sh", "-c", line])?;
        Ok(pong.contains("PONG"))
    })?;
    println!("redis answers: {pong}");
    Ok(())
}
