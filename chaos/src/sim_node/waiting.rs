//! The tasks of a node that are to run and do not, for the checkers.

use crdt_state::task::TaskState;

use super::SimNode;
use crate::check::reasons::Waiting;

impl SimNode {
    /// The tasks of this node whose last attempt ended, and that are to start again.
    pub fn waiting(&self) -> Vec<Waiting> {
        let tasks = self.node.report(self.now).tasks();
        let own = tasks.into_iter().filter(|task| task.node == Some(self.id()));
        let wanted = own.filter(|task| task.desired_running);
        let waiting = wanted.filter_map(|task| {
            let current = &task.status.as_ref()?.current;
            let attempt = match current.state {
                TaskState::Failed | TaskState::Rejected => current.number,
                TaskState::Assigned => current.number.checked_sub(1)?,
                _ => return None,
            };
            let name = format!("{} {:?}", task.service_name, task.slot);
            let reason = task.reason.clone().unwrap_or_default();
            Some(Waiting { task: task.id, name, attempt, reason })
        });
        waiting.collect()
    }
}
