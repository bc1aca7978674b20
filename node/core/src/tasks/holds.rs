//! What this node has in a slot, for the code that decides about the slot.

use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Run, Slot};
use crdt_state::{ServiceId, TaskId};

use super::Tasks;
use super::local::{Live, Phase};

impl Tasks {
    /// Does the node run, start or wait for anything in this slot?
    pub fn is_busy(&self, service: ServiceId, slot: Slot) -> bool {
        self.slots.get((service, slot)).is_some_and(|local| !local.live.is_empty())
    }

    /// Does the node run anything in this slot that it has not been told to end?
    pub fn runs(&self, service: ServiceId, slot: Slot) -> bool {
        let live = self.slots.get((service, slot)).into_iter().flat_map(|l| l.live.values());
        live.into_iter().any(|live| matches!(live.phase, Phase::Running { .. }))
    }

    /// Does the node run a healthy task in this slot that it has not been told to end?
    pub fn keeps(&self, service: ServiceId, slot: Slot) -> bool {
        self.slots.get((service, slot)).is_some_and(|local| {
            let running = |live: &Live| matches!(live.phase, Phase::Running { .. });
            local.live.iter().any(|(task, live)| running(live) && local.is_healthy(*task))
        })
    }

    /// Does a live task in this slot have this version of the template?
    pub fn has_version(&self, service: ServiceId, slot: Slot, version: TemplateVersion) -> bool {
        self.slots.get((service, slot)).is_some_and(|local| {
            let of = |task: &TaskId| local.status(*task).map(|status| status.template);
            local.live.keys().any(|task| of(task) == Some(version))
        })
    }

    /// Does a live task in this slot have another version of the template?
    pub fn has_outdated(&self, service: ServiceId, slot: Slot, version: TemplateVersion) -> bool {
        self.slots.get((service, slot)).is_some_and(|local| {
            let of = |task: &TaskId| local.status(*task).map(|status| status.template);
            local.live.keys().any(|task| of(task) != Some(version))
        })
    }

    /// How long the live tasks of this slot may take to end.
    pub fn stop_grace_ms(&self, service: ServiceId, slot: Slot) -> u64 {
        let local = self.slots.get((service, slot)).into_iter();
        local
            .flat_map(|local| local.live.values())
            .map(|live| live.stop_grace_ms)
            .max()
            .unwrap_or(0)
    }

    /// The runs of this slot that were ordered to start, and have not ended.
    pub fn begun_runs(&self, service: ServiceId, slot: Slot) -> Vec<Run> {
        let Some(local) = self.slots.get((service, slot)) else { return Vec::new() };
        let begun =
            local.live.iter().filter(|(_, live)| !matches!(live.phase, Phase::Waiting { .. }));
        let run = |task: TaskId| {
            local.status(task).map(|status| Run { task, attempt: status.current.number })
        };
        begun.filter_map(|(task, _)| run(*task)).collect()
    }

    /// Is there nothing to write and nothing to order?
    pub fn is_settled(&self) -> bool {
        self.touched.is_empty() && self.orders.is_empty()
    }

    /// Does the node run, start or wait for anything at all?
    pub fn is_idle(&self) -> bool {
        !self.slots.has_live()
    }
}
