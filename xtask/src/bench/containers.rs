//! `bench containers`: five agents of the release build with containers, measured from outside.
//!
//! The start of a container is measured from the request until `GET /tasks` shows it running. runc
//! alone is measured in the same run, so that the ratio is meaningful on any machine. The bench
//! must never count the work of a registry or of a container as the agent's.

mod bare;
mod uplink;

use super::figures::{Figures, Limit, Limits, median, worst};
use super::process::{of_program, pss_mib, rss_mib};
use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, Node, program};
use crate::step::succeed;
use crate::{image, setup};
use anyhow::{Context, Result, bail};
use bare::Bare;
use serde_json::{Value, json};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use uplink::Uplink;

const LIMITS: Limits = &[
    ("start_ratio_runc", Limit::AtMost(1.0)),
    ("create_10_s", Limit::AtMost(0.5)),
    ("peer_uplink_ratio", Limit::AtMost(1.02)),
    ("peer_time_ratio", Limit::AtMost(1.3)),
    ("unpack_mb_per_s", Limit::AtLeast(150.0)),
    ("rss_per_container_mib", Limit::AtMost(1.0)),
    ("agent_rss_mib", Limit::AtMost(20.0)),
];

const NODES: usize = 5;
/// Starts of each kind; the median counts.
const STARTS: usize = 9;
/// The number of containers for `create_10_s` and while memory is measured.
const CONTAINERS: usize = 10;
/// The size of the layer that is fetched over the uplink, and of the one that is unpacked.
const LAYER_BYTES: usize = 100_000_000;
/// Small files in the layer that is unpacked; they take most of the time.
const SMALL_FILES: usize = 1_000;
/// Much longer than every limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The polling interval; short compared with one start.
const LOOK: Duration = Duration::from_millis(1);

/// The image with many files.
const LARGE: &str = "bench:large";

/// Measures all figures; takes the fleet down even if it fails.
pub fn measure() -> Result<Figures> {
    setup::run()?;
    let edgectl = program::release()?;
    let fleet = Fleet::up(&edgectl, "bench", NODES)?;
    let mut figures = Figures::new(LIMITS);
    let measured = match fleet.links {
        Links::Loopback => bail_without_root(),
        Links::Namespaces => all(&fleet, &edgectl, &mut figures),
    };
    fleet.down()?;
    measured.map(|()| figures)
}

fn bail_without_root() -> Result<()> {
    bail!("containers need root; type: sudo -E cargo xtask bench containers")
}

fn all(fleet: &Fleet, edgectl: &Path, figures: &mut Figures) -> Result<()> {
    let uplink = Uplink::lay(fleet)?;
    let archive = fleet.dir.join("small.tar");
    image::busybox("bench:small", &[], &archive)?;
    let small = uplink.offer(&archive, "small:1")?;
    // Run it once on every node: from now on it is a local image.
    timed(fleet, &everywhere("first", &small), NODES)?;
    remove(fleet, "first")?;
    starts(fleet, &small, &archive, figures)?;
    create(fleet, &small, figures)?;
    memory(fleet, edgectl, figures)?;
    remove(fleet, "web")?;
    peers(fleet, &uplink, figures)?;
    remove(fleet, "thick")?;
    unpack(fleet, figures)
}

fn load(fleet: &Fleet, node: &Node, archive: &Path) -> Result<()> {
    let archive = archive.to_str().context("the lab's folder is no text")?;
    fleet.edgectl(node, &["image", "load", "-i", archive]).map(drop)
}

/// The spec of a service of `replicas` containers that do nothing.
fn idle(name: &str, image: &str, replicas: usize, constraint: &[&str]) -> Value {
    json!({
        "Name": name,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image,
                "Command": ["sleep", "100000"],
                "StopGracePeriod": 100_000_000,
            },
            "Placement": {"Constraints": constraint},
            // Like the bare containers that they are compared with.
            "Networks": [{"Target": "host"}],
        },
    })
}

/// The same, one container on every node.
fn everywhere(name: &str, image: &str) -> Value {
    let mut spec = idle(name, image, 0, &[]);
    spec["Mode"] = json!({"Global": {}});
    spec
}

/// Creates the service; returns how long until all containers run, as the first node sees it.
fn timed(fleet: &Fleet, spec: &Value, count: usize) -> Result<Duration> {
    timed_at(fleet, "/services/create", spec, count)
}

/// The same without resolving the image at a registry.
fn timed_as_named(fleet: &Fleet, spec: &Value, count: usize) -> Result<Duration> {
    timed_at(fleet, "/services/create?resolve=never", spec, count)
}

fn timed_at(fleet: &Fleet, path: &str, spec: &Value, count: usize) -> Result<Duration> {
    let node = &fleet.nodes[0];
    let begun = Instant::now();
    fleet.post(node, path, spec)?;
    loop {
        let tasks = fleet.tasks(node)?;
        let took = begun.elapsed();
        if tasks.len() == count && tasks.iter().all(Task::is_running) {
            return Ok(took);
        }
        if took > TIMEOUT {
            bail!("{} did not run within {} s", spec["Name"], TIMEOUT.as_secs());
        }
        sleep(LOOK);
    }
}

/// Removes a service and waits until all its tasks are gone.
fn remove(fleet: &Fleet, name: &str) -> Result<()> {
    fleet.edgectl(&fleet.nodes[0], &["service", "rm", name])?;
    fleet.wait("the service is gone", TIMEOUT, || {
        for node in &fleet.nodes {
            if !fleet.tasks(node)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    // The containers end after their records: their work must not count in the next figure.
    sleep(Duration::from_millis(500));
    Ok(())
}

/// Measures our start and runc's in turn, so that both have the same conditions. The task's image
/// is already on the node: the resolution of its name at a registry is not a part of the start.
fn starts(fleet: &Fleet, image: &str, archive: &Path, figures: &mut Figures) -> Result<()> {
    let bare = Bare::unpack(archive, &fleet.dir.join("bare"))?;
    settle_disk()?;
    let on_first = ["node.hostname==n1"];
    let (mut ours, mut runcs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let took = timed_as_named(fleet, &idle("one", image, 1, &on_first), 1)?;
        ours.push(took.as_secs_f64());
        remove(fleet, "one")?;
        runcs.push(bare.run()?.as_secs_f64());
    }
    let (ours, runcs) = (median(ours), median(runcs));
    eprintln!("  a start {:.0} ms, of runc alone {:.0} ms", ours * 1e3, runcs * 1e3);
    figures.note("start_ratio_runc", ours / runcs);
    Ok(())
}

fn create(fleet: &Fleet, image: &str, figures: &mut Figures) -> Result<()> {
    let took = timed(fleet, &idle("web", image, CONTAINERS, &[]), CONTAINERS)?;
    figures.note("create_10_s", took.as_secs_f64());
    Ok(())
}

/// The memory of each container besides its own program and the agent, and that of the largest
/// agent.
fn memory(fleet: &Fleet, edgectl: &Path, figures: &mut Figures) -> Result<()> {
    let tasks = fleet.calm(CONTAINERS, Duration::from_secs(3))?;
    let agents = fleet.agents()?;
    let inits: Vec<u32> = tasks.iter().map(|task| task.pid).collect();
    let beside = of_program(edgectl)?.into_iter();
    let beside = beside.filter(|pid| !agents.contains(pid) && !inits.contains(pid));
    let sizes: Vec<f64> = beside.map(pss_mib).collect::<Result<_>>()?;
    eprintln!("  {} processes beside {CONTAINERS} containers", sizes.len());
    figures.note("rss_per_container_mib", sizes.iter().sum::<f64>() / CONTAINERS as f64);
    let sizes: Vec<f64> = agents.into_iter().map(rss_mib).collect::<Result<_>>()?;
    figures.note("agent_rss_mib", worst(&sizes));
    Ok(())
}

/// Flushes earlier writes and deletions, so that the next figure does not wait for them.
fn settle_disk() -> Result<()> {
    succeed(&mut std::process::Command::new("sync"))
}

/// Compares the first start of an image with the second, which has nothing to unpack.
fn unpack(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let archive = fleet.dir.join("large.tar");
    let size = LAYER_BYTES / 2 / SMALL_FILES;
    let half = noise(LAYER_BYTES / 2)?;
    let mut files = vec![("data/large".to_owned(), half.clone())];
    for (number, part) in half.chunks(size).enumerate() {
        files.push((format!("data/{}/{number}", number % 50), part.to_vec()));
    }
    image::busybox_with(LARGE, &files, &archive)?;
    load(fleet, &fleet.nodes[0], &archive)?;
    settle_disk()?;
    let on_first = ["node.hostname==n1"];
    let mut times = Vec::new();
    for _ in 0..2 {
        let took = timed(fleet, &idle("large", LARGE, 1, &on_first), 1)?;
        times.push(took.as_secs_f64());
        remove(fleet, "large")?;
    }
    let seconds = (times[0] - times[1]).max(0.001);
    eprintln!("  first start {:.2} s, second {:.2} s", times[0], times[1]);
    figures.note("unpack_mb_per_s", LAYER_BYTES as f64 / 1e6 / seconds);
    Ok(())
}

/// Fetches one layer from a registry behind a thin uplink to all nodes.
fn peers(fleet: &Fleet, uplink: &Uplink, figures: &mut Figures) -> Result<()> {
    let archive = fleet.dir.join("thick.tar");
    let files = [("data/noise".to_owned(), noise(LAYER_BYTES)?)];
    image::busybox_with("bench:thick", &files, &archive)?;
    let reference = uplink.offer(&archive, "thick:1")?;
    let before = uplink.sent_bytes()?;
    let took = timed(fleet, &everywhere("thick", &reference), NODES)?.as_secs_f64();
    let bytes = uplink.sent_bytes()? - before;
    let layer = LAYER_BYTES as f64;
    eprintln!("  {:.1} MB over the uplink in {took:.1} s", bytes / 1e6);
    figures.note("peer_uplink_ratio", bytes / layer);
    figures.note("peer_time_ratio", took / (layer / uplink::BYTES_PER_S));
    Ok(())
}

/// Bytes that cannot be compressed.
fn noise(count: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
