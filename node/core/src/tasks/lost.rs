//! The end of a task that lost a device which it was given.
//!
//! The task did not fail, so its restart policy and its rollout take no part: the slot is placed
//! again, here as soon as the device is back, or where there is another one. What a task of a job has
//! done is not known, so it has failed, and its policy says whether it begins again.

use crdt_state::service::Service;
use crdt_state::{ServiceId, TaskId};

use super::local::{After, Phase};
use super::{StepTime, Tasks};

impl Tasks {
    /// Stops a task that runs or starts here.
    pub fn stop_lost(&mut self, time: StepTime, task: TaskId, why: String, service: &Service) {
        let Some(key) = self.slots.slot_of(task) else { return };
        let after = match service.scale.is_job() {
            true => After::Failed(why.into()),
            false => After::Lost(why),
        };
        if let Some(Phase::Running { .. } | Phase::Starting { .. }) = self.slots.phase(key, task) {
            self.stop(time, key, task, after);
        }
    }

    /// The service of a live task.
    pub fn service_of(&self, task: TaskId) -> Option<ServiceId> {
        self.slots.slot_of(task).map(|(service, _)| service)
    }
}
