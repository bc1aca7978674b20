//! The live tasks of a slot that should stop now.
//!
//! A healthy task stops here only when another node keeps the slot, or when nobody should run it.

use crdt_state::TaskId;
use crdt_state::service::Service;
use crdt_state::spec::UpdateOrder;

use super::local::{Live, Phase};
use super::slots::SlotKey;
use super::{SlotTarget, Tasks, anchored, job, waits};
use crate::leases::Lease;

impl Tasks {
    /// The live tasks of a slot that should stop now, with the reason.
    pub(super) fn unwanted(
        &self,
        key: SlotKey,
        target: Option<TaskId>,
        slot_target: SlotTarget<'_>,
    ) -> Vec<(TaskId, &'static str)> {
        let mine = slot_target.is_for(self.me);
        let Some(local) = self.slots.get(key) else { return Vec::new() };
        if slot_target.service.is_some_and(|service| service.scale.is_job()) {
            return job::unwanted(local, target, slot_target, self.me);
        }
        if slot_target.lease != Lease::NotNeeded {
            return anchored::unwanted(local, target, slot_target, self.me);
        }
        let target_runs = target.is_some_and(|target| local.is_healthy(target));
        let order = slot_target.service.map(Service::order).unwrap_or_default();
        let stays_beside = |task: TaskId| {
            let version = local.status(task).map(|status| status.template);
            version.is_some() && version == slot_target.beside
        };
        let reason_for = |task: TaskId, live: &Live| -> Option<&'static str> {
            let runs = matches!(live.phase, Phase::Running { .. });
            match () {
                () if matches!(live.phase, Phase::Stopping { .. }) => None,
                () if !slot_target.wanted => {
                    (!runs || !slot_target.waits_for_higher).then_some("no longer wanted")
                }
                () if slot_target.makes_room => Some(waits::MAKES_ROOM),
                () if mine && Some(task) == target => None,
                () if (mine || runs) && stays_beside(task) => None,
                () if mine && target_runs => Some("replaced by a new version"),
                () if mine && !runs => Some("superseded by a new version"),
                () if mine && order != UpdateOrder::StopFirst => None,
                () if mine => slot_target.may_update.then_some("replaced by a new version"),
                () if slot_target.owner.is_none() => (!runs).then_some("may not run on this node"),
                () if runs => (slot_target.owner_runs && slot_target.is_kept)
                    .then_some("runs on another node"),
                () if slot_target.owner_runs => Some("runs on another node"),
                () if !runs => Some("placed on another node"),
                () => None,
            }
        };
        local.live.iter().filter_map(|(t, live)| Some((*t, reason_for(*t, live)?))).collect()
    }
}
