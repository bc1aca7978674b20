//! The volumes of the fleet: where each is, who mounts it, and why a slot waits for one.

use crdt_state::read;
use crdt_state::task::Slot;
use crdt_state::volume::{Holding, VolumeFact};
use crdt_state::{NodeId, ServiceId};

use super::NodeReport;
use crate::view::Presence;

/// A volume of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRow {
    /// Its name.
    pub name: String,
    /// The node that holds it.
    pub node: NodeId,
    /// The holder's host name.
    pub hostname: String,
    /// What the holder reports about it.
    pub fact: VolumeFact,
    /// Can it be mounted?
    pub holding: Holding,
    /// For how long the holder has not been heard, in milliseconds.
    pub unreachable_ms: Option<u64>,
    /// The services whose tasks mount it there.
    pub services: Vec<String>,
}

impl NodeReport<'_> {
    /// Every volume of every member of the fleet, by name, then by host name.
    pub fn volumes(&self) -> Vec<VolumeRow> {
        let members = self.catalog().nodes.iter().filter(|(_, node)| node.is_member());
        let mut rows: Vec<VolumeRow> = Vec::new();
        for (id, entry) in members {
            let facts = read::volumes_of(self.replica, *id);
            rows.extend(facts.into_iter().map(|(name, fact)| VolumeRow {
                holding: entry.volumes.get(&name).copied().unwrap_or(Holding::Here),
                services: self.services_that_mount(*id, &name),
                node: *id,
                hostname: self.catalog().hostname(*id),
                fact,
                unreachable_ms: self.unreachable_ms(*id),
                name,
            }));
        }
        rows.sort_by(|a, b| (&a.name, &a.hostname, a.node).cmp(&(&b.name, &b.hostname, b.node)));
        rows
    }

    /// The services that have a task on the node which mounts the volume.
    fn services_that_mount(&self, node: NodeId, name: &str) -> Vec<String> {
        let mounts = |service: &&std::sync::Arc<crdt_state::service::Service>| {
            let Some(view) = self.view().services.get(&service.id) else { return false };
            let said = self.catalog().tasks.get(&service.id).into_iter().flatten();
            let mut here = said.filter(|((_, owner), record)| {
                *owner == node && record.tasks.iter().any(|task| !task.current.state.is_terminal())
            });
            here.any(|((slot, _), _)| view.volumes_of(*slot).contains(name))
        };
        self.catalog()
            .services
            .values()
            .filter(mounts)
            .map(|service| service.name.clone())
            .collect()
    }

    /// Why a slot waits: where its volumes are, and why those nodes cannot run it.
    pub(super) fn why_bound(&self, service: ServiceId, slot: Slot, holder: NodeId) -> String {
        let Some(view) = self.view().services.get(&service) else { return String::new() };
        let mut parts = Vec::new();
        for name in view.volumes_of(slot) {
            let holds = |node: &NodeId| {
                let held = self.view().nodes.get(node).and_then(|node| node.volumes.get(&name));
                matches!(held, Some(Holding::Here | Holding::Missing))
            };
            let others = self.view().nodes.keys().filter(|id| **id != holder);
            let node = [holder].iter().chain(others).copied().find(holds);
            if let Some(node) = node {
                let state = self.state_of_holder(service, node);
                parts.push(format!("volume {name} is on {}{state}", self.shown(node)));
            }
        }
        parts.join(", ")
    }

    fn state_of_holder(&self, service: ServiceId, node: NodeId) -> String {
        let silent = self.unreachable_ms(node);
        let gone = self.view().nodes.get(&node).is_some_and(|n| n.presence == Presence::Gone);
        if let Some(silent) = silent.filter(|_| gone) {
            return format!(" (unreachable for {})", age(silent));
        }
        let excluded = self.plan().services.get(&service).and_then(|plan| plan.excluded.get(&node));
        excluded.map(|reason| format!(" ({reason})")).unwrap_or_default()
    }
}

/// A duration for operators, in its largest unit.
fn age(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
