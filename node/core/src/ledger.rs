//! The resources that earlier services have reserved on each node, and how many tasks still fit.
//!
//! Services are entered in canonical order; the capacity of a node for a service never depends on a
//! service that comes later in that order.

use std::collections::BTreeSet;

use crdt_state::spec::{PublishedPort, Resources};
use crdt_state::{NodeId, ServiceId};

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
    entries: Vec<Vec<Entry>>,
}

/// What one service has on one node.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Which service.
    pub service: ServiceId,
    /// Its priority.
    pub priority: i32,
    /// The number of its tasks.
    pub count: u32,
}

/// What is reserved on one node.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    amounts: Resources,
    ports: BTreeSet<(u16, String)>,
}

impl Ledger {
    /// Nothing is reserved on any node.
    pub fn new(view: &View) -> Ledger {
        let nodes: Vec<NodeId> = view.nodes.keys().copied().collect();
        let entries = vec![Vec::new(); nodes.len()];
        Ledger { taken: vec![Taken::default(); nodes.len()], nodes, entries }
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
        self.taken[self.place(node.id)].room(node, service)
    }

    /// What is reserved on a node.
    pub fn taken(&self, node: NodeId) -> &Taken {
        &self.taken[self.place(node)]
    }

    /// The earlier services that reserve something on a node, in their order.
    pub fn entries(&self, node: NodeId) -> &[Entry] {
        &self.entries[self.place(node)]
    }

    /// Reserves what `count` tasks of the service need on the node at this place.
    pub fn enter(&mut self, place: usize, service: &ServiceView, count: u32) {
        if count == 0 || !is_counted(service) {
            return;
        }
        self.taken[place].enter(service, count);
        let (service, priority) = (service.id, service.priority);
        self.entries[place].push(Entry { service, priority, count });
    }
}

impl Taken {
    /// How many tasks of a service that reserves anything fit beside what is reserved, and the
    /// reason that limits this number.
    pub fn room(&self, node: &NodeView, service: &ServiceView) -> (u32, Option<NodeReason>) {
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
            let free = has.memory_bytes.saturating_sub(self.amounts.memory_bytes);
            limit(free / needs.memory_bytes, NodeReason::Memory(needs.memory_bytes, free));
        }
        if needs.nano_cpus > 0 && has.nano_cpus > 0 {
            let free = has.nano_cpus.saturating_sub(self.amounts.nano_cpus);
            limit(free / needs.nano_cpus, NodeReason::Cpu(needs.nano_cpus, free));
        }
        for (name, amount) in needs.generic.iter().filter(|(_, amount)| **amount > 0) {
            let used = self.amounts.generic.get(name).copied().unwrap_or(0);
            let all = has.generic.get(name).copied().unwrap_or(0);
            let free = all.saturating_sub(used);
            let reason = match all {
                0 => NodeReason::NoGeneric(name.clone()),
                _ => NodeReason::Generic(name.clone(), *amount, free),
            };
            limit(free / amount, reason);
        }
        if let Some(port) = service.host_ports.first() {
            limit(1, NodeReason::HostPort(port.published));
        }
        for port in &service.host_ports {
            if self.ports.contains(&port_key(port)) {
                limit(0, NodeReason::HostPort(port.published));
            }
        }
        least
    }

    /// Reserves what `count` tasks of the service need.
    pub fn enter(&mut self, service: &ServiceView, count: u32) {
        let times = |amount: u64| amount.saturating_mul(count.into());
        let add = |to: &mut u64, amount: u64| *to = to.saturating_add(amount);
        add(&mut self.amounts.memory_bytes, times(service.reservations.memory_bytes));
        add(&mut self.amounts.nano_cpus, times(service.reservations.nano_cpus));
        for (name, amount) in &service.reservations.generic {
            add(self.amounts.generic.entry(name.clone()).or_default(), times(*amount));
        }
        self.ports.extend(service.host_ports.iter().map(port_key));
    }
}

/// Does the service reserve anything that others may lack? If none does, services are independent.
pub fn is_counted(service: &ServiceView) -> bool {
    service.reservations != Resources::default() || !service.host_ports.is_empty()
}

fn port_key(port: &PublishedPort) -> (u16, String) {
    (port.published, port.protocol.clone())
}
