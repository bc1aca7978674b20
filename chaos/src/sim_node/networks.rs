//! What a node says of addresses and names, for the checkers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crdt_state::service::Service;
use crdt_state::spec::UpdateOrder;
use crdt_state::task::{Run, TaskState};
use crdt_state::{NetworkId, ServiceId};
use node_core::names::Reach;
use node_core::network_state::NetworkState;
use node_core::{RolloutState, TaskView};

use super::SimNode;

impl SimNode {
    /// May two tasks of each slot run for now, because a blue-green rollout is not over?
    pub fn is_side_by_side(&self, service: &Service) -> bool {
        let rollout = self.node.report(self.now).rollout(service);
        let goes_on = rollout.is_some_and(|rollout| rollout.state != RolloutState::Completed);
        service.order() == UpdateOrder::BlueGreen && goes_on
    }

    /// A task of this node that is about to start, of a service whose templates run beside each
    /// other.
    pub fn starts_beside(&self) -> Option<String> {
        let services = self.services();
        let both: BTreeSet<ServiceId> =
            services.iter().filter(|one| self.is_side_by_side(one)).map(|one| one.id).collect();
        let is_to_start = |task: &TaskView| {
            let state = task.status.as_ref().map(|status| status.current.state);
            let starts = [TaskState::Assigned, TaskState::Preparing, TaskState::Starting];
            let is_own = task.node == Some(self.id()) && both.contains(&task.service);
            is_own && task.desired_running && state.is_some_and(|state| starts.contains(&state))
        };
        let tasks = self.node.report(self.now).tasks();
        let found = tasks.into_iter().find(is_to_start);
        found.map(|task| format!("{} {:?} ({:?})", task.service_name, task.slot, task.reason))
    }

    /// The addresses of its live tasks, with their networks.
    ///
    /// # Panics
    ///
    /// The plan that was changed step by step is another than one made from nothing.
    pub fn task_addresses(&self) -> Vec<(NetworkId, Run, IpAddr)> {
        assert_eq!(self.plan, self.node.overlay_plan(), "a change of the plan was not told");
        let tasks = self.plan.tasks.iter().flat_map(|(run, task)| {
            task.interfaces.iter().flat_map(move |interface| {
                let network = interface.network;
                interface.addresses.iter().map(move |ip| (network, *run, *ip))
            })
        });
        tasks.collect()
    }

    /// Brings its networks up to date.
    pub(super) fn follow_networks(&mut self) {
        if self.node.has_network_news() {
            let news = self.node.drain_network_news();
            self.plan.apply(self.networks.update(&self.node, news));
        }
    }

    /// The addresses to which a name leads on a network, without those of nodes that this node does
    /// not reach; `None`: no such name.
    ///
    /// # Panics
    ///
    /// The names that were changed step by step are others than those made from nothing.
    pub fn resolve(&self, network: NetworkId, name: &str) -> Option<Vec<IpAddr>> {
        let names = self.node.network_names(network, container_name);
        let kept = self.networks.names(network).unwrap_or(&names);
        assert_eq!(*kept, names, "a change of names was not told");
        let found = names.addresses(name)?;
        let reachable = found.into_iter().filter(|found| found.reach == Reach::Reachable);
        Some(reachable.map(|found| found.address).collect())
    }

    /// Does the service own its name, as this node sees it?
    pub fn owns_name(&self, service: &Service) -> bool {
        crdt_state::name_owner(self.node.replica(), &service.name) == Some(service.id)
    }
}

fn container_name(run: Run) -> String {
    run.task.to_string()
}

/// The networks of a node that has none yet.
pub(super) fn new_networks() -> NetworkState {
    NetworkState::new(container_name)
}
