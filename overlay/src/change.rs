//! What changed in a plan: as much as changed, so that one task costs the same among thousands.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::NetworkId;
use crdt_state::task::Run;

use crate::plan::{LocalNetwork, OverlayPlan, PathPlan, Port, PortTargets, TaskPlan};

/// What changed in a plan. An entry without a value is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// Everything about links, if any of it changed: all networks, without tasks and virtual
    /// addresses.
    pub networks: Option<BTreeMap<NetworkId, LocalNetwork>>,
    /// The tasks that virtual addresses lead to.
    pub virtual_addresses: BTreeMap<(NetworkId, IpAddr), Option<Vec<IpAddr>>>,
    /// Published ports.
    pub ports: BTreeMap<Port, Option<PortTargets>>,
    /// The tasks of this node.
    pub tasks: BTreeMap<Run, Option<TaskPlan>>,
    /// The paths to other nodes, if any of it changed.
    pub paths: Option<Option<PathPlan>>,
}

impl PlanChange {
    /// Does it change nothing?
    pub fn is_empty(&self) -> bool {
        *self == PlanChange::default()
    }

    /// Adds a change that came after this one.
    pub fn add(&mut self, later: PlanChange) {
        self.networks = later.networks.or_else(|| self.networks.take());
        self.virtual_addresses.extend(later.virtual_addresses);
        self.ports.extend(later.ports);
        self.tasks.extend(later.tasks);
        self.paths = later.paths.or_else(|| self.paths.take());
    }
}

impl OverlayPlan {
    /// Takes a change over.
    pub fn apply(&mut self, change: PlanChange) {
        if let Some(paths) = change.paths {
            self.paths = paths;
        }
        for (run, task) in change.tasks {
            match task {
                Some(task) => {
                    self.forget(run);
                    self.enter(run, &task);
                    self.tasks.insert(run, task);
                }
                None => {
                    self.forget(run);
                    self.tasks.remove(&run);
                }
            }
        }
        if let Some(networks) = change.networks {
            let before = std::mem::replace(&mut self.networks, networks);
            for (id, was) in before {
                if let Some(network) = self.networks.get_mut(&id) {
                    network.virtual_addresses = was.virtual_addresses;
                }
            }
            for (run, task) in std::mem::take(&mut self.tasks) {
                self.enter(run, &task);
                self.tasks.insert(run, task);
            }
        }
        for ((id, address), tasks) in change.virtual_addresses {
            let Some(network) = self.networks.get_mut(&id) else { continue };
            match tasks {
                Some(tasks) => network.virtual_addresses.insert(address, tasks),
                None => network.virtual_addresses.remove(&address),
            };
        }
        for (port, targets) in change.ports {
            match targets {
                Some(targets) => self.ports.insert(port, targets),
                None => self.ports.remove(&port),
            };
        }
    }

    /// Enters the addresses of a task at its networks.
    fn enter(&mut self, run: Run, task: &TaskPlan) {
        for interface in &task.interfaces {
            if let Some(network) = self.networks.get_mut(&interface.network) {
                network.tasks.insert(run, interface.addresses.clone());
            }
        }
    }

    fn forget(&mut self, run: Run) {
        let interfaces = self.tasks.get(&run).into_iter().flat_map(|task| &task.interfaces);
        for interface in interfaces {
            if let Some(network) = self.networks.get_mut(&interface.network) {
                network.tasks.remove(&run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::TaskId;

    use super::*;
    use crate::plan::{PathPlan, Protocol};

    const NETWORK: NetworkId = NetworkId([1; 16]);

    fn run(number: u8) -> Run {
        Run { task: TaskId([number; 16]), attempt: 1 }
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// The number says what it changes, and to what; an even one removes.
    fn change(number: u8) -> PlanChange {
        let paths = PathPlan {
            mac: [number; 6],
            underlay: address(1),
            underlay_mtu: 1500,
            peers: BTreeMap::new(),
        };
        let is_there = number % 2 == 1;
        let targets =
            PortTargets { network: NETWORK, target: 80, addresses: vec![address(number)] };
        let task = TaskPlan { name_servers: vec![address(number)], ..TaskPlan::default() };
        let port = |last: u8| Port { protocol: Protocol::Tcp, number: u16::from(last) };
        let each = |last: u8| [last, number];
        PlanChange {
            networks: is_there.then(|| BTreeMap::from([(NETWORK, paths.network())])),
            virtual_addresses: each(7)
                .map(|at| ((NETWORK, address(at)), is_there.then(|| vec![address(number)])))
                .into(),
            ports: each(8).map(|at| (port(at), is_there.then(|| targets.clone()))).into(),
            tasks: each(9).map(|at| (run(at), is_there.then(|| task.clone()))).into(),
            paths: number.is_multiple_of(3).then_some(Some(paths)),
        }
    }

    #[test]
    fn changes_that_are_added_change_what_they_change_one_by_one() {
        for numbers in [[1, 3, 5], [3, 1, 2], [1, 2, 3], [3, 4, 6], [9, 12, 1]] {
            let (mut single, mut added) = (OverlayPlan::default(), PlanChange::default());
            for number in numbers {
                single.apply(change(number));
                added.add(change(number));
            }
            let mut together = OverlayPlan::default();
            together.apply(added);
            assert_eq!(together, single, "{numbers:?}");
            assert!(
                !together.networks.is_empty() && !together.ports.is_empty() || numbers[2] % 2 == 0
            );
        }
    }
}
