//! Which version of a service's template a slot is to run, and when it may take the current one.

use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Slot, TaskState};
use crdt_state::{NodeId, ServiceId};
use gossip::Now;

use super::Reconciler;
use crate::planner::Planner;

impl Reconciler {
    /// May the slot take the current template now? If not, when to ask again. The slots before it
    /// are checked only for a slot that waits for its turn.
    pub(super) fn turn(
        &self,
        now: Now,
        planner: &Planner,
        id: ServiceId,
        slot: Slot,
    ) -> Result<(), Now> {
        let service = planner.catalog().services.get(&id);
        let (Some(service), Some(plan)) = (service, planner.plan().services.get(&id)) else {
            return Ok(());
        };
        if service.scale.is_job() {
            return Ok(());
        }
        let current = service.template_version;
        let waits = self.tasks.has_outdated(id, slot, current)
            || (service.last_good.is_some() && !self.tasks.has_version(id, slot, current));
        if waits { planner.progress().may_update(now, service, plan, slot) } else { Ok(()) }
    }

    /// The version that a slot is to run. Before its turn that is the last good one, while the slot
    /// runs it, or while other slots do if the slot is empty. So replacements, moves and new slots
    /// do not spread an update that fails in its first slots.
    pub(super) fn target(
        &self,
        planner: &Planner,
        service: &Service,
        slot: Slot,
        turn: Result<(), Now>,
    ) -> TemplateVersion {
        let current = service.template_version;
        let Some((good, _)) = service.last_good.as_ref() else { return current };
        if service.is_returned(slot) {
            return *good;
        }
        if service.scale.is_job()
            || turn.is_ok()
            || self.tasks.has_version(service.id, slot, current)
        {
            return current;
        }
        let records = planner.catalog().tasks.get(&service.id).into_iter().flatten();
        let wanted = records.flat_map(|(place, record)| {
            let tasks = record.tasks.iter().filter(|task| task.desired_running);
            tasks.map(move |task| (*place, task))
        });
        let (mut has_any, mut has_good, mut others_have_good) = (false, false, false);
        for ((of, node), task) in wanted {
            let (of, node): (Slot, NodeId) = (of, node);
            let is_good = task.template == *good;
            if of != slot {
                others_have_good |= is_good && planner.is_here(node);
                continue;
            }
            if task.template == current && task.current.state == TaskState::Running {
                return current;
            }
            has_any = true;
            has_good |= is_good;
        }
        if has_good || (!has_any && others_have_good) { *good } else { current }
    }
}
