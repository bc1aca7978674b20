//! A second planner, written to be obviously right rather than fast: it gives out one task after the
//! other, keeps no sums, and asks of every step whether a balanced whole is still possible.
//!
//! It knows everything but volumes, platforms and networks, which other tests cover.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::Availability;
use crdt_state::spec::Scale;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::affinity::Side;
use node_core::preference::Preference;
use node_core::score;
use node_core::view::{Holder, NodeView, Presence, ServiceView, Standing, View};

pub(crate) type Owners = BTreeMap<Slot, NodeId>;

/// The owners of all slots of all services.
pub(crate) fn naive(view: &View) -> BTreeMap<ServiceId, Owners> {
    let mut services: Vec<&ServiceView> = view.services.values().collect();
    services.sort_by_key(|s| (Reverse(s.priority), s.created, s.id));
    let mut model = Model { view, placed: Vec::new() };
    let mut plans = BTreeMap::new();
    // The first that names nobody who is still to come; no circle is drawn.
    let names = |one: &ServiceView, other: &ServiceView| {
        let mut affinities = one.affinities.iter().flatten();
        affinities.any(|affinity| affinity.other().is(&other.name, &other.image))
    };
    while let Some(at) =
        (0..services.len()).find(|at| !services.iter().any(|other| names(services[*at], other)))
    {
        let service = services.remove(at);
        let owners = match service.scale {
            Scale::Replicated { replicas } => model.replicated(service, replicas),
            Scale::Global => model.global(service),
            Scale::JobReplicated { .. } | Scale::JobGlobal => unreachable!("no job is drawn"),
        };
        model.placed.extend(owners.values().map(|node| (service, *node)));
        plans.insert(service.id, owners);
    }
    plans
}

/// What a node does for a service, capacity apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attitude {
    Refuses,
    /// It keeps every task that it has.
    Paused,
    /// It keeps what has begun.
    Unable,
    Takes,
}

struct Model<'a> {
    view: &'a View,
    /// A pair for every task of the services before.
    placed: Vec<(&'a ServiceView, NodeId)>,
}

impl<'a> Model<'a> {
    fn attitude(&self, node: &NodeView, service: &ServiceView) -> Attitude {
        let fits = |constraint: &Result<node_core::constraint::Constraint, String>| {
            constraint.as_ref().is_ok_and(|constraint| constraint.fits(node))
        };
        let may = node.presence == Presence::Here
            && node.availability != Availability::Drain
            && service.constraints.iter().all(fits)
            && service.affinities.iter().flatten().all(|affinity| {
                let is_other = |other: &ServiceView| affinity.other().is(&other.name, "");
                let met = self.placed.iter().any(|(s, on)| *on == node.id && is_other(s));
                met == (affinity.side() == Side::Beside)
            });
        match (may, node.availability, &node.unable) {
            (false, ..) => Attitude::Refuses,
            (true, Availability::Pause, _) => Attitude::Paused,
            (true, _, Some(_)) => Attitude::Unable,
            (true, _, None) => Attitude::Takes,
        }
    }

    /// Could the node have `own` tasks of the service besides those of earlier services?
    fn has_resources(&self, node: &NodeView, service: &ServiceView, own: u64) -> bool {
        self.fits_beside(node, service, own, &[])
    }

    /// The same, besides tasks of these services as well.
    fn fits_beside(
        &self,
        node: &NodeView,
        service: &ServiceView,
        own: u64,
        others: &[&ServiceView],
    ) -> bool {
        let of_node = self.placed.iter().filter(|(_, on)| *on == node.id);
        let mut earlier: Vec<&ServiceView> = of_node.map(|(s, _)| *s).collect();
        earlier.extend(others);
        let fits = |has: u64, need: &dyn Fn(&ServiceView) -> u64| {
            let taken: u64 = earlier.iter().map(|service| need(service)).sum();
            need(service) == 0 || taken + own * need(service) <= has
        };
        let (memory, cpus) = (node.resources.memory_bytes, node.resources.nano_cpus);
        let is_known_to_fit =
            |has: u64, need: &dyn Fn(&ServiceView) -> u64| has == 0 || fits(has, need);
        let generic = service.reservations.generic.keys().all(|name| {
            let of = |amounts: &BTreeMap<String, u64>| amounts.get(name).copied().unwrap_or(0);
            fits(of(&node.resources.generic), &|s| of(&s.reservations.generic))
        });
        let ports = |service: &ServiceView| -> BTreeSet<(u16, String)> {
            service.host_ports.iter().map(|p| (p.published, p.protocol.clone())).collect()
        };
        let own_ports = ports(service);
        let is_free = own_ports.is_empty()
            || own <= 1 && earlier.iter().all(|earlier| ports(earlier).is_disjoint(&own_ports));
        is_known_to_fit(memory, &|s| s.reservations.memory_bytes)
            && is_known_to_fit(cpus, &|s| s.reservations.nano_cpus)
            && generic
            && is_free
    }

    /// Could the node have so many without that a task of lower priority makes room?
    fn is_free(&self, node: &NodeView, service: &ServiceView, own: u64) -> bool {
        // Whom this service names was placed before it, and its tasks there are counted already.
        let is_lower = |other: &&ServiceView| {
            let is_placed = self.placed.iter().any(|(s, on)| s.id == other.id && *on == node.id);
            other.priority < service.priority && !is_placed
        };
        let lower = self.view.services.values().filter(is_lower);
        let there = lower.flat_map(|other| {
            let holds = |h: &&Holder| h.node == node.id && h.standing != Standing::Ended;
            other.holders.iter().filter(holds).map(move |_| other)
        });
        self.fits_beside(node, service, own, &there.collect::<Vec<_>>())
    }

    fn capacity(&self, node: &NodeView, service: &ServiceView, most: u32) -> u32 {
        let most = if service.max_per_node > 0 { most.min(service.max_per_node) } else { most };
        let fits = |own: &u32| self.has_resources(node, service, u64::from(*own));
        u32::try_from((1..=most).take_while(fits).count()).expect("a few")
    }

    fn global(&self, service: &ServiceView) -> Owners {
        let has = |node: &NodeView| {
            let slot = Slot::Node(node.id);
            let holds = service.holders.iter().any(|h| h.node == node.id && h.slot == slot);
            match self.attitude(node, service) {
                Attitude::Refuses => false,
                Attitude::Paused => holds,
                Attitude::Unable | Attitude::Takes => self.capacity(node, service, 1) > 0,
            }
        };
        let nodes = self.view.nodes.values().filter(|node| has(node));
        nodes.map(|node| (Slot::Node(node.id), node.id)).collect()
    }

    fn replicated(&self, service: &'a ServiceView, replicas: u32) -> Owners {
        let with = |wanted: Attitude| {
            let nodes = self.view.nodes.values();
            let nodes = nodes.filter(move |node| self.attitude(node, service) == wanted);
            let nodes = nodes.map(|node| (node.id, self.capacity(node, service, replicas.max(1))));
            nodes.filter(|(_, capacity)| *capacity > 0).collect::<BTreeMap<NodeId, u32>>()
        };
        let mut capacities = with(Attitude::Takes);
        let is_last_resort =
            capacities.is_empty() && self.view.nodes.values().any(|n| n.unable.is_some());
        if is_last_resort {
            capacities = with(Attitude::Unable);
        }
        let keeps = |h: &Holder| match self.attitude(&self.view.nodes[&h.node], service) {
            Attitude::Paused => true,
            Attitude::Unable => !is_last_resort && h.standing != Standing::Coming,
            Attitude::Refuses | Attitude::Takes => false,
        };
        let held = in_order(service, replicas, |h| {
            self.view.nodes.contains_key(&h.node) && (keeps(h) || capacities.contains_key(&h.node))
        });
        let mut kept = Owners::new();
        for slot in (1..=replicas).map(Slot::Number) {
            let best = held.iter().find(|h| h.slot == slot);
            kept.extend(best.filter(|h| keeps(h)).map(|h| (slot, h.node)));
        }
        let free = replicas - u32::try_from(kept.len()).expect("a few");
        let shape = Shape {
            nodes: &self.view.nodes,
            levels: &service.preferences,
            capacities: &capacities,
            kept: &kept,
        };
        let mut owners = kept.clone();
        let is_shared = |of: &Holder| {
            let copies = held.iter().filter(|h| h.slot == of.slot);
            match of.standing {
                Standing::Ended => copies.count() > 1,
                // Beside ended copies, a live copy counts as the only one.
                _ => copies.filter(|h| h.standing != Standing::Ended).count() > 1,
            }
        };
        for wanted in [false, true] {
            for h in held.iter().filter(|h| is_shared(h) == wanted) {
                if !owners.contains_key(&h.slot) && shape.has_room(free, &owners, h.node) {
                    owners.insert(h.slot, h.node);
                }
            }
        }
        let score = scores(service);
        let mut firsts = Owners::new();
        for slot in (1..=replicas).map(Slot::Number) {
            let all: Vec<NodeId> = capacities.keys().copied().collect();
            let first = shape.lowest(&firsts, &all, shape.levels);
            let first = first.into_iter().max_by_key(|node| score(slot, *node));
            firsts.extend(first.map(|node| (slot, node)));
            if owners.contains_key(&slot) {
                continue;
            }
            let room = all.into_iter().filter(|node| shape.has_room(free, &owners, *node));
            let room = self.free_first(service, &owners, room.collect());
            let best = first.filter(|first| room.contains(first));
            let best = best.or_else(|| room.into_iter().max_by_key(|node| score(slot, *node)));
            owners.extend(best.map(|node| (slot, node)));
        }
        self.let_stay(service, replicas, &mut owners);
        owners
    }

    /// Of these nodes those where nobody has to make room; if there are none, all.
    fn free_first(&self, service: &ServiceView, owners: &Owners, room: Vec<NodeId>) -> Vec<NodeId> {
        let is_free = |id: &NodeId| {
            let own = owners.values().filter(|owner| *owner == id).count() as u64 + 1;
            self.is_free(&self.view.nodes[id], service, own)
        };
        let free: Vec<NodeId> = room.iter().copied().filter(is_free).collect();
        if free.is_empty() { room } else { free }
    }

    fn let_stay(&self, service: &ServiceView, replicas: u32, owners: &mut Owners) {
        let is_here = |id: NodeId| {
            self.view.nodes.get(&id).is_some_and(|node| node.presence == Presence::Here)
        };
        for h in in_order(service, replicas, |h| is_here(h.node)) {
            let own = owners.values().filter(|node| **node == h.node).count() as u64 + 1;
            if h.standing == Standing::Running
                && !owners.contains_key(&h.slot)
                && self.has_resources(&self.view.nodes[&h.node], service, own)
            {
                owners.insert(h.slot, h.node);
            }
        }
    }
}

fn scores(service: &ServiceView) -> impl Fn(Slot, NodeId) -> u64 {
    let part = score::service_part(service.id);
    move |slot, node| score::score(part, score::slot_part(slot), score::node_part(node))
}

fn in_order(service: &ServiceView, replicas: u32, may: impl Fn(&Holder) -> bool) -> Vec<Holder> {
    let score = scores(service);
    let is_wanted = |h: &&Holder| matches!(h.slot, Slot::Number(n) if n >= 1 && n <= replicas);
    let mut held: Vec<Holder> =
        service.holders.iter().filter(is_wanted).filter(|h| may(h)).copied().collect();
    held.sort_by_key(|h| {
        (h.standing, h.running_since, Reverse(score(h.slot, h.node)), h.slot, h.node)
    });
    held
}

/// What a balanced whole looks like.
struct Shape<'a> {
    nodes: &'a BTreeMap<NodeId, NodeView>,
    levels: &'a [Preference],
    capacities: &'a BTreeMap<NodeId, u32>,
    /// Slots that stay where they are whatever happens: they count for groups.
    kept: &'a Owners,
}

impl Shape<'_> {
    /// Is a balanced whole possible if this node takes one more?
    fn has_room(&self, total: u32, owners: &Owners, node: NodeId) -> bool {
        if !self.capacities.contains_key(&node) {
            return false;
        }
        let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
        for (_, owner) in owners.iter().filter(|(slot, _)| !self.kept.contains_key(slot)) {
            *counts.entry(*owner).or_default() += 1;
        }
        *counts.entry(node).or_default() += 1;
        let all: Vec<NodeId> = self.nodes.keys().copied().collect();
        self.is_possible(&all, self.levels, total, &counts)
    }

    /// Can these nodes take exactly `total` in a balanced way, each at least its count?
    fn is_possible(
        &self,
        nodes: &[NodeId],
        levels: &[Preference],
        total: u32,
        counts: &BTreeMap<NodeId, u32>,
    ) -> bool {
        let children = self.split(nodes, levels);
        let rest = levels.get(1..).unwrap_or_default();
        let can = |child: &[NodeId], amount: u32| match (levels, child) {
            ([], [node]) => counts.get(node).copied().unwrap_or(0) <= amount,
            _ => self.is_possible(child, rest, amount, counts),
        };
        let most = |child: &Vec<NodeId>| -> u32 {
            child.iter().filter_map(|node| self.capacities.get(node)).sum()
        };
        let load = |child: &Vec<NodeId>| match levels {
            [] => 0,
            _ => self.kept.values().filter(|node| child.contains(node)).count() as u32,
        };
        let height = |at: usize, given: &[u32]| load(&children[at]) + given[at];
        let mut given = vec![0; children.len()];
        for _ in 0..total {
            let spare = (0..children.len()).filter(|at| given[*at] < most(&children[*at]));
            let Some(lowest) = spare.min_by_key(|at| height(*at, &given)) else { break };
            given[lowest] += 1;
        }
        // The last task of the highest could as well be one of those that are one lower.
        let spare = (0..children.len()).filter(|at| given[*at] < most(&children[*at]));
        let low = spare.map(|at| height(at, &given)).min();
        let is_high =
            |at: usize| given[at] > 0 && Some(height(at, &given)) == low.map(|low| low + 1);
        let extras = (0..children.len()).filter(|at| is_high(*at)).count();
        let mut used = 0;
        for at in 0..children.len() {
            let is_low = given[at] < most(&children[at]) && Some(height(at, &given)) == low;
            let base = if is_high(at) { given[at] - 1 } else { given[at] };
            if can(&children[at], base) {
                continue;
            }
            if !(is_high(at) || is_low) || !can(&children[at], base + 1) {
                return false;
            }
            used += 1;
        }
        used <= extras
    }

    /// Groups by the value of the outermost label; without labels, single nodes.
    fn split(&self, nodes: &[NodeId], levels: &[Preference]) -> Vec<Vec<NodeId>> {
        let Some(level) = levels.first() else { return nodes.iter().map(|n| vec![*n]).collect() };
        let mut groups: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
        for node in nodes {
            groups.entry(level.value(&self.nodes[node])).or_default().push(*node);
        }
        groups.into_values().collect()
    }

    /// The nodes with the fewest slots in those groups that have the fewest.
    fn lowest(&self, owners: &Owners, nodes: &[NodeId], levels: &[Preference]) -> Vec<NodeId> {
        let count = |child: &[NodeId]| -> u32 {
            owners.values().filter(|owner| child.contains(owner)).count() as u32
        };
        let has_room = |child: &Vec<NodeId>| {
            count(child) < child.iter().map(|node| self.capacities[node]).sum::<u32>()
        };
        let mut children = self.split(nodes, levels);
        children.retain(has_room);
        let least = children.iter().map(|child| count(child)).min();
        children.retain(|child| Some(count(child)) == least);
        match levels {
            [] => children.concat(),
            [_, rest @ ..] => {
                children.iter().flat_map(|child| self.lowest(owners, child, rest)).collect()
            }
        }
    }
}
