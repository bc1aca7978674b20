//! Paths to other nodes of which tasks notice something, told where the tasks and networks are.

use std::collections::BTreeMap;

use crdt_state::{NetworkId, TaskId};
use node_agent::PathFailure;
use node_core::TaskView;
use node_docker::task::Task;

use super::snapshot::Snapshot;
use super::task_object::spoken;

/// All, as sentences.
pub fn all(failures: &[PathFailure], snapshot: &Snapshot) -> Vec<String> {
    failures.iter().map(|failure| sentence(failure, snapshot)).collect()
}

/// Those of one network, as sentences.
pub fn on_network(
    failures: &[PathFailure],
    snapshot: &Snapshot,
    network: NetworkId,
) -> Vec<String> {
    let own = failures.iter().filter(|failure| failure.path.networks.contains(&network));
    own.map(|failure| sentence(failure, snapshot)).collect()
}

/// Those to the nodes of these tasks, as sentences.
pub fn of_tasks<'a>(
    failures: &[PathFailure],
    snapshot: &Snapshot,
    tasks: impl Iterator<Item = &'a TaskView> + Clone,
) -> Vec<String> {
    let concerns = |failure: &&PathFailure| {
        let mut there = tasks.clone().filter(|task| task.node == Some(failure.path.node));
        there.any(|task| task.desired_running && is_on(failure, snapshot, task.id))
    };
    failures.iter().filter(concerns).map(|failure| sentence(failure, snapshot)).collect()
}

/// Says of running tasks that no packet of this node reaches theirs. Docker's client shows errors
/// only, no messages.
pub fn mark<'a>(
    failures: &[PathFailure],
    snapshot: &Snapshot,
    tasks: impl Iterator<Item = &'a mut Task>,
) {
    let lost = failures.iter().filter(|failure| failure.path.fault.loses_all());
    let lost: BTreeMap<String, Vec<&PathFailure>> =
        lost.fold(BTreeMap::new(), |mut all, failure| {
            all.entry(failure.path.node.to_string()).or_default().push(failure);
            all
        });
    // Of a node that is not even heard that is told.
    let is_up =
        |task: &&mut Task| task.status.state == "running" && task.edge.unreachable_ms.is_none();
    for task in tasks.filter(is_up) {
        let (Some(lost), Ok(id)) = (lost.get(&task.node_id), task.edge.task_id.parse()) else {
            continue;
        };
        let Some(failure) = lost.iter().find(|failure| is_on(failure, snapshot, id)) else {
            continue;
        };
        let here = snapshot.hostname(snapshot.me);
        let lasts = duration(failure);
        let told =
            format!("not reached from {here} for {lasts} by its networks: edgectl net check");
        let before = std::mem::take(&mut task.status.err);
        task.status.err = if before.is_empty() { told } else { format!("{told}; {before}") };
        task.status.message.clone_from(&task.status.err);
    }
}

fn is_on(failure: &PathFailure, snapshot: &Snapshot, task: TaskId) -> bool {
    let networks = snapshot.task_addresses.get(&task);
    networks.is_some_and(|held| held.keys().any(|id| failure.path.networks.contains(id)))
}

fn sentence(failure: &PathFailure, snapshot: &Snapshot) -> String {
    let lasts = format!(" (for {})", duration(failure));
    failure.path.fault.sentence(&snapshot.hostname(failure.path.node), &lasts)
}

fn duration(failure: &PathFailure) -> String {
    spoken(u64::try_from(failure.lasts().as_millis()).unwrap_or(u64::MAX))
}
