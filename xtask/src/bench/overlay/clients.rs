//! What clients notice of changes: requests that fail while a service is changed, and connections
//! that still go to a task which was killed.

use super::report::{Measured, Report};
use super::shop::{SERVE, Shop, TIMEOUT, WEB};
use crate::bench::figures::{median, worst};
use crate::fleet::place::{Place, Running};
use crate::fleet::view::Task;
use crate::load::now_ms;
use crate::load::pull::{Failure, Pulled};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The published port.
const PORT: &str = "8080";
/// How long the service is changed.
const CHANGES: Duration = Duration::from_secs(60);
/// Clients on each node, of the virtual address and of the port of the next node.
const CLIENTS: &str = "5";
/// Tasks that are killed.
const KILLS: usize = 5;

/// Clients that each keep no connection beyond one request, while the service is scaled, updated
/// and drained.
pub fn drain(shop: &Shop, report: &mut Report) -> Result<()> {
    let published = format!("{PORT}:80");
    let flags = ["--replicas", "5", "--publish", &published, "--update-monitor", "1s"];
    shop.create("web", &flags, &[&WEB[..], &SERVE].concat())?;
    healthy(shop, 5)?;
    let clients = start_clients(shop)?;
    let begun = Instant::now();
    let (mut changes, mut round) = (0, 0);
    while begun.elapsed() < CHANGES {
        round += 1;
        changes += change_all(shop, round)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let seen = clients.into_iter().map(Running::finish).collect::<Result<Vec<Pulled>>>()?;
    let requests: usize = seen.iter().map(|one| one.requests).sum();
    let failed: usize = seen.iter().map(|one| one.failed).sum();
    let clients = 2 * shop.fleet.nodes.len() * CLIENTS.parse::<usize>()?;
    let mut note =
        format!("{requests} requests of {clients} clients, {changes} changes, {seconds:.0} s");
    for (why, count) in reasons(&seen) {
        note += &format!("; {count} × {why}");
    }
    report.add("drain_errors", Measured::value(failed as f64).note(note));
    shop.remove("web")
}

/// On every node some clients of the virtual address in a container, and some of the node itself
/// that ask the next node.
fn start_clients(shop: &Shop) -> Result<Vec<Running>> {
    let nodes = &shop.fleet.nodes;
    let mut clients = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let next = &nodes[(at + 1) % nodes.len()].address;
        let rest = ["--clients", CLIENTS, "--pace-ms", "50"];
        let inside = shop.client(node)?;
        clients.push(inside.start_load(&[&["pull", "web", "80"], &rest[..]].concat())?);
        let outside = Place::of_node(&shop.fleet, node);
        clients.push(outside.start_load(&[&["pull", next, PORT], &rest[..]].concat())?);
    }
    Ok(clients)
}

/// Scales down and up, updates, and drains a node; returns the number of changes.
fn change_all(shop: &Shop, round: usize) -> Result<usize> {
    shop.on_first(&["service", "scale", "-d", "web=2"])?;
    healthy(shop, 2)?;
    shop.on_first(&["service", "scale", "-d", "web=5"])?;
    healthy(shop, 5)?;
    let version = format!("VERSION={round}");
    let update = ["service", "update", "-d", "--no-resolve-image", "--env-add", &version, "web"];
    shop.on_first(&update)?;
    let service = || shop.fleet.get(&shop.fleet.nodes[0], "/services/web");
    shop.fleet.wait("the update is complete", TIMEOUT, || {
        Ok(service()?["UpdateStatus"]["State"] == "completed")
    })?;
    healthy(shop, 5)?;
    let victim = &shop.fleet.nodes[1 + round % (shop.fleet.nodes.len() - 1)];
    shop.on_first(&["node", "update", "--availability", "drain", &victim.name])?;
    shop.fleet.wait("the node is drained", TIMEOUT, || {
        let tasks = shop.tasks("web")?;
        let away = tasks.iter().all(|task| task.is_running() && !task.is_on(&victim.name));
        Ok(tasks.len() == 5 && away)
    })?;
    shop.on_first(&["node", "update", "--availability", "active", &victim.name])?;
    healthy(shop, 5)?;
    Ok(5)
}

/// Waits until so many tasks run, all of them healthy.
fn healthy(shop: &Shop, count: usize) -> Result<Vec<Task>> {
    shop.running("web", count)
}

/// How often each reason was given.
fn reasons(seen: &[Pulled]) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for failure in seen.iter().flat_map(|one| &one.failures) {
        *reasons.entry(failure.why.as_str()).or_default() += 1;
    }
    reasons
}

/// From the death of a task until the last connection that went to it, as clients of the virtual
/// address on its own node and on the others see it.
pub fn dead(shop: &Shop, report: &mut Report) -> Result<()> {
    let (mut same, mut others) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        shop.create("web", &["--replicas", "5"], &[&WEB[..], &SERVE].concat())?;
        let tasks = healthy(shop, 5)?;
        let victim = tasks.first().context("five tasks run")?;
        let clients = start_probes(shop)?;
        // The clients have got going.
        sleep(Duration::from_millis(500));
        let pid = victim.pid.to_string();
        let killed_at = now_ms();
        let status = Command::new("/bin/sh").args(["-c", "kill -9 \"$0\"", &pid]).status()?;
        ensure!(status.success(), "the task has no process {pid}");
        sleep(Duration::from_secs(3));
        for (node, client) in shop.fleet.nodes.iter().zip(clients) {
            let seen: Pulled = client.finish()?;
            let times = if victim.is_on(&node.name) { &mut same } else { &mut others };
            times.push(last_after(&seen.failures, killed_at));
        }
        shop.remove("web")?;
    }
    let add = |report: &mut Report, name, times: Vec<f64>| {
        let note = format!("slowest of {} {:.0}", times.len(), worst(&times));
        report.add(name, Measured::value(median(times)).note(note));
    };
    add(report, "dead_after_same_ms", same);
    add(report, "dead_after_other_ms", others);
    Ok(())
}

/// On every node clients that begin a request every 2 ms together.
fn start_probes(shop: &Shop) -> Result<Vec<Running>> {
    let each = |node| {
        let client = shop.client(node)?;
        client.start_load(&["pull", "web", "80", "--clients", "8", "--pace-ms", "16"])
    };
    shop.fleet.nodes.iter().map(each).collect()
}

/// When the last request began that failed after this time, counted from it. Requests that were
/// under way count as nothing: they went to a task that was alive.
fn last_after(failures: &[Failure], killed_at: f64) -> f64 {
    failures.iter().map(|failure| failure.at_ms - killed_at).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_failure_counts_and_none_is_nothing() {
        let failure = |at_ms| Failure { at_ms, took_ms: 1.0, why: "refused".into() };
        assert_eq!(last_after(&[failure(90.0), failure(130.0), failure(120.0)], 100.0), 30.0);
        assert_eq!(last_after(&[failure(90.0)], 100.0), 0.0);
    }
}
