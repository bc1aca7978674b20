//! Views of made-up fleets.

use std::collections::BTreeMap;

use crdt_state::spec::{Resources, Scale};
use crdt_state::stamp::{Stamp, Writer};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};
use node_core::plan::{Placed, Plan, plan};
use node_core::view::{Holder, JobView, NodeView, ServiceView, Standing, View};

pub(crate) fn node_id(n: u8) -> NodeId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[n]);
    NodeId(crdt_state::id::first_16(&hasher.finalize()))
}

pub(crate) fn service(n: u8, replicas: u32) -> ServiceView {
    let writer = Writer { node: node_id(0), store: StoreId(1) };
    ServiceView {
        id: ServiceId([n; 16]),
        name: format!("s{n}"),
        image: String::new(),
        affinities: Vec::new(),
        created: Stamp { lamport: n.into(), writer },
        scale: Scale::Replicated { replicas },
        constraints: Vec::new(),
        preferences: Vec::new(),
        platforms: Vec::new(),
        max_per_node: 0,
        priority: 0,
        reservations: Resources::default(),
        host_ports: Vec::new(),
        volumes: std::collections::BTreeSet::new(),
        has_networks: false,
        needs_tunnel: false,
        holders: Vec::new(),
        partition: Default::default(),
        leases: BTreeMap::new(),
        job: JobView::default(),
    }
}

pub(crate) fn fleet(nodes: u8) -> View {
    let nodes = (0..nodes).map(|n| (node_id(n), NodeView::new(node_id(n)))).collect();
    View { nodes, services: BTreeMap::new() }
}

pub(crate) fn owners(plan: &Plan, id: ServiceId) -> BTreeMap<Slot, NodeId> {
    let slots = plan.services[&id].slots.iter();
    slots
        .filter_map(|(slot, placed)| match placed {
            Placed::On(node, _) => Some((*slot, *node)),
            Placed::Nowhere(_) => None,
        })
        .collect()
}

/// Every node does what the plan says: the next view.
pub(crate) fn obey(view: &mut View, lamport: &mut u64) {
    let plan = plan(view);
    for service in view.services.values_mut() {
        let before = std::mem::take(&mut service.holders);
        for (slot, node) in owners(&plan, service.id) {
            let held = before.iter().find(|h| h.slot == slot && h.node == node);
            *lamport += 1;
            let fresh = Holder { slot, node, standing: Standing::Running, running_since: *lamport };
            service.holders.push(held.copied().unwrap_or(fresh));
        }
    }
}

pub(crate) fn moved(before: &BTreeMap<Slot, NodeId>, after: &BTreeMap<Slot, NodeId>) -> usize {
    after.iter().filter(|(slot, node)| before.get(slot).is_some_and(|old| old != *node)).count()
}

pub(crate) fn counts(owners: &BTreeMap<Slot, NodeId>, view: &View) -> Vec<usize> {
    view.nodes.keys().map(|id| owners.values().filter(|node| *node == id).count()).collect()
}
