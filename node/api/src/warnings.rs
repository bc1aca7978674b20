//! Warnings for operators in `/info` and `/edge/status`.

use std::net::SocketAddr;

use crdt_state::NodeId;

use super::Api;
use super::failure::Failure;
use super::snapshot::Snapshot;

/// The warning while changes cannot be made durable.
pub fn disk_warning(api: &Api) -> Option<String> {
    let error = api.handle.disk_error()?;
    Some(format!(
        "the disk refuses to be written: {error}; changes are not durable until it does, tasks go \
         on; see that it is mounted, writable and not full"
    ))
}

/// A line for every node that cannot start tasks.
pub fn unable(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let rows = snapshot.nodes.iter().filter(|row| !row.conditions.is_empty());
    rows.map(|row| {
        let texts: Vec<&str> = row.conditions.values().map(String::as_str).collect();
        let name = snapshot.hostname(row.id);
        format!("{name} cannot start tasks now: {}; new ones go elsewhere", texts.join(", "))
    })
}

/// A line if this node begins no run of a job with a schedule, because its clock is wrong.
pub fn clock_warning(snapshot: &Snapshot) -> Option<String> {
    let fault = snapshot.schedules.values().find_map(|schedule| schedule.fault)?;
    Some(fault.in_words())
}

/// A sentence for every node whose key two machines have, and what to type, with the node.
pub async fn copied(api: &Api, snapshot: &Snapshot) -> Result<Vec<(NodeId, String)>, Failure> {
    let copied = api.read(|node, now| node.copied(now)).await?;
    let told = |(id, [one, other]): (NodeId, [SocketAddr; 2])| {
        let words = format!(
            "two machines have the key of node {}, at {one} and {other}: tasks of it run on both; the \
             later one goes into quarantine if they reach each other; there: edgectl node rekey --force, then \
             edgectl swarm join",
            snapshot.hostname(id)
        );
        (id, words)
    };
    Ok(copied.into_iter().map(told).collect())
}

/// Why nobody answers where this node was to join, for each address.
pub fn not_joined(api: &Api, snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let known: Vec<String> =
        snapshot.nodes.iter().filter_map(|row| row.addr).map(|addr| addr.to_string()).collect();
    let refused = api.handle.refused().into_iter().filter(move |(addr, _)| !known.contains(addr));
    refused.map(|(addr, why)| {
        let (what, hint) = why.split_once('\n').unwrap_or((&why, ""));
        let hint = if hint.is_empty() { "edgectl status" } else { hint.trim() };
        let word = if addr.starts_with('/') { "by" } else { "through" };
        format!("cannot join {word} {addr}: {what}; {hint}")
    })
}
