//! Attempts that ended by themselves: a rollout counts those of its template.

use crdt_state::spec::TemplateVersion;
use crdt_state::task::Slot;
use crdt_state::{ServiceId, TaskId};

use super::Tasks;

/// An attempt that ended by itself, or could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Of which service.
    pub service: ServiceId,
    /// In which slot.
    pub slot: Slot,
    /// Of which task.
    pub task: TaskId,
    /// The version of the template that it ran.
    pub version: TemplateVersion,
    /// Why, for people; empty: it ended with code 0.
    pub message: String,
}

impl Tasks {
    /// The attempts of one service's tasks that ended by themselves since the last call.
    pub fn take_ended(&mut self, service: ServiceId) -> Vec<Ended> {
        let of = |ended: &mut Ended| ended.service == service;
        self.ended.extract_if(.., of).collect()
    }

    /// The last end of a task was no fault of its template.
    pub fn forgive(&mut self, task: TaskId) {
        self.ended.retain(|ended| ended.task != task);
    }
}
