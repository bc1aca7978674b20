//! From `secret create` on one node until the container of a new service on another node has read the
//! secret: both requests, the key on its way to the node, the start of the container, and its first line.

use super::figures::{Figures, median, worst};
use crate::fleet::{Fleet, Links};
use crate::image;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const IMAGE: &str = "bench:reader";
const RUNS: usize = 11;
/// What is in the secret, and how a request has it.
const VALUE: &str = "the-value";
const DATA: &str = "dGhlLXZhbHVl";
const POLL: Duration = Duration::from_millis(2);
/// Much longer than the limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Measures it on two nodes with namespaces of their own.
pub fn measure(edgectl: &Path, figures: &mut Figures) -> Result<()> {
    let fleet = Fleet::up(edgectl, "secret", 2)?;
    let measured = match fleet.links {
        Links::Loopback => Err(anyhow::anyhow!("containers need root")),
        Links::Namespaces => runs(&fleet),
    };
    fleet.down()?;
    let took = measured?;
    figures.note("secret_ready_ms", median(took.clone()));
    figures.note("secret_ready_worst_ms", worst(&took));
    Ok(())
}

fn runs(fleet: &Fleet) -> Result<Vec<f64>> {
    let archive = fleet.dir.join("reader.tar");
    image::busybox(IMAGE, &[], &archive)?;
    let archive = archive.to_str().context("the lab's folder is no text")?;
    for node in &fleet.nodes {
        fleet.edgectl(node, &["image", "load", "-i", archive])?;
    }
    // The first run is the one in which the image's layers are read for the first time.
    let all: Result<Vec<f64>> = (0..=RUNS).map(|number| run(fleet, number)).collect();
    Ok(all?.split_off(1))
}

fn run(fleet: &Fleet, number: usize) -> Result<f64> {
    let (here, there) = (&fleet.nodes[0], &fleet.nodes[1]);
    let begun = Instant::now();
    let name = format!("s{number}");
    let secret = json!({ "Name": name, "Data": DATA });
    let made = fleet.post(here, "/secrets/create", &secret)?;
    let file = json!({ "Name": "value", "UID": "0", "GID": "0", "Mode": 0o444 });
    let container = json!({
        "Image": IMAGE,
        "Args": ["sh", "-c", "cat /run/secrets/value; echo; exec sleep 600"],
        "StopGracePeriod": 100_000_000,
        "Secrets": [{ "SecretID": made["ID"], "SecretName": name, "File": file }],
    });
    let placement = json!({ "Constraints": [format!("node.hostname=={}", there.name)] });
    let spec = json!({
        "Name": format!("w{number}"),
        "TaskTemplate": { "ContainerSpec": container, "Placement": placement },
        "Mode": { "Replicated": { "Replicas": 1 } },
    });
    fleet.post(here, "/services/create", &spec)?;
    let service = format!("w{number}");
    while !fleet.edgectl(here, &["service", "logs", &service])?.contains(VALUE) {
        ensure!(begun.elapsed() < TIMEOUT, "the secret is not read within {} s", TIMEOUT.as_secs());
        sleep(POLL);
    }
    let took = begun.elapsed().as_secs_f64() * 1_000.0;
    fleet.edgectl(here, &["service", "rm", &service])?;
    Ok(took)
}
