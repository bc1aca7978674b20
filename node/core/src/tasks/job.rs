//! The tasks of a job that should stop: fewer than those of a service.
//!
//! A copy that runs ends only when the slot has completed elsewhere, when a new iteration has begun,
//! or when its node is drained. That another node owns the slot is no reason: neither copy is worth
//! more than the other until one of them has ended well.

use crdt_state::{NodeId, TaskId};

use super::SlotTarget;
use super::local::{Local, Phase};

/// The live tasks of a slot that should stop now, with the reason.
pub(super) fn unwanted(
    local: &Local,
    target: Option<TaskId>,
    slot_target: SlotTarget<'_>,
    me: NodeId,
) -> Vec<(TaskId, &'static str)> {
    let reason_for = |task: TaskId, phase: &Phase| match phase {
        Phase::Stopping { .. } => None,
        _ if !slot_target.wanted => Some("no longer wanted"),
        _ if Some(task) != target => Some("superseded by a new iteration"),
        _ if slot_target.ends.is_some() => slot_target.ends,
        Phase::Running { .. } => None,
        _ if slot_target.is_for(me) => None,
        _ if slot_target.owner.is_some() => Some("placed on another node"),
        _ => Some("may not run on this node"),
    };
    let reasons = local.live.iter().map(|(task, live)| (*task, reason_for(*task, &live.phase)));
    reasons.filter_map(|(task, reason)| Some((task, reason?))).collect()
}
