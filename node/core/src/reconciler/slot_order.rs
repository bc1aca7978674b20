//! The order of the slots of one service: they start from the lowest number, and end from the highest.
//!
//! It holds first starts and ends of what is no longer wanted. A task that ran here is restarted
//! without a look at the others, and one that moves starts beside its predecessor: an order among
//! slots must never keep down what was up.

use std::collections::BTreeMap;

use crdt_state::relation::SlotOrder;
use crdt_state::service::Service;
use crdt_state::task::{Slot, TaskRecord, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId};

use crate::planner::Planner;
use crate::tasks::is_healthy;

/// The slot of a lower number for which this one waits before it starts: the first that no node in
/// view runs healthy. One of an earlier template is not waited for: an update begins with the last
/// slot, and may be what mends the others.
pub(crate) fn lower(planner: &Planner, id: ServiceId, slot: Slot) -> Option<Slot> {
    let version = ordered(planner, id)?.template_version;
    let plan = planner.plan().services.get(&id)?;
    if runs(planner, id, slot, |task| task.current.state == TaskState::Running) {
        return None;
    }
    let lower = plan.slots.range(..slot).map(|(slot, _)| *slot);
    let is_up = |task: &TaskStatus| is_healthy(task) || task.template != version;
    lower.into_iter().find(|lower| !runs(planner, id, *lower, is_up))
}

/// Do nodes in view still run slots of higher numbers that nobody should run?
pub(super) fn has_higher(planner: &Planner, id: ServiceId, slot: Slot) -> bool {
    if ordered(planner, id).is_none() {
        return false;
    }
    let has_begun = |task: &TaskStatus| {
        !task.current.state.is_terminal() && task.current.state >= TaskState::Preparing
    };
    let higher = slots(planner, id).filter(|((other, _), _)| *other > slot);
    higher.into_iter().any(|((other, node), record)| {
        let is_unwanted = !planner.plan().wants(id, *other);
        is_unwanted && planner.is_here(*node) && record.tasks.iter().any(has_begun)
    })
}

fn ordered(planner: &Planner, id: ServiceId) -> Option<&Service> {
    let service = planner.catalog().services.get(&id)?;
    (service.relations.slot_order == SlotOrder::Ascending).then_some(service)
}

fn slots(planner: &Planner, id: ServiceId) -> impl Iterator<Item = (&(Slot, NodeId), &TaskRecord)> {
    planner.catalog().tasks.get(&id).into_iter().flat_map(BTreeMap::iter)
}

/// Does a node in view run a task of the slot that is to go on, and that is like this?
fn runs(planner: &Planner, id: ServiceId, slot: Slot, is_so: impl Fn(&TaskStatus) -> bool) -> bool {
    let mut of = slots(planner, id).filter(|((other, _), _)| *other == slot);
    of.any(|((_, node), record)| {
        planner.is_here(*node)
            && record.tasks.iter().any(|task| task.desired_running && is_so(task))
    })
}
