//! Tries the examples: starts a fleet of one node, pushes the images, and asks each service for an
//! answer that only the real program gives.
//!
//! The command lines are those of the examples' own `service.sh`. The trial must leave nothing
//! behind.

use super::build;
use crate::fleet::{Fleet, Links, Node, program};
use crate::setup;
use crate::step::succeed;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A container starts in a fraction of this; Prometheus scrapes the node-exporter every 15 s.
const TIMEOUT: Duration = Duration::from_secs(90);

/// An example, and the query that shows that it works.
struct Trial {
    name: &'static str,
    /// A command line for the node's shell.
    ask: &'static str,
    /// A part of the expected answer.
    answer: &'static str,
}

/// In this order, because Prometheus scrapes the node-exporter, and visits are counted in redis.
const TRIALS: [Trial; 6] = [
    Trial {
        name: "nginx",
        ask: "curl --silent --fail --max-time 2 http://127.0.0.1:8080/",
        answer: "nginx in a container of edgectl",
    },
    Trial { name: "redis", ask: "edgectl exec redis.1 redis-cli ping", answer: "PONG" },
    Trial {
        name: "visits",
        ask: "curl --silent --fail --max-time 5 http://127.0.0.1:8088/",
        answer: "visit 1, answered by visits.",
    },
    // CONNECT of MQTT 3.1.1 without a client id; the broker accepts with a CONNACK.
    Trial {
        name: "mosquitto",
        ask: r"printf '\020\014\000\004MQTT\004\002\000\074\000\000' | busybox nc -w 2 127.0.0.1 1883 | busybox hexdump -C",
        answer: "20 02 00 00",
    },
    Trial {
        name: "node-exporter",
        ask: "curl --silent --fail --max-time 5 http://127.0.0.1:9100/metrics | grep ^node_uname_info",
        answer: r#"sysname="Linux""#,
    },
    Trial {
        name: "prometheus",
        ask: "curl --silent --fail --max-time 5 'http://127.0.0.1:9090/api/v1/query?query=up'",
        answer: r#""job":"node"},"value":["#,
    },
];

/// Runs all examples and queries each.
pub fn run() -> Result<()> {
    setup::run()?;
    let edgectl = program::quickest()?;
    let fleet = Fleet::up(&edgectl, "examples", 1)?;
    let tried = try_all(&fleet, &edgectl);
    fleet.down()?;
    tried
}

fn try_all(fleet: &Fleet, edgectl: &Path) -> Result<()> {
    if fleet.links == Links::Loopback {
        bail!("containers need root; type: sudo -E cargo xtask examples --try");
    }
    let node = &fleet.nodes[0];
    let path = format!("PATH={}", path_with(edgectl)?);
    for trial in &TRIALS {
        start(fleet, node, edgectl, trial.name)?;
        let mut told = String::new();
        fleet.wait(&format!("{} answers", trial.name), TIMEOUT, || {
            told = fleet.on_node(node, &["env", &path, "sh", "-c", trial.ask])?;
            Ok(told.contains(trial.answer))
        })?;
        let line = told.lines().next().unwrap_or_default();
        println!("{} answers: {line}", trial.name);
    }
    Ok(())
}

/// Pushes an example's image and creates its service.
fn start(fleet: &Fleet, node: &Node, edgectl: &Path, name: &str) -> Result<()> {
    let archive = build::build(name)?;
    let archive = archive.to_str().context("the path is no text")?;
    fleet.edgectl(node, &["image", "push", archive])?;
    let mut create = Command::new("sh");
    create
        .arg(build::folder().join(name).join("service.sh"))
        .env("PATH", path_with(edgectl)?)
        .env("EDGECTL_SOCKET", &node.socket);
    succeed(&mut create)
}

/// `PATH`, with the folder of this edgectl first.
fn path_with(edgectl: &Path) -> Result<String> {
    let folder = edgectl.parent().context("edgectl lies in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(format!("{}:{path}", folder.display()))
}
