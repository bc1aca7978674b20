//! Assignment of a replicated service that does not run everywhere: a slot goes on where it is.
//!
//! With `stay` a slot belongs to the node whose own record has it. That record stays readable while
//! the node is unreachable, and after restarts of any agent: so the slot waits for that node,
//! however long. With `at-most-one` a slot belongs to the node that has the leases of a majority of
//! the anchors; without a majority in view nobody may begin it, and a node that is unreachable loses
//! it: who is next has to wait for the leases, not for the plan. Neither is moved to balance loads.

use std::collections::BTreeMap;

use crdt_state::NodeId;
use crdt_state::partition::PartitionPolicy;
use crdt_state::task::Slot;

use super::{Assigner, Fitting, best_first, rounds};
use crate::groups::Groups;
use crate::ledger::Ledger;
use crate::plan::{Placed, ServicePlan};
use crate::quota::Quotas;
use crate::reason::{Choice, Unplaced};
use crate::view::{Holder, Presence, ServiceView, Standing, View};

/// Plans the slots of these numbers, which ascend.
pub fn replicated(
    view: &View,
    service: &ServiceView,
    numbers: &[u32],
    ledger: &Ledger,
) -> ServicePlan {
    let mut plan = ServicePlan::default();
    let slots: Vec<Slot> = numbers.iter().map(|number| Slot::Number(*number)).collect();
    if !has_majority(view, service) {
        let nowhere = Placed::Nowhere(Unplaced::NoMajority);
        plan.slots.extend(slots.iter().map(|slot| (*slot, nowhere)));
        return plan;
    }
    let fitting = Fitting::of(view, service, ledger, &mut plan);
    let eligible: Vec<NodeId> = fitting.nodes.iter().map(|node| node.id).collect();
    let groups = Groups::new(&service.preferences, &fitting.nodes);
    let count = u32::try_from(slots.len()).expect("slots have numbers of 32 bits");
    let quotas = Quotas::new(count, &groups, &fitting.capacities, &vec![0; groups.len()]);
    let mut assigner = Assigner::new(service, &eligible, quotas);
    let mut left = fitting.capacities.clone();
    let mut keeps = |holder: &Holder| match eligible.binary_search(&holder.node) {
        Ok(at) if left[at] > 0 => {
            left[at] -= 1;
            if assigner.quotas.has_room(at) {
                assigner.quotas.take(at);
            }
            true
        }
        Ok(_) => false,
        Err(_) => fitting.keepers.keeps(holder),
    };
    let is_gone =
        |node: &NodeId| view.nodes.get(node).is_some_and(|node| node.presence == Presence::Gone);
    let held = holders_by_slot(service, numbers);
    let mut open: Vec<(Slot, Option<NodeId>)> = Vec::new();
    for slot in &slots {
        let holders = held.get(slot).map_or(&[][..], Vec::as_slice);
        let gone = holders.iter().map(|holder| holder.node).find(is_gone);
        let waits_for = gone.filter(|_| service.partition.policy == PartitionPolicy::Stay);
        match holders.iter().find(|holder| keeps(holder)) {
            Some(holder) => {
                plan.slots.insert(*slot, Placed::On(holder.node, Choice::Held));
            }
            None if let Some(node) = waits_for => {
                plan.slots.insert(*slot, Placed::Nowhere(Unplaced::Holder(node)));
            }
            None => open.push((*slot, holders.first().map(|holder| holder.node))),
        }
    }
    let Some((Slot::Number(last), _)) = open.last() else { return plan };
    let first_choices =
        rounds::first_choices(service, &eligible, &groups, &fitting.capacities, *last);
    for (slot, from) in open {
        let Slot::Number(number) = slot else { continue };
        let first = first_choices.get(number as usize - 1).copied().flatten();
        let placed = match (assigner.next(slot, first), from) {
            (Some(node), Some(from)) if from != node => Placed::On(node, Choice::Moved { from }),
            (Some(node), _) => Placed::On(node, Choice::Assigned),
            (None, _) if eligible.is_empty() => Placed::Nowhere(Unplaced::NoNode),
            (None, _) => Placed::Nowhere(Unplaced::Full),
        };
        plan.slots.insert(slot, placed);
    }
    plan
}

/// Are so many of the anchors in view that they can grant leases? Every other policy needs none.
fn has_majority(view: &View, service: &ServiceView) -> bool {
    if !service.partition.is_at_most_one() {
        return true;
    }
    let is_here =
        |node: &&NodeId| view.nodes.get(node).is_some_and(|node| node.presence == Presence::Here);
    service.partition.anchors.iter().filter(is_here).count() >= service.partition.majority()
}

/// The nodes that each slot belongs to, the best first.
fn holders_by_slot(service: &ServiceView, numbers: &[u32]) -> BTreeMap<Slot, Vec<Holder>> {
    let mut held: BTreeMap<Slot, Vec<Holder>> = BTreeMap::new();
    if service.partition.is_at_most_one() {
        let (standing, running_since) = (Standing::Running, u64::MAX);
        for (slot, node) in &service.leases {
            let holder = Holder { slot: *slot, node: *node, standing, running_since };
            held.insert(*slot, vec![holder]);
        }
    }
    // Of a slot that nobody has leases of, who runs it is to get them: a service that becomes
    // `at-most-one` goes on where it runs.
    let is_leased: Vec<Slot> = held.keys().copied().collect();
    for holder in best_first(service, numbers, |_| true) {
        if !is_leased.contains(&holder.slot) {
            held.entry(holder.slot).or_default().push(holder);
        }
    }
    held
}
