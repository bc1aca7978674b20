//! Priority: whose room a service takes, and who is told.
//!
//! Services are placed in the order of their priority, so a service of higher priority finds the
//! room of lower ones free. It still goes first where nobody has to make room for it, as far as its
//! own spread allows. What then has no room any more goes elsewhere or waits, and says for whom. A
//! service of equal priority takes nobody's room: that is not asked here.

use crdt_state::{NodeId, ServiceId};

use crate::filter;
use crate::ledger::{Entry, Ledger, Taken, is_counted};
use crate::plan::{Placed, ServicePlan};
use crate::reason::Unplaced;
use crate::view::{NodeView, ServiceView, Standing, View};

/// How many tasks each node can take without that anybody of lower priority makes room.
#[derive(Debug)]
pub struct FreeRoom(Vec<u32>);

impl FreeRoom {
    /// Of these nodes; `plan` has the slots that the service keeps. `None`: nobody of lower priority
    /// has anything.
    pub fn of(
        view: &View,
        service: &ServiceView,
        nodes: &[&NodeView],
        (ledger, plan): (&Ledger, &ServicePlan),
    ) -> Option<FreeRoom> {
        if !is_counted(service) {
            return None;
        }
        let lower = |other: &&ServiceView| other.priority < service.priority && is_counted(other);
        let lower: Vec<&ServiceView> = view.services.values().filter(lower).collect();
        if lower.is_empty() {
            return None;
        }
        let mut taken: Vec<Taken> =
            nodes.iter().map(|node| ledger.taken(node.id).clone()).collect();
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
        for other in lower {
            for holder in other.holders.iter().filter(|h| h.standing != Standing::Ended) {
                let Ok(at) = ids.binary_search(&holder.node) else { continue };
                // Whom this service names is placed before it, and in the ledger already.
                let entries = ledger.entries(holder.node);
                if entries.iter().all(|entry| entry.service != other.id) {
                    taken[at].enter(other, 1);
                }
            }
        }
        let own = plan.counts();
        let free = nodes.iter().zip(taken).map(|(node, taken)| {
            let own = own.get(&node.id).copied().unwrap_or(0);
            taken.room(node, service).0.saturating_sub(own)
        });
        Some(FreeRoom(free.collect()))
    }

    /// Has the node at this place such room?
    pub fn has(&self, at: usize) -> bool {
        self.0[at] > 0
    }

    /// The node at this place takes a task.
    pub fn take(&mut self, at: usize) {
        self.0[at] = self.0[at].saturating_sub(1);
    }
}

/// Says of the slots without a place which of them would have one if services of higher priority
/// did not take it.
pub fn name_takers(view: &View, service: &ServiceView, ledger: &Ledger, plan: &mut ServicePlan) {
    let is_open = |placed: &Placed| {
        matches!(placed, Placed::Nowhere(Unplaced::Full | Unplaced::NoNode | Unplaced::Volume(_)))
    };
    if !is_counted(service) || !plan.slots.values().any(is_open) {
        return;
    }
    let counts = plan.counts();
    let mut lost: Vec<(NodeId, ServiceId, u32)> = Vec::new();
    for node in view.nodes.values().filter(|node| filter::exclusion(node, service).is_none()) {
        let own = counts.get(&node.id).copied().unwrap_or(0);
        if let Some((room, taker)) = room_without_higher(view, ledger, node, service)
            && room > own
        {
            lost.push((node.id, taker, room - own));
        }
    }
    for (slot, placed) in plan.slots.iter_mut().filter(|(_, placed)| is_open(placed)) {
        let bound_to = match (&placed, slot) {
            (Placed::Nowhere(Unplaced::Volume(node)), _) => Some(*node),
            (_, crdt_state::task::Slot::Node(node)) => Some(*node),
            _ => None,
        };
        let fits = |(node, _, left): &&mut (NodeId, ServiceId, u32)| {
            *left > 0 && bound_to.is_none_or(|bound| bound == *node)
        };
        if let Some((_, taker, left)) = lost.iter_mut().find(fits) {
            *left -= 1;
            *placed = Placed::Nowhere(Unplaced::Preempted(*taker));
        }
    }
}

/// Whose tasks of higher priority take the room that a task of this service would have on a node,
/// on which everything in the ledger has its place.
pub fn taker(
    view: &View,
    ledger: &Ledger,
    node: &NodeView,
    service: &ServiceView,
) -> Option<ServiceId> {
    let has_room = !is_counted(service) || ledger.room(node, service).0 > 0;
    let lost = if has_room { None } else { room_without_higher(view, ledger, node, service) };
    lost.filter(|(room, _)| *room > 0).map(|(_, taker)| taker)
}

/// How many tasks the node could have if there were no services of higher priority, and the last one
/// of these; `None`: there are none.
fn room_without_higher(
    view: &View,
    ledger: &Ledger,
    node: &NodeView,
    service: &ServiceView,
) -> Option<(u32, ServiceId)> {
    let entries = ledger.entries(node.id);
    let is_higher = |entry: &&Entry| entry.priority > service.priority;
    let taker = entries.iter().rfind(is_higher)?;
    let mut taken = Taken::default();
    for entry in entries.iter().filter(|entry| !is_higher(entry)) {
        taken.enter(&view.services[&entry.service], entry.count);
    }
    let room = taken.room(node, service).0;
    let most = if service.max_per_node > 0 { service.max_per_node } else { room };
    Some((room.min(most), taker.service))
}
