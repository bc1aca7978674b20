//! Why a slot runs twice: what a partition leaves behind, or does not show.

use crdt_state::NodeId;
use crdt_state::service::Service;
use crdt_state::task::{Slot, TaskState, TaskStatus};

use super::NodeReport;

impl NodeReport<'_> {
    /// A second copy of a slot that runs, or may run, besides that of its owner, and when it ends.
    pub(super) fn second_copy(&self, service: &Service, slot: Slot, owner: NodeId) -> String {
        let is_copy = |(node, status): &(NodeId, &TaskStatus)| {
            let is_of_now = !service.scale.is_job() || status.template == service.template_version;
            *node != owner
                && is_of_now
                && status.desired_running
                && status.current.state == TaskState::Running
        };
        let Some((node, _)) = self.reported(service.id, slot).find(is_copy) else {
            return String::new();
        };
        let (copy, owner) = (self.shown(node), self.shown(owner));
        match (service.scale.is_job(), self.planner.is_here(node)) {
            (true, true) => format!(
                "; {copy} runs a copy, which ends when the other has completed: both sides of a partition may run a slot"
            ),
            (false, true) => format!(
                "; {copy} runs a copy, which ends when {owner} has answered that it keeps its own"
            ),
            (_, false) => format!(
                "; {copy} is not heard and may run a copy: while the fleet is split each side runs its own, and one of them ends after that"
            ),
        }
    }
}
