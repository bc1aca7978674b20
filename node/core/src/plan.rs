//! The plan: the owner of every slot of every service, with reasons. A function of the view.
//!
//! A node that has a slot keeps it while its share allows, the longest-running first. Every other
//! slot is assigned by rendezvous hashing within the shares. That assignment does not depend on
//! which holders are known: while reports still spread, all nodes assign alike. So a node that
//! fails moves its own slots only, a node that returns or joins takes at most its share, and
//! scaling moves nothing. The plan does not depend on time, order of arrival, or the node that
//! computes it.

use std::collections::BTreeMap;

use crdt_state::ServiceId;
use crdt_state::spec::Scale;
use crdt_state::task::Slot;

use crate::assign;
use crate::filter;
use crate::ledger::Ledger;
use crate::neighbours;
use crate::priority;
use crate::reason::{Choice, NodeReason, Unplaced};
use crate::stay;
use crate::view::{ServiceView, View};

mod job;
mod placed;
mod planning;

pub use placed::{Placed, Plan, ServicePlan};
pub use planning::Planning;

/// Plans every service, in canonical order.
pub fn plan(view: &View) -> Plan {
    let mut ledger = Ledger::new(view);
    let mut services: BTreeMap<ServiceId, ServicePlan> = BTreeMap::new();
    for service in neighbours::canonical_order(view) {
        let met = neighbours::meet(view, service, |id| services.get(&id));
        let plan = plan_service(view, &met, &mut ledger);
        services.insert(service.id, plan);
    }
    Plan { services }
}

/// How many tasks of a service should run: the wanted slots of a replicated service, the planned
/// slots of a global one. Of a job, in Docker's words: as many as may run at a time, or the slots of
/// a global job that have not completed; none before the first run of a schedule.
pub fn desired(scale: Scale, planned: Option<&ServicePlan>) -> usize {
    match scale {
        Scale::Replicated { replicas } => usize::try_from(replicas).unwrap_or(usize::MAX),
        Scale::Global => planned.map_or(0, |plan| plan.slots.len()),
        Scale::JobReplicated { .. } if planned.is_some_and(job::is_not_due) => 0,
        Scale::JobReplicated { max_concurrent, .. } => {
            usize::try_from(max_concurrent).unwrap_or(usize::MAX)
        }
        Scale::JobGlobal => planned.map_or(0, job::open),
    }
}

/// Plans one service, whose affinities were met, and enters what it reserves in the ledger.
pub fn plan_service(view: &View, service: &ServiceView, ledger: &mut Ledger) -> ServicePlan {
    let mut plan = match service.scale {
        Scale::Replicated { replicas } => {
            let slots: Vec<u32> = (1..=replicas).collect();
            let mut plan = assign::replicated(view, service, &slots, ledger);
            if !service.partition.is_at_most_one() {
                stay::let_stay(view, service, ledger, &mut plan);
            }
            plan
        }
        Scale::Global => global(view, service, ledger),
        Scale::JobReplicated { completions, max_concurrent } => {
            job::replicated(view, service, (completions, max_concurrent), ledger)
        }
        Scale::JobGlobal => job::global(service, global(view, service, ledger)),
    };
    priority::name_takers(view, service, ledger, &mut plan);
    let lacks_room = |placed: &Placed| {
        matches!(placed, Placed::Nowhere(Unplaced::Full | Unplaced::Preempted(_)))
    };
    let is_full = service.scale != Scale::Global && plan.slots.values().any(lacks_room);
    for (node, count) in plan.counts() {
        if service.max_per_node > 0 && count >= service.max_per_node {
            plan.excluded.entry(node).or_insert(NodeReason::MaxPerNode(service.max_per_node));
        }
        ledger.enter(ledger.place(node), service, count);
        // Its own tasks took the last of something: a slot without a place asks for this reason.
        if is_full && let (0, Some(reason)) = ledger.room(&view.nodes[&node], service) {
            plan.excluded.entry(node).or_insert(reason);
        }
    }
    plan
}

fn global(view: &View, service: &ServiceView, ledger: &Ledger) -> ServicePlan {
    let mut plan = ServicePlan::default();
    for node in view.nodes.values() {
        let slot = Slot::Node(node.id);
        let holds = service.holders.iter().any(|h| h.node == node.id && h.slot == slot);
        let verdict = match filter::exclusion(node, service) {
            Some(NodeReason::Paused) if holds => None,
            Some(reason) if !matches!(reason, NodeReason::Unable(_)) => Some(reason),
            // A node that cannot start it now tries again and again: no other node has the slot.
            _ => match ledger.capacity(node, service) {
                (0, reason) => reason,
                _ => None,
            },
        };
        match verdict {
            None => {
                plan.slots.insert(slot, Placed::On(node.id, Choice::OnEveryNode));
            }
            Some(reason) => {
                // Its data is on this node and cannot be mounted: the slot waits, as everywhere.
                if matches!(reason, NodeReason::VolumeMissing(_) | NodeReason::VolumeGivenUp(_)) {
                    plan.slots.insert(slot, Placed::Nowhere(Unplaced::Volume(node.id)));
                }
                // A full node is expected to run a task and cannot: the slot counts as wanted. A
                // node that the operator excluded is not expected to run one.
                if filter::is_lack(&reason) {
                    plan.slots.insert(slot, Placed::Nowhere(Unplaced::Full));
                }
                plan.excluded.insert(node.id, reason);
            }
        }
    }
    plan
}
