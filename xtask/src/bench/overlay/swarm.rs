//! The overlay against Docker Swarm: dockerd of Debian's package beside the fleet, on the same
//! machine and in the same run, with both sides in turn.
//!
//! Swarm has two nodes and the fleet has five, which favours Swarm where news have to spread. IPVS
//! is not needed: both sides are measured by the addresses of tasks. Where there is no dockerd, or
//! this kernel lacks what it needs, the figures say so and nothing fails.

use super::report::{Measured, Report};
use super::shop::{IDLE, IMAGE, Shop};
use super::traffic::{Ratio, Way, iperf3_server, throughputs};
use crate::bench::figures::median;
use crate::bench::swarm::{Container, Swarm};
use crate::fleet::place::{Place, Running};
use crate::load::names::Awaited;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::SystemTime;

/// The figures.
pub const NAMES: [&str; 2] = ["swarm_throughput_ratio", "swarm_name_ratio"];
/// Tasks that are started on each side, one after the other.
const STARTS: usize = 7;
/// A file's time has steps of 4 ms, and names are asked for every 3 ms: less than this cannot be
/// told from nothing.
const FINEST_MS: f64 = 4.0;
/// A program that leaves a file when it begins.
const MARK: [&str; 3] = ["sh", "-c", "touch /tmp/started; exec sleep 100000"];
const STARTED: &str = "tmp/started";

/// Measures the figures that are wanted, or says why there is nothing to compare with.
pub fn measure(shop: &Shop, wanted: &[&str], report: &mut Report) -> Result<()> {
    let swarm = match Swarm::up(&shop.fleet, IMAGE) {
        Ok(swarm) => swarm,
        Err(error) => {
            for name in NAMES {
                report.add(name, Measured::absent(format!("no Docker Swarm here: {error:#}")));
            }
            return Ok(());
        }
    };
    if wanted.contains(&NAMES[0]) {
        throughput(shop, &swarm, report)?;
    }
    if wanted.contains(&NAMES[1]) {
        names(shop, &swarm, report)?;
    }
    Ok(())
}

/// One stream between tasks on two nodes. The service has a name that no other part uses, because a
/// part that failed may have left its own.
fn throughput(shop: &Shop, swarm: &Swarm, report: &mut Report) -> Result<()> {
    let constraint = ["--constraint", "node.hostname==n2"];
    shop.create("stream", &constraint, &IDLE)?;
    let ours = Place::of_task(&shop.running("stream", 1)?[0]);
    swarm.create("stream", 1, &IDLE)?;
    let theirs = swarm.running("stream", 1)?;
    let _servers = [iperf3_server(&ours)?, iperf3_server(&theirs.place)?];
    let way = |from: &Place| -> Result<Way> {
        Ok(Way::of_throughput(from, shop.resolve(from, "tasks.stream")?))
    };
    let own = way(&shop.client(&shop.fleet.nodes[0])?)?;
    let baseline = way(&swarm.client)?;
    let ratio = Ratio { figure: NAMES[0], what: "Swarm", own, baseline };
    let note = format!("tasks' own addresses, as Swarm's others need IPVS; {}", swarm.version);
    for (figure, measured) in throughputs(&[ratio])? {
        report.add(figure, measured.note(&*note));
    }
    swarm.remove("stream")?;
    shop.remove("stream")
}

/// From the beginning of a task's program until its service's name has an address in a container on
/// another node. There is no health check, because its interval would be the larger part on both
/// sides: without one a task is in its names from the moment when its program runs.
///
/// The program itself leaves a file; its time and that of the answer are of the machine's clock.
fn names(shop: &Shop, swarm: &Swarm, report: &mut Report) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..STARTS {
        let name = format!("new{number}");
        // Who goes first changes, so that a trend of the machine favours nobody.
        if number % 2 == 0 {
            ours.push(our_start(shop, &name)?);
            theirs.push(their_start(swarm, &name)?);
        } else {
            theirs.push(their_start(swarm, &name)?);
            ours.push(our_start(shop, &name)?);
        }
    }
    let ratios = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
    let value = Measured::value(median(ratios));
    let pair = (median(ours), median(theirs));
    let note = format!("Swarm's time as a multiple of ours; {}", swarm.version);
    report.add(NAMES[1], value.against("Swarm", "ms", pair).note(note));
    Ok(())
}

fn our_start(shop: &Shop, name: &str) -> Result<f64> {
    let client = shop.client(&shop.fleet.nodes[0])?;
    let waiting = client.start_load(&["await", name])?;
    let constraint = ["--constraint", "node.hostname==n2"];
    shop.create(name, &constraint, &[&[IMAGE], &MARK[..]].concat())?;
    let task = &shop.running(name, 1)?[0];
    let root = format!("/proc/{}/root", task.pid);
    let took = until_named(Path::new(&root), waiting)?;
    shop.remove(name)?;
    Ok(took)
}

fn their_start(swarm: &Swarm, name: &str) -> Result<f64> {
    let waiting = swarm.client.start_load(&["await", name])?;
    swarm.create(name, 1, &[&[IMAGE], &MARK[..]].concat())?;
    let Container { root, .. } = swarm.running(name, 1)?;
    let took = until_named(&root, waiting)?;
    swarm.remove(name)?;
    Ok(took)
}

/// Milliseconds from the program's file until the name was there, at least the finest time.
fn until_named(root: &Path, waiting: Running) -> Result<f64> {
    let seen: Awaited = waiting.collect()?;
    let file = root.join(STARTED);
    let started = file.metadata().with_context(|| file.display().to_string())?.modified()?;
    let started_ms = started.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() * 1000.0;
    Ok((seen.named_at_ms - started_ms).max(FINEST_MS))
}
