//! Slots that run healthy and have no place in the plan any more: they stay where they are.
//!
//! A slot loses its place by a constraint that fits no node, a drain of the last node, or a limit
//! per node that came later. If its task were stopped, no node could take over. So the best copy of
//! such a slot goes on unchanged until a node may take the slot. A node that lacks what the task
//! needs, because a service of higher priority took it, keeps nothing.

use std::collections::BTreeMap;

use crdt_state::NodeId;
use crdt_state::spec::Scale;

use crate::assign;
use crate::ledger::Ledger;
use crate::plan::{Placed, ServicePlan};
use crate::reason::Choice;
use crate::view::{Holder, Presence, ServiceView, Standing, View};

/// Gives the slots without a place to the nodes that run them.
pub fn let_stay(view: &View, service: &ServiceView, ledger: &Ledger, plan: &mut ServicePlan) {
    let Scale::Replicated { replicas } = service.scale else { return };
    if !plan.slots.values().any(|placed| matches!(placed, Placed::Nowhere(_))) {
        return;
    }
    let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
    for placed in plan.slots.values() {
        if let Placed::On(node, _) = placed {
            *counts.entry(*node).or_default() += 1;
        }
    }
    let is_here = |holder: &Holder| {
        view.nodes.get(&holder.node).is_some_and(|node| node.presence == Presence::Here)
    };
    let slots: Vec<u32> = (1..=replicas).collect();
    for holder in assign::best_first(service, &slots, is_here) {
        let placed = plan.slots.get(&holder.slot);
        let is_open = matches!(placed, Some(Placed::Nowhere(_)));
        let count = counts.entry(holder.node).or_default();
        let room = view.nodes.get(&holder.node).map_or(0, |node| ledger.room(node, service).0);
        if is_open && holder.standing == Standing::Running && *count < room {
            *count += 1;
            plan.slots.insert(holder.slot, Placed::On(holder.node, Choice::Stays));
        }
    }
}
