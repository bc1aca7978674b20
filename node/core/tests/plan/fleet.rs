//! Views of made-up fleets, and the naive planner.

use std::collections::BTreeMap;

use crdt_state::node::Availability;
use crdt_state::spec::{Resources, Scale};
use crdt_state::stamp::{Stamp, Writer};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};
use node_core::plan::{Placed, Plan, plan};
use node_core::score;
use node_core::view::{Holder, NodeView, Presence, ServiceView, Standing, View};

pub(crate) fn node_id(n: u8) -> NodeId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[n]);
    NodeId(crdt_state::id::first_16(&hasher.finalize()))
}

pub(crate) fn service(n: u8, replicas: u32) -> ServiceView {
    let writer = Writer { node: node_id(0), store: StoreId(1) };
    ServiceView {
        id: ServiceId([n; 16]),
        created: Stamp { lamport: n.into(), writer },
        scale: Scale::Replicated { replicas },
        constraints: Vec::new(),
        platforms: Vec::new(),
        max_per_node: 0,
        priority: 0,
        reservations: Resources::default(),
        host_ports: Vec::new(),
        volumes: std::collections::BTreeSet::new(),
        has_networks: false,
        needs_tunnel: false,
        holders: Vec::new(),
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

/// A second planner, written to be obviously right rather than fast: no shares, no ledger.
pub(crate) fn naive(view: &View, service: &ServiceView, replicas: u32) -> BTreeMap<Slot, NodeId> {
    let nodes: Vec<NodeId> = view
        .nodes
        .values()
        .filter(|n| n.presence == Presence::Here && n.availability == Availability::Active)
        .map(|n| n.id)
        .collect();
    let mut owners: BTreeMap<Slot, NodeId> = BTreeMap::new();
    if nodes.is_empty() {
        return naive_stays(view, service, replicas);
    }
    let all = nodes.len();
    let (low, extras) = (replicas as usize / all, replicas as usize % all);
    let load = |owners: &BTreeMap<Slot, NodeId>, node: NodeId| {
        owners.values().filter(|owner| **owner == node).count()
    };
    let room = |owners: &BTreeMap<Slot, NodeId>, node: NodeId| {
        let above = nodes.iter().filter(|n| load(owners, **n) > low).count();
        load(owners, node) < low || (load(owners, node) == low && above < extras)
    };
    let part = score::service_part(service.id);
    let score_of = |slot: Slot, node: NodeId| {
        score::score(part, score::slot_part(slot), score::node_part(node))
    };
    let mut held: Vec<&Holder> =
        service.holders.iter().filter(|h| nodes.contains(&h.node)).collect();
    // Beside ended copies, a live copy counts as the only one.
    let is_live = |h: &&&Holder| h.standing != Standing::Ended;
    let is_shared = |of: &Holder| {
        let copies = || held.iter().filter(|h| h.slot == of.slot);
        match of.standing {
            Standing::Ended => copies().count() > 1,
            _ => copies().filter(is_live).count() > 1,
        }
    };
    let shared: BTreeMap<(Slot, NodeId), bool> =
        held.iter().map(|h| ((h.slot, h.node), is_shared(h))).collect();
    held.sort_by_key(|h| {
        let score = std::cmp::Reverse(score_of(h.slot, h.node));
        (shared[&(h.slot, h.node)], h.standing, h.running_since, score, h.slot, h.node)
    });
    for h in held {
        let wanted = matches!(h.slot, Slot::Number(n) if n >= 1 && n <= replicas);
        if wanted
            && nodes.contains(&h.node)
            && !owners.contains_key(&h.slot)
            && room(&owners, h.node)
        {
            owners.insert(h.slot, h.node);
        }
    }
    let mut assigned: BTreeMap<Slot, NodeId> = BTreeMap::new();
    for slot in (1..=replicas).map(Slot::Number) {
        let round = assigned.len() / all;
        let first = nodes
            .iter()
            .filter(|n| load(&assigned, **n) == round)
            .max_by_key(|n| score_of(slot, **n))
            .expect("a round has a slot for each node");
        assigned.insert(slot, *first);
        if owners.contains_key(&slot) {
            continue;
        }
        let free: Vec<NodeId> = nodes.iter().copied().filter(|n| room(&owners, *n)).collect();
        let best = free
            .iter()
            .find(|n| *n == first)
            .or_else(|| free.iter().max_by_key(|n| score_of(slot, **n)));
        owners.insert(slot, *best.expect("shares add up"));
    }
    owners
}

/// No node may take a slot: the longest-running copy of each stays.
fn naive_stays(view: &View, service: &ServiceView, replicas: u32) -> BTreeMap<Slot, NodeId> {
    let part = score::service_part(service.id);
    let stays = |slot: Slot| {
        let running = service.holders.iter().filter(|h| {
            let is_here = view.nodes.get(&h.node).is_some_and(|n| n.presence == Presence::Here);
            h.slot == slot && h.standing == Standing::Running && is_here
        });
        let score =
            |h: &Holder| score::score(part, score::slot_part(slot), score::node_part(h.node));
        let best = running.min_by_key(|h| (h.running_since, std::cmp::Reverse(score(h))))?;
        Some((slot, best.node))
    };
    (1..=replicas).map(Slot::Number).filter_map(stays).collect()
}
