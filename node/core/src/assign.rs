//! Assignment of a replicated service: keep what is held within the shares, assign the rest. The
//! assignment is rendezvous hashing with a bound on the load of each node, and with preferences on that
//! of each group of nodes. A slot's first choice comes from an assignment in rounds that ignores all
//! holders. If that node has no room, the slot goes to the
//! node with room that has the highest score.

mod anchored;
mod bound;
mod rounds;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::NodeId;
use crdt_state::partition::PartitionPolicy;
use crdt_state::task::Slot;

use crate::filter;
use crate::groups::Groups;
use crate::ledger::{Ledger, UNLIMITED, is_counted};
use crate::plan::{Placed, ServicePlan};
use crate::priority::FreeRoom;
use crate::quota::Quotas;
use crate::reason::{Choice, NodeReason, Unplaced};
use crate::score::{self, Part};
use crate::view::{Holder, NodeView, ServiceView, Standing, View};

/// Plans the slots of these numbers, which ascend.
pub fn replicated(
    view: &View,
    service: &ServiceView,
    numbers: &[u32],
    ledger: &Ledger,
) -> ServicePlan {
    if !service.volumes.is_empty() {
        return bound::replicated(view, service, numbers, ledger);
    }
    if service.partition.policy != PartitionPolicy::RunEverywhere && !service.scale.is_job() {
        return anchored::replicated(view, service, numbers, ledger);
    }
    let mut plan = ServicePlan::default();
    let Fitting { nodes, capacities, keepers } = Fitting::of(view, service, ledger, &mut plan);
    let eligible: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
    let groups = Groups::new(&service.preferences, &nodes);
    let fits = |holder: &Holder| eligible.binary_search(&holder.node).is_ok();
    // A task of a job that has begun goes to no other node.
    let is_job = service.scale.is_job();
    let runs_on =
        |holder: &Holder| is_job && (fits(holder) || holder.standing == Standing::Running);
    let keeps = |holder: &Holder| keepers.keeps(holder) || runs_on(holder);
    let held = best_first(service, numbers, |holder| keeps(holder) || fits(holder));
    let kept = kept(&held, keeps);
    let mut loads = vec![0; groups.len()];
    for (slot, node) in &kept {
        plan.slots.insert(*slot, Placed::On(*node, Choice::Held));
        groups.outwards(groups.nearest(&view.nodes[node])).for_each(|group| loads[group] += 1);
    }
    let quotas = match is_job {
        true => Quotas::without_shares(left_of(&eligible, &capacities, &kept)),
        false => {
            let slots = numbers.len() - kept.len();
            let slots = u32::try_from(slots).expect("slots have numbers of 32 bits");
            Quotas::new(slots, &groups, &capacities, &loads)
        }
    };
    let mut assigner = Assigner::new(service, &eligible, quotas);
    assigner.keep(&held, &mut plan);
    let best: BTreeMap<Slot, NodeId> = held.iter().rev().map(|h| (h.slot, h.node)).collect();
    let slots = numbers.iter().map(|number| Slot::Number(*number));
    let open: Vec<Slot> = slots.filter(|slot| !plan.slots.contains_key(slot)).collect();
    if !is_job && !open.is_empty() {
        assigner.free = FreeRoom::of(view, service, &nodes, (ledger, &plan));
        plan.looked_below = is_counted(service);
    }
    // See `Assigner::only_choice`.
    let capacities = if is_job { vec![UNLIMITED; nodes.len()] } else { capacities };
    let first_choices = match open.last() {
        Some(Slot::Number(last)) => {
            rounds::first_choices(service, &eligible, &groups, &capacities, *last)
        }
        _ => Vec::new(),
    };
    for slot in open {
        let Slot::Number(number) = slot else { continue };
        let first = first_choices.get(number as usize - 1).copied().flatten();
        let node = if is_job { assigner.only_choice(first) } else { assigner.next(slot, first) };
        let placed = match node {
            Some(node) => match best.get(&slot) {
                Some(from) if *from == node => Placed::On(node, Choice::Held),
                Some(from) => Placed::On(node, Choice::Moved { from: *from }),
                None => Placed::On(node, Choice::Assigned),
            },
            None if eligible.is_empty() => Placed::Nowhere(Unplaced::NoNode),
            None => Placed::Nowhere(Unplaced::Full),
        };
        plan.slots.insert(slot, placed);
    }
    plan
}

/// The nodes that may take slots, in the order of their ids.
struct Fitting<'a> {
    nodes: Vec<&'a NodeView>,
    capacities: Vec<u32>,
    keepers: Keepers,
}

impl<'a> Fitting<'a> {
    /// Writes into the plan why the others may not.
    fn of(
        view: &'a View,
        service: &ServiceView,
        ledger: &Ledger,
        plan: &mut ServicePlan,
    ) -> Fitting<'a> {
        let mut fitting =
            Fitting { nodes: Vec::new(), capacities: Vec::new(), keepers: Keepers::default() };
        let last_resort = is_last_resort(view, service, ledger);
        for node in view.nodes.values() {
            let excluded = filter::exclusion(node, service);
            match excluded
                .filter(|reason| !(last_resort && matches!(reason, NodeReason::Unable(_))))
            {
                Some(reason) => {
                    fitting.keepers.note(node.id, &reason);
                    plan.excluded.insert(node.id, reason);
                }
                None => {
                    let (capacity, reason) = ledger.capacity(node, service);
                    if let (0, Some(reason)) = (capacity, reason) {
                        plan.excluded.insert(node.id, reason);
                    } else {
                        fitting.nodes.push(node);
                        fitting.capacities.push(capacity);
                    }
                }
            }
        }
        fitting
    }
}

/// Holders of wanted slots on nodes that may hold them, in the order in which they are kept:
/// running before coming, and among equals the longest-running.
pub(crate) fn best_first(
    service: &ServiceView,
    numbers: &[u32],
    may_hold: impl Fn(&Holder) -> bool,
) -> Vec<Holder> {
    let part = score::service_part(service.id);
    let mut held: Vec<(u64, Holder)> = service
        .holders
        .iter()
        .filter(|h| matches!(h.slot, Slot::Number(n) if numbers.binary_search(&n).is_ok()))
        .filter(|h| may_hold(h))
        .map(|h| (score::score(part, score::slot_part(h.slot), score::node_part(h.node)), *h))
        .collect();
    held.sort_by_key(|(score, h)| (h.standing, h.running_since, Reverse(*score), h.slot, h.node));
    held.into_iter().map(|(_, holder)| holder).collect()
}

/// Nodes that take no further tasks and keep what they have.
#[derive(Debug, Default)]
struct Keepers {
    /// They keep everything.
    paused: BTreeSet<NodeId>,
    /// They keep tasks that run or have ended; tasks that have not started yet go elsewhere.
    unable: BTreeSet<NodeId>,
}

impl Keepers {
    fn note(&mut self, node: NodeId, reason: &NodeReason) {
        match reason {
            NodeReason::Paused => self.paused.insert(node),
            NodeReason::Unable(_) => self.unable.insert(node),
            _ => false,
        };
    }

    fn keeps(&self, holder: &Holder) -> bool {
        self.paused.contains(&holder.node)
            || self.unable.contains(&holder.node) && holder.standing != Standing::Coming
    }
}

/// What the nodes can take besides the slots that stay on them.
fn left_of(
    nodes: &[NodeId],
    capacities: &[u32],
    kept: &BTreeMap<Slot, NodeId>,
) -> impl Iterator<Item = u32> {
    let mut left = capacities.to_vec();
    for at in kept.values().filter_map(|node| nodes.binary_search(node).ok()) {
        left[at] = left[at].saturating_sub(1);
    }
    left.into_iter()
}

/// The slots that stay: those whose best holder keeps its slot.
fn kept(held: &[Holder], keeps: impl Fn(&Holder) -> bool) -> BTreeMap<Slot, NodeId> {
    let mut best: BTreeMap<Slot, &Holder> = BTreeMap::new();
    for holder in held {
        best.entry(holder.slot).or_insert(holder);
    }
    let kept = best.into_iter().filter(|(_, holder)| keeps(holder));
    kept.map(|(slot, holder)| (slot, holder.node)).collect()
}

/// Is every possible node one that cannot start tasks? Then tasks are tried there: such a condition
/// may end at any moment, and no other node could run anything.
fn is_last_resort(view: &View, service: &ServiceView, ledger: &Ledger) -> bool {
    let takes = |node: &NodeView| {
        filter::exclusion(node, service).is_none() && ledger.capacity(node, service).0 > 0
    };
    view.nodes.values().any(|node| node.unable.is_some()) && !view.nodes.values().any(takes)
}

/// How many nodes hold one slot.
#[derive(Debug, Clone, Copy, Default)]
struct Copies {
    live: usize,
    ended: usize,
}

impl Copies {
    fn count(&mut self, standing: Standing) {
        match standing {
            Standing::Running | Standing::Coming => self.live += 1,
            Standing::Ended => self.ended += 1,
        }
    }

    /// Is a holder of this standing alone? A live copy also counts as alone beside ended ones.
    fn is_alone(self, standing: Standing) -> bool {
        match standing {
            Standing::Running | Standing::Coming => self.live == 1,
            Standing::Ended => self.live == 0 && self.ended == 1,
        }
    }
}

struct Assigner<'a> {
    service: Part,
    nodes: &'a [NodeId],
    parts: Vec<Part>,
    quotas: Quotas,
    /// Where tasks of lower priority are in the way.
    free: Option<FreeRoom>,
}

impl<'a> Assigner<'a> {
    fn new(service: &ServiceView, nodes: &'a [NodeId], quotas: Quotas) -> Assigner<'a> {
        Assigner {
            service: score::service_part(service.id),
            nodes,
            parts: nodes.iter().map(|id| score::node_part(*id)).collect(),
            quotas,
            free: None,
        }
    }

    /// Slots that only one node holds come first. So after a partition, a slot that ran on one side
    /// only goes on there. Of slots that ran on both sides, the copies that fit the shares stay.
    /// Ending a surplus copy later does not change the plan: all nodes work towards the same plan.
    ///
    /// An ended task keeps its place only if no other copy of the slot is left, because it cannot
    /// take over. So a live copy beside it counts as alone and comes before everything that has
    /// ended.
    fn keep(&mut self, held: &[Holder], plan: &mut ServicePlan) {
        let mut copies: BTreeMap<Slot, Copies> = BTreeMap::new();
        for holder in held {
            copies.entry(holder.slot).or_default().count(holder.standing);
        }
        let is_alone = |holder: &&Holder| copies[&holder.slot].is_alone(holder.standing);
        let (alone, shared): (Vec<&Holder>, Vec<&Holder>) = held.iter().partition(is_alone);
        for holder in alone.into_iter().chain(shared) {
            let Ok(node) = self.nodes.binary_search(&holder.node) else { continue };
            if !plan.slots.contains_key(&holder.slot) && self.quotas.has_room(node) {
                self.quotas.take(node);
                plan.slots.insert(holder.slot, Placed::On(holder.node, Choice::Held));
            }
        }
    }

    /// The first choice or none. Nodes learn at different times that a slot of a job is complete,
    /// and the one that knows it first has a slot to begin. If that slot went where the fewest run,
    /// two nodes would each take it, and its work would be done twice.
    fn only_choice(&mut self, first: Option<usize>) -> Option<NodeId> {
        let node = first.filter(|node| self.quotas.has_room(*node))?;
        self.quotas.take(node);
        Some(self.nodes[node])
    }

    /// The first choice if it has room, else the node with room that has the highest score. Both
    /// are fixed for a slot and do not depend on its holders: a node that knows only some holders
    /// still makes the same plan as one that knows all. As long as a node has room that nobody of
    /// lower priority has to make, the others are left alone.
    fn next(&mut self, slot: Slot, first: Option<usize>) -> Option<NodeId> {
        let node = match &self.free {
            Some(free) => self
                .best(slot, first, |node| free.has(node))
                .or_else(|| self.best(slot, first, |_| true)),
            None => self.best(slot, first, |_| true),
        }?;
        self.quotas.take(node);
        if let Some(free) = &mut self.free {
            free.take(node);
        }
        Some(self.nodes[node])
    }

    fn best(&self, slot: Slot, first: Option<usize>, may: impl Fn(usize) -> bool) -> Option<usize> {
        let part = score::slot_part(slot);
        let fits = |node: &usize| self.quotas.has_room(*node) && may(*node);
        first.filter(fits).or_else(|| {
            let score = |node: &usize| score::score(self.service, part, self.parts[*node]);
            (0..self.nodes.len()).filter(fits).max_by_key(score)
        })
    }
}

/// The standing, in the plan, of a task that its owner reports.
pub fn standing(status: &crdt_state::task::TaskStatus) -> Standing {
    use crdt_state::task::{Health, TaskState};
    match (status.current.state, status.current.health) {
        (TaskState::Running, Health::Unchecked | Health::Healthy) => Standing::Running,
        (state, _) if state.is_terminal() => Standing::Ended,
        _ => Standing::Coming,
    }
}
