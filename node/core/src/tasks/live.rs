//! The tasks that have not ended, for what belongs to a task as long as it may live.

use std::collections::BTreeSet;

use crdt_state::task::{Run, TaskState};
use crdt_state::{ServiceId, TaskId};

use super::Tasks;
use crate::addressing::LiveTask;

impl Tasks {
    /// Has this task not ended?
    pub fn is_live(&self, task: TaskId) -> bool {
        self.slots.slot_of(task).is_some()
    }

    /// Did the run begin, whatever it was told since?
    pub fn has_begun(&self, run: Run) -> bool {
        let local = self.slots.slot_of(run.task).and_then(|key| self.slots.get(key));
        let current = local.and_then(|local| local.status(run.task)).map(|status| &status.current);
        current.is_some_and(|current| {
            current.number == run.attempt && current.state == TaskState::Running
        })
    }

    /// The tasks that have not ended.
    pub fn live(&self) -> impl Iterator<Item = LiveTask> {
        self.slots.iter().flat_map(|(_, local)| local.live_tasks())
    }

    /// The tasks of one service that have not ended.
    pub fn live_of(&self, service: ServiceId) -> Vec<LiveTask> {
        self.slots.of(service).flat_map(|(_, local)| local.live_tasks()).collect()
    }

    /// The services of which the live tasks changed since the last call.
    pub fn take_live_changed(&mut self) -> BTreeSet<ServiceId> {
        self.slots.take_live_changed()
    }
}
