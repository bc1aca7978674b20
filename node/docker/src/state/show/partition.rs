//! What becomes of tasks in a partition, in Docker's form. The default is left out.

use crdt_state::partition::Partition;
use node_core::edit::partition::policy_word;

use crate::Nanos;
use crate::task_spec::{self, TaskSpec};

/// A task with the policy of its service.
pub(super) fn shown(mut task: TaskSpec, partition: &Partition) -> TaskSpec {
    if *partition != Partition::default() {
        let fence_after = partition.is_at_most_one().then_some(partition.fence_after_ms);
        task.placement.get_or_insert_default().partition = Some(task_spec::Partition {
            policy: policy_word(partition.policy).to_owned(),
            fence_after: fence_after.map(Nanos::from_ms),
            anchors: partition.anchors.iter().map(ToString::to_string).collect(),
        });
    }
    task
}
