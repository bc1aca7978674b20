//! Assignment of a replicated service with named volumes: a task goes where its data is.
//!
//! A slot stays with the node that has it and holds its volumes; if that node cannot run it, the
//! slot waits. Nodes that hold volumes without a slot come next, and as many slots wait as there
//! are holders that cannot take one. Only slots that are left after that may start on an empty
//! volume. So no task is ever started on an empty volume while a node that is merely silent has its
//! data.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::NodeId;
use crdt_state::task::Slot;

use super::best_first;
use super::rounds::first_choices;
use crate::filter;
use crate::groups::Groups;
use crate::ledger::Ledger;
use crate::plan::{Placed, ServicePlan};
use crate::reason::{Choice, NodeReason, Unplaced};
use crate::score::{self, Part};
use crate::view::{Holder, NodeView, SLOT, ServiceView, View};
use crate::volumes::{self, Holders};

/// Plans the slots of these numbers, which ascend.
pub fn replicated(
    view: &View,
    service: &ServiceView,
    numbers: &[u32],
    ledger: &Ledger,
) -> ServicePlan {
    let mut assigner = BoundAssigner::new(view, service, numbers, ledger);
    let slots: Vec<Slot> = numbers.iter().map(|number| Slot::Number(*number)).collect();
    let of_each_slot = service.volumes.iter().any(|name| name.contains(SLOT));
    let groups = if of_each_slot { slots.chunks(1) } else { slots.chunks(slots.len().max(1)) };
    let mut free = Vec::new();
    for group in groups {
        free.extend(assigner.place_bound(group));
    }
    assigner.place_free(&free);
    assigner.plan
}

/// What a node can take.
enum Room {
    /// At most so many tasks.
    Fits(u32),
    /// Only the tasks that it has.
    Keeps,
}

struct BoundAssigner<'a> {
    view: &'a View,
    service: &'a ServiceView,
    part: Part,
    plan: ServicePlan,
    room: BTreeMap<NodeId, Room>,
    counts: BTreeMap<NodeId, u32>,
    held: BTreeMap<Slot, Vec<Holder>>,
    first: Vec<Option<NodeId>>,
    groups: Groups<'a>,
    group_counts: Vec<u32>,
}

impl<'a> BoundAssigner<'a> {
    fn new(
        view: &'a View,
        service: &'a ServiceView,
        numbers: &[u32],
        ledger: &Ledger,
    ) -> BoundAssigner<'a> {
        let mut plan = ServicePlan::default();
        let mut room = BTreeMap::new();
        for node in view.nodes.values() {
            let excluded = match (filter::exclusion(node, service), ledger.capacity(node, service))
            {
                (Some(reason @ (NodeReason::Paused | NodeReason::Unable(_))), _) => {
                    room.insert(node.id, Room::Keeps);
                    Some(reason)
                }
                (Some(reason), _) | (None, (0, Some(reason))) => Some(reason),
                (None, (capacity, _)) => {
                    room.insert(node.id, Room::Fits(capacity));
                    None
                }
            };
            plan.excluded.extend(excluded.map(|reason| (node.id, reason)));
        }
        let fitting = room.iter().filter_map(|(id, room)| match room {
            Room::Fits(capacity) => Some((*id, *capacity)),
            Room::Keeps => None,
        });
        let (nodes, capacities): (Vec<NodeId>, Vec<u32>) = fitting.unzip();
        let views: Vec<&NodeView> = nodes.iter().map(|id| &view.nodes[id]).collect();
        let groups = Groups::new(&service.preferences, &views);
        let last = numbers.last().copied().unwrap_or(0);
        let first = first_choices(service, &nodes, &groups, &capacities, last);
        let first = first.into_iter().map(|at| at.map(|at| nodes[at])).collect();
        let mut held: BTreeMap<Slot, Vec<Holder>> = BTreeMap::new();
        for holder in best_first(service, numbers, |_| true) {
            held.entry(holder.slot).or_default().push(holder);
        }
        let part = score::service_part(service.id);
        let (counts, group_counts) = (BTreeMap::new(), vec![0; groups.len()]);
        BoundAssigner { view, service, part, plan, room, counts, held, first, groups, group_counts }
    }

    /// Places those slots of one set of volumes that the volumes bind. Returns the other slots.
    fn place_bound(&mut self, slots: &[Slot]) -> Vec<Slot> {
        let Some(names) = slots.first().map(|slot| self.service.volumes_of(*slot)) else {
            return Vec::new();
        };
        let holders = Holders::of(self.view, &names);
        let mut used = BTreeSet::new();
        let mut open = slots.to_vec();
        open.retain(|slot| match self.place_held(*slot, &holders, &names) {
            Some(node) => {
                used.insert(node);
                false
            }
            None => true,
        });
        for node in holders.of_all.difference(&used.clone()) {
            if open.is_empty() || !self.takes(*node, &names) {
                continue;
            }
            let slot = open.remove(self.best_slot(&open, *node));
            self.place(slot, *node);
            used.insert(*node);
        }
        let waiting = open.len().min(holders.claims.saturating_sub(used.len()));
        // Slots that run nowhere wait first: a slot that runs goes on while another one can wait.
        open.sort_by_key(|slot| (self.keeper(*slot).is_some(), *slot));
        // There are at least as many such nodes: `claims` counts the holders of one volume only.
        let unable: Vec<NodeId> = holders.of_any.difference(&used).copied().collect();
        for (slot, node) in open.drain(..waiting).zip(&unable) {
            self.wait(slot, *node, &names);
        }
        open
    }

    /// A slot stays with a node that has it and holds its volumes, and waits if that node cannot
    /// run it. Returns that node.
    fn place_held(
        &mut self,
        slot: Slot,
        holders: &Holders,
        names: &BTreeSet<String>,
    ) -> Option<NodeId> {
        let held: Vec<NodeId> = self.held.get(&slot)?.iter().map(|holder| holder.node).collect();
        let mut bound = held.iter().copied().filter(|node| holders.of_all.contains(node));
        let able = bound.clone().find(|node| self.keeps(*node, names));
        match able {
            Some(node) => {
                self.place(slot, node);
                Some(node)
            }
            None => {
                let node = bound.next()?;
                self.wait(slot, node, names);
                Some(node)
            }
        }
    }

    /// The best slot for a node: not kept by another node, then its first choice, then the lowest.
    fn best_slot(&self, open: &[Slot], node: NodeId) -> usize {
        let rank = |slot: Slot| {
            let first = self.first_choice(slot) == Some(node);
            (self.keeper(slot).is_some(), !first, slot)
        };
        (0..open.len()).min_by_key(|at| rank(open[*at])).expect("the caller has checked")
    }

    /// Places the slots that no volume binds: they stay where they are, or are assigned.
    fn place_free(&mut self, free: &[Slot]) {
        let mut open = Vec::new();
        for slot in free {
            match self.keeper(*slot) {
                Some(node) => self.place(*slot, node),
                None => open.push(*slot),
            }
        }
        for slot in open {
            let names = self.service.volumes_of(slot);
            let fitting: Vec<NodeId> =
                self.room.keys().copied().filter(|node| self.takes(*node, &names)).collect();
            let least = fitting.iter().map(|node| self.load(*node)).min();
            let best = |node: &NodeId| {
                let score =
                    score::score(self.part, score::slot_part(slot), score::node_part(*node));
                (self.first_choice(slot) == Some(*node), score)
            };
            let chosen =
                fitting.iter().filter(|n| Some(self.load(**n)) == least).max_by_key(|n| best(n));
            match chosen {
                Some(node) => self.place(slot, *node),
                None if self.room.is_empty() => self.nowhere(slot, Unplaced::NoNode),
                None => self.nowhere(slot, Unplaced::Full),
            }
        }
    }

    /// The node that has the slot and can keep it.
    fn keeper(&self, slot: Slot) -> Option<NodeId> {
        let names = self.service.volumes_of(slot);
        let held = self.held.get(&slot).into_iter().flatten();
        held.map(|holder| holder.node).find(|node| self.keeps(*node, &names))
    }

    fn keeps(&self, node: NodeId, names: &BTreeSet<String>) -> bool {
        self.takes(node, names) || matches!(self.room.get(&node), Some(Room::Keeps))
    }

    fn takes(&self, node: NodeId, names: &BTreeSet<String>) -> bool {
        let count = self.counts.get(&node).copied().unwrap_or(0);
        let room = matches!(self.room.get(&node), Some(Room::Fits(most)) if count < *most);
        let obstacle = |node: &NodeView| volumes::obstacle(node, names).is_some();
        room && !self.view.nodes.get(&node).is_some_and(obstacle)
    }

    /// The slots of the groups around a node, outermost first, and then its own.
    fn load(&self, node: NodeId) -> Vec<u32> {
        let innermost = self.groups.nearest(&self.view.nodes[&node]);
        let groups = self.groups.outwards(innermost).map(|group| self.group_counts[group]);
        let own = self.counts.get(&node).copied().unwrap_or(0);
        let mut load: Vec<u32> = std::iter::once(own).chain(groups).collect();
        load.reverse();
        load
    }

    fn first_choice(&self, slot: Slot) -> Option<NodeId> {
        let Slot::Number(number) = slot else { return None };
        self.first.get(number as usize - 1).copied().flatten()
    }

    fn place(&mut self, slot: Slot, node: NodeId) {
        let held = self.held.get(&slot).into_iter().flatten();
        let choice = match held.map(|holder| holder.node).collect::<Vec<_>>().as_slice() {
            [] => Choice::Assigned,
            nodes if nodes.contains(&node) => Choice::Held,
            [from, ..] => Choice::Moved { from: *from },
        };
        *self.counts.entry(node).or_default() += 1;
        for group in self.groups.outwards(self.groups.nearest(&self.view.nodes[&node])) {
            self.group_counts[group] += 1;
        }
        self.plan.slots.insert(slot, Placed::On(node, choice));
    }

    fn nowhere(&mut self, slot: Slot, why: Unplaced) {
        self.plan.slots.insert(slot, Placed::Nowhere(why));
    }

    /// The slot waits for a node. Every other node gets the reason why it does not take the slot.
    fn wait(&mut self, slot: Slot, node: NodeId, names: &BTreeSet<String>) {
        self.nowhere(slot, Unplaced::Volume(node));
        let Some(holder) = self.view.nodes.get(&node) else { return };
        let Some(name) = names.iter().find(|name| holder.volumes.contains_key(*name)) else {
            return;
        };
        for other in self.room.keys().filter(|other| **other != node) {
            if !self.view.nodes[other].volumes.contains_key(name) {
                let reason = NodeReason::VolumeElsewhere(name.clone(), shown(holder));
                self.plan.excluded.entry(*other).or_insert(reason);
            }
        }
    }
}

fn shown(node: &NodeView) -> String {
    if node.hostname.is_empty() { node.id.to_string() } else { node.hostname.clone() }
}
