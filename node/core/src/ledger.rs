//! The resources that earlier services have reserved on each node, and how many tasks still fit.
//!
//! Services are entered in canonical order; the capacity of a node for a service never depends on a
//! service that comes later in that order.

use std::collections::BTreeSet;

use crdt_state::NodeId;
use crdt_state::spec::{PublishedPort, Resources};

use crate::reason::NodeReason;
use crate::view::{NodeView, ServiceView, View};

/// No limit: more slots than any service has.
pub const UNLIMITED: u32 = u32::MAX;

/// Reserved amounts, per node.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// All nodes, in the order of their ids, so that a node is found by its place.
    nodes: Vec<NodeId>,
    taken: Vec<Taken>,
}

#[derive(Debug, Clone, Default)]
struct Taken {
    amounts: Resources,
    ports: BTreeSet<(u16, String)>,
}

impl Ledger {
    /// Nothing is reserved on any node.
    pub fn new(view: &View) -> Ledger {
        let nodes: Vec<NodeId> = view.nodes.keys().copied().collect();
        Ledger { taken: vec![Taken::default(); nodes.len()], nodes }
    }

    /// The place of a node.
    pub fn place(&self, node: NodeId) -> usize {
        self.nodes.binary_search(&node).expect("the ledger has every node of the view")
    }

    /// How many tasks of the service the node may have besides those of earlier services, and the
    /// reason that limits this number.
    pub fn capacity(&self, node: &NodeView, service: &ServiceView) -> (u32, Option<NodeReason>) {
        let room = self.room(node, service);
        let most = service.max_per_node;
        if most > 0 && most < room.0 { (most, Some(NodeReason::MaxPerNode(most))) } else { room }
    }

    /// The same, without the operator's limit per node.
    pub fn room(&self, node: &NodeView, service: &ServiceView) -> (u32, Option<NodeReason>) {
        if !is_counted(service) {
            return (UNLIMITED, None);
        }
        let taken = &self.taken[self.place(node.id)];
        let mut least = (UNLIMITED, None);
        let mut limit = |count: u64, reason: NodeReason| {
            let count = u32::try_from(count).unwrap_or(UNLIMITED);
            if count < least.0 {
                least = (count, Some(reason));
            }
        };
        let needs = &service.reservations;
        let has = &node.resources;
        if needs.memory_bytes > 0 && has.memory_bytes > 0 {
            let free = has.memory_bytes.saturating_sub(taken.amounts.memory_bytes);
            limit(free / needs.memory_bytes, NodeReason::Memory(needs.memory_bytes, free));
        }
        if needs.nano_cpus > 0 && has.nano_cpus > 0 {
            let free = has.nano_cpus.saturating_sub(taken.amounts.nano_cpus);
            limit(free / needs.nano_cpus, NodeReason::Cpu(needs.nano_cpus, free));
        }
        for (name, amount) in needs.generic.iter().filter(|(_, amount)| **amount > 0) {
            let used = taken.amounts.generic.get(name).copied().unwrap_or(0);
            let free = has.generic.get(name).copied().unwrap_or(0).saturating_sub(used);
            limit(free / amount, NodeReason::Generic(name.clone(), *amount, free));
        }
        if let Some(port) = service.host_ports.first() {
            limit(1, NodeReason::HostPort(port.published));
        }
        for port in &service.host_ports {
            if taken.ports.contains(&port_key(port)) {
                limit(0, NodeReason::HostPort(port.published));
            }
        }
        least
    }

    /// Reserves what `count` tasks of the service need on the node at this place.
    pub fn enter(&mut self, place: usize, service: &ServiceView, count: u32) {
        if count == 0 || !is_counted(service) {
            return;
        }
        let taken = &mut self.taken[place];
        let times = |amount: u64| amount.saturating_mul(count.into());
        let add = |to: &mut u64, amount: u64| *to = to.saturating_add(amount);
        add(&mut taken.amounts.memory_bytes, times(service.reservations.memory_bytes));
        add(&mut taken.amounts.nano_cpus, times(service.reservations.nano_cpus));
        for (name, amount) in &service.reservations.generic {
            add(taken.amounts.generic.entry(name.clone()).or_default(), times(*amount));
        }
        taken.ports.extend(service.host_ports.iter().map(port_key));
    }
}

/// Does the service reserve anything that others may lack? If none does, services are independent.
pub fn is_counted(service: &ServiceView) -> bool {
    service.reservations != Resources::default() || !service.host_ports.is_empty()
}

fn port_key(port: &PublishedPort) -> (u16, String) {
    (port.published, port.protocol.clone())
}
