//! Numbers for ports that the nodes of a task publish, and that were asked for without one: each
//! task has its own, so that several of a service can be on one node.
//!
//! A number stays as long as the task is there, unless somebody asks for this very number. Nobody
//! else is asked: the port is one of this node alone, and everybody reads it in its record.

use std::collections::BTreeSet;

use crdt_state::network::{PICKED_PORTS_MAX, PickedPort, PickedPorts};
use crdt_state::service::Service;
use crdt_state::spec::PublishedPort;
use crdt_state::{ServiceId, TaskId};

use super::{Addressing, Outdated};
use crate::catalog::Catalog;

/// Numbers that are chosen for ports of every node: Docker's range.
const AUTOMATIC: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Is it to be picked by each node?
pub fn is_picked_by_node(port: &PublishedPort) -> bool {
    port.host && port.published == 0
}

impl Addressing {
    /// The ports that were picked for a task.
    pub fn picked_ports(&self, task: TaskId) -> &[PickedPort] {
        self.picked_ports.get(&task).map_or(&[], Vec::as_slice)
    }

    /// Has a task all the ports that its service asks this node to pick?
    pub(super) fn check_picked_ports(&self, task: TaskId, service: &Service) -> Result<(), String> {
        let wanted = service.endpoint.ports.iter().filter(|port| is_picked_by_node(port));
        let wanted: BTreeSet<_> = wanted.map(|port| (&port.protocol, port.target)).collect();
        if self.picked_ports(task).len() >= wanted.len() {
            return Ok(());
        }
        Err(format!(
            "this node has no number left for a port in mode host: it gives {PICKED_PORTS_MAX}, from \
             {} to {}; publish with published=NUMBER, or run fewer such tasks on it",
            AUTOMATIC.start(),
            AUTOMATIC.end()
        ))
    }

    /// Picks a number for each port that has none, and forgets those of tasks that are gone.
    pub(super) fn pick_ports(&mut self, outdated: &Outdated, ended: &[TaskId], catalog: &Catalog) {
        if !outdated.everything && !self.has_to_pick(&outdated.services, ended, catalog) {
            return;
        }
        let before = std::mem::take(&mut self.picked_ports);
        self.picked_ports = self.picked(&before, catalog);
        let differs = |task: &TaskId| self.picked_ports.get(task) != before.get(task);
        let changed = before.keys().chain(self.picked_ports.keys()).filter(|task| differs(task));
        let leases = changed.filter_map(|task| self.leases.get(*task));
        self.changed.extend(leases.map(|lease| lease.service));
    }

    /// Have these services, or tasks that ended, anything to do with ports that this node picks?
    fn has_to_pick(
        &self,
        services: &BTreeSet<ServiceId>,
        ended: &[TaskId],
        catalog: &Catalog,
    ) -> bool {
        let leased = services.iter().flat_map(|id| self.leases.of(*id)).map(|(task, _)| task);
        let mut tasks = leased.chain(ended.iter().copied());
        let known = services.iter().filter_map(|id| catalog.services.get(id));
        let mut ports = known.flat_map(|service| &service.endpoint.ports);
        tasks.any(|task| self.picked_ports.contains_key(&task))
            || ports.any(|port| is_picked_by_node(port) || self.has_picked(port))
    }

    /// Was the number that a service asks for picked for another port?
    fn has_picked(&self, port: &PublishedPort) -> bool {
        let mut picked = self.picked_ports.values().flatten();
        picked
            .any(|picked| (&picked.protocol, picked.published) == (&port.protocol, port.published))
    }

    fn picked(&self, before: &PickedPorts, catalog: &Catalog) -> PickedPorts {
        let mut picked_ports = PickedPorts::new();
        let mut open: BTreeSet<(TaskId, &str, u16)> = BTreeSet::new();
        for (task, lease) in self.leases.iter() {
            let service = catalog.services.get(&lease.service).filter(|s| !s.networks.is_empty());
            let ports = service.into_iter().flat_map(|service| &service.endpoint.ports);
            let ports = ports.filter(|port| is_picked_by_node(port));
            open.extend(ports.map(|port| (task, port.protocol.as_str(), port.target)));
        }
        if open.is_empty() {
            return picked_ports;
        }
        let asked = catalog.services.values().flat_map(|service| &service.endpoint.ports);
        let mut taken: BTreeSet<(&str, u16)> =
            asked.map(|port| (port.protocol.as_str(), port.published)).collect();
        let mut missing = Vec::new();
        for (task, protocol, target) in open.into_iter().take(PICKED_PORTS_MAX) {
            let held = before.get(&task).into_iter().flatten();
            let mut held =
                held.filter(|held| (held.protocol.as_str(), held.target) == (protocol, target));
            match held.next().filter(|held| !taken.contains(&(protocol, held.published))) {
                Some(held) => {
                    taken.insert((protocol, held.published));
                    picked_ports.entry(task).or_default().push(held.clone());
                }
                None => missing.push((task, protocol, target)),
            }
        }
        for (task, protocol, target) in missing {
            let mut hasher = blake3::Hasher::new_derive_key("edgectl port of a task 1");
            hasher.update(&task.0);
            hasher.update(&target.to_be_bytes());
            hasher.update(protocol.as_bytes());
            let free = free_number(&hasher, |number| taken.contains(&(protocol, number)));
            let Some(published) = free else { continue };
            taken.insert((protocol, published));
            let picked = PickedPort { target, protocol: protocol.to_owned(), published };
            picked_ports.entry(task).or_default().push(picked);
        }
        picked_ports
    }
}

/// The first automatic number that is not taken, from a place that the hash says.
pub(crate) fn free_number(of: &blake3::Hasher, is_taken: impl Fn(u16) -> bool) -> Option<u16> {
    let hash = of.finalize();
    let start = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
    let count = AUTOMATIC.end() - AUTOMATIC.start() + 1;
    let numbers = (0..count).map(|step| {
        AUTOMATIC.start() + (u32::from(start) + u32::from(step)).rem_euclid(count.into()) as u16
    });
    numbers.into_iter().find(|number| !is_taken(*number))
}
