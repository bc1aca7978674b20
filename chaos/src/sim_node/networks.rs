//! What a node says of addresses and names, for the checkers.

use std::net::IpAddr;

use crdt_state::NetworkId;
use crdt_state::service::Service;
use crdt_state::task::Run;
use node_core::names::Reach;

use super::SimNode;

impl SimNode {
    /// The addresses of its live tasks, with their networks.
    pub fn task_addresses(&self) -> Vec<(NetworkId, Run, IpAddr)> {
        let plan = self.node.overlay_plan();
        let tasks = plan.tasks.into_iter().flat_map(|(run, task)| {
            let interfaces = task.interfaces.into_iter();
            interfaces.flat_map(move |interface| {
                let network = interface.network;
                interface.addresses.into_iter().map(move |ip| (network, run, ip))
            })
        });
        tasks.collect()
    }

    /// The addresses to which a name leads on a network, without those of nodes that this node does
    /// not reach; `None`: no such name.
    pub fn resolve(&self, network: NetworkId, name: &str) -> Option<Vec<IpAddr>> {
        let names = self.node.network_names(network, |run| run.task.to_string());
        let found = names.addresses(name)?;
        let reachable = found.into_iter().filter(|found| found.reach == Reach::Reachable);
        Some(reachable.map(|found| found.address).collect())
    }

    /// Does the service own its name, as this node sees it?
    pub fn owns_name(&self, service: &Service) -> bool {
        crdt_state::name_owner(self.node.replica(), &service.name) == Some(service.id)
    }
}
