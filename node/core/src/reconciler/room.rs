//! Room for tasks of higher priority: whoever is in their way ends first.
//!
//! ```text
//! web (priority 10) is planned here, and db (0) has no room beside it any more
//!   db.1 runs ── told to stop ──▶ ends ──▶ web.1 starts
//!   db.1 starts elsewhere at once if it fits there, and waits if not
//! ```
//! A task that moves for other reasons runs until its successor does. This one must not: the
//! successor may take minutes to fetch its image, and the service of higher priority would wait.

use std::collections::BTreeSet;

use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use gossip::Now;

use super::{Reconciler, dependencies};
use crate::expand::task_name;
use crate::ledger::is_counted;
use crate::plan::Placed;
use crate::planner::Planner;
use crate::reason::Unplaced;

/// Does a service of higher priority take the room of a slot that this node does not own?
pub(super) fn is_taken(planner: &Planner, id: ServiceId, slot: Slot, me: NodeId) -> bool {
    let placed = planner.plan().services.get(&id).and_then(|plan| plan.slots.get(&slot));
    match placed {
        Some(Placed::Nowhere(Unplaced::Preempted(_))) => true,
        Some(Placed::On(owner, _)) => *owner != me && planner.taker_here(id).is_some(),
        // It runs on although it may not run here, or is one too many.
        Some(Placed::Nowhere(_)) => planner.taker_here(id).is_some(),
        None => false,
    }
}

impl Reconciler {
    /// Holds the tasks that must not start yet, and lets go those that may.
    pub(super) fn hold_back(&mut self, now: Now, planner: &Planner) {
        let mut held = BTreeSet::new();
        for service in self.tasks.wanting(now) {
            let room = self.waits_for_room(planner, service);
            if let Some(reason) = room.or_else(|| dependencies::waits_for(planner, service)) {
                self.tasks.hold(service, reason);
                held.insert(service);
            }
        }
        self.tasks.release_all_but(&held);
    }

    fn waits_for_room(&self, planner: &Planner, id: ServiceId) -> Option<String> {
        let services = &planner.view().services;
        let service = services.get(&id).filter(|service| is_counted(service))?;
        let is_lower = |(other, _): &(ServiceId, Slot)| {
            services.get(other).is_some_and(|other| other.priority < service.priority)
        };
        let (other, slot) = self.tasks.making_room().find(is_lower)?;
        let name = planner.catalog().services.get(&other).map_or("", |other| &other.name);
        Some(format!("waits until {} has ended here and made room", task_name(name, slot)))
    }
}
