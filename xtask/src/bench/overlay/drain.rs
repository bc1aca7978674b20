//! Requests that fail while a service is scaled, updated and drained.
//!
//! Every failure is told with the change that came before it. A client must never run where a change
//! ends it: in a container of a node that is drained.

use super::report::{Measured, Report};
use super::server;
use super::shop::{Shop, TIMEOUT, WEB};
use crate::fleet::Node;
use crate::fleet::place::{Place, Running};
use crate::load::now_ms;
use crate::load::pull::Pulled;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The published port.
const PORT: &str = "8080";
/// How long the service is changed.
const CHANGES: Duration = Duration::from_secs(60);
/// Clients of the virtual address in each container that has some, and of the port of the next node
/// on each node: 25 of each.
const INSIDE: [usize; 3] = [9, 8, 8];
const OUTSIDE: usize = 5;
/// The nodes that are drained in turn; no client is in a container there.
const DRAINED: std::ops::Range<usize> = INSIDE.len()..5;

/// A change, and when it was ordered.
struct Change {
    what: &'static str,
    at_ms: f64,
}

/// What the clients of one way saw.
struct Seen {
    way: &'static str,
    pulled: Pulled,
}

/// Clients that each keep no connection beyond one request, while the service is scaled, updated
/// and drained.
pub fn measure(shop: &Shop, report: &mut Report) -> Result<()> {
    let published = format!("{PORT}:80");
    let flags = ["--replicas", "5", "--publish", &published, "--update-monitor", "1s"];
    let server = server::push(shop)?;
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    shop.create("web", &flags, &[&WEB[..], &server].concat())?;
    shop.running("web", 5)?;
    let clients = start_clients(shop)?;
    let begun = Instant::now();
    let mut changes = Vec::new();
    let mut round = 0;
    while begun.elapsed() < CHANGES {
        round += 1;
        change_all(shop, round, &mut changes)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let finish = |(way, client): (_, Running)| Ok(Seen { way, pulled: client.finish()? });
    let seen = clients.into_iter().map(finish).collect::<Result<Vec<Seen>>>()?;
    let requests: usize = seen.iter().map(|one| one.pulled.requests).sum();
    let failed: usize = seen.iter().map(|one| one.pulled.failed).sum();
    let clients = INSIDE.iter().sum::<usize>() + OUTSIDE * shop.fleet.nodes.len();
    let changed = changes.len();
    let mut note =
        format!("{requests} requests of {clients} clients, {changed} changes, {seconds:.0} s");
    for (kind, kept) in kinds(&seen, &changes) {
        note += &format!("; {kind}: {} after {:.1} to {:.1} s", kept.count, kept.first, kept.last);
    }
    report.add("drain_errors", Measured::value(failed as f64).note(note));
    shop.remove("web")
}

/// On some nodes clients of the virtual address in a container, and on every node some of the node
/// itself that ask the next node.
fn start_clients(shop: &Shop) -> Result<Vec<(&'static str, Running)>> {
    let nodes = &shop.fleet.nodes;
    let start = |place: &Place, host, port, count: usize| {
        let count = count.to_string();
        place.start_load(&["pull", host, port, "--clients", &count, "--pace-ms", "50"])
    };
    let mut clients = Vec::new();
    for (node, count) in nodes.iter().zip(INSIDE) {
        clients.push(("virtual address", start(&shop.client(node)?, "web", "80", count)?));
    }
    for (at, node) in nodes.iter().enumerate() {
        let next = &nodes[(at + 1) % nodes.len()].address;
        let outside = Place::of_node(&shop.fleet, node);
        clients.push(("published port", start(&outside, next, PORT, OUTSIDE)?));
    }
    Ok(clients)
}

/// Scales down and up, updates, and drains a node.
fn change_all(shop: &Shop, round: usize, changes: &mut Vec<Change>) -> Result<()> {
    let mut begin = |what| changes.push(Change { what, at_ms: now_ms() });
    begin("scale down");
    shop.on_first(&["service", "scale", "-d", "web=2"])?;
    shop.running("web", 2)?;
    begin("scale up");
    shop.on_first(&["service", "scale", "-d", "web=5"])?;
    shop.running("web", 5)?;
    begin("update");
    let version = format!("VERSION={round}");
    let update = ["service", "update", "-d", "--no-resolve-image", "--env-add", &version, "web"];
    shop.on_first(&update)?;
    let service = || shop.fleet.get(&shop.fleet.nodes[0], "/services/web");
    shop.fleet.wait("the update is complete", TIMEOUT, || {
        Ok(service()?["UpdateStatus"]["State"] == "completed")
    })?;
    shop.running("web", 5)?;
    let victim = &shop.fleet.nodes[DRAINED.start + round % DRAINED.len()];
    begin("drain");
    set_availability(shop, victim, "drain")?;
    shop.fleet.wait("the node is drained", TIMEOUT, || {
        let tasks = shop.tasks("web")?;
        let away = tasks.iter().all(|task| task.is_serving() && !task.is_on(&victim.name));
        Ok(tasks.len() == 5 && away)
    })?;
    begin("active");
    set_availability(shop, victim, "active")?;
    shop.running("web", 5).map(drop)
}

fn set_availability(shop: &Shop, node: &Node, availability: &str) -> Result<()> {
    shop.on_first(&["node", "update", "--availability", availability, &node.name]).map(drop)
}

/// How often something failed, and in which seconds after the change before it that began.
struct Kept {
    count: usize,
    first: f64,
    last: f64,
}

/// The failures by the change before them, the way and the reason.
fn kinds(seen: &[Seen], changes: &[Change]) -> BTreeMap<String, Kept> {
    let mut kinds: BTreeMap<String, Kept> = BTreeMap::new();
    for one in seen {
        for failure in &one.pulled.failures {
            let before = changes.iter().rfind(|change| change.at_ms <= failure.at_ms);
            let (what, at_ms) = before.map_or(("start", 0.0), |change| (change.what, change.at_ms));
            let after = (failure.at_ms - at_ms) / 1000.0;
            let kind = format!("{what}, {}, {}", one.way, failure.why);
            let fresh = Kept { count: 0, first: after, last: after };
            let kept = kinds.entry(kind).or_insert(fresh);
            kept.count += 1;
            kept.first = kept.first.min(after);
            kept.last = kept.last.max(after);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::pull::Failure;

    #[test]
    fn a_failure_is_told_with_the_change_before_it() {
        let failure = |at_ms| Failure { at_ms, took_ms: 1.0, why: "refused".into() };
        let failures = vec![failure(1_500.0), failure(3_000.0), failure(1_200.0)];
        let pulled = Pulled { requests: 9, failed: 3, failures };
        let seen = [Seen { way: "published port", pulled }];
        let change = |what, at_ms| Change { what, at_ms };
        let kinds = kinds(&seen, &[change("update", 1_000.0), change("drain", 2_000.0)]);
        let told = |kind: &str| {
            let kept = &kinds[kind];
            (kept.count, kept.first, kept.last)
        };
        assert_eq!(kinds.len(), 2);
        assert_eq!(told("update, published port, refused"), (2, 0.2, 0.5));
        assert_eq!(told("drain, published port, refused"), (1, 1.0, 1.0));
    }
}
