//! The tasks of a slot of an `at-most-one` service: they run with leases alone, one at a time.

use crdt_state::{NodeId, TaskId};

use super::local::{Live, Local, Phase};
use super::{SlotTarget, waits};
use crate::leases::Lease;

/// Why a task ends whose leases have ended.
pub const FENCED: &str = "fenced: no majority of its anchors answered in time";

/// The live tasks that should stop now, with the reason. A task never waits for its successor
/// elsewhere, as other tasks do: the successor waits for its end.
pub(super) fn unwanted(
    local: &Local,
    target: Option<TaskId>,
    slot_target: SlotTarget<'_>,
    me: NodeId,
) -> Vec<(TaskId, &'static str)> {
    let mine = slot_target.is_for(me);
    let reason_for = |task: TaskId, live: &Live| -> Option<&'static str> {
        let runs = matches!(live.phase, Phase::Running { .. });
        match () {
            () if matches!(live.phase, Phase::Stopping { .. }) => None,
            () if !slot_target.wanted => Some("no longer wanted"),
            () if slot_target.lease == Lease::Missing => Some(FENCED),
            () if slot_target.makes_room => Some(waits::MAKES_ROOM),
            () if matches!(live.phase, Phase::Waiting { .. })
                && !slot_target.lease.lets_start() =>
            {
                Some("waits for its anchors")
            }
            () if mine && Some(task) == target => None,
            () if mine && !runs => Some("superseded by a new version"),
            () if mine => slot_target.may_update.then_some("replaced by a new version"),
            // The plan knows that the slot is here, and moves it all the same. As long as it does
            // not know that, another owner in it is only a guess of where the slot could begin.
            () if slot_target.owner.is_some() && slot_target.is_leased_here => {
                Some("placed on another node")
            }
            () => None,
        }
    };
    local.live.iter().filter_map(|(t, live)| Some((*t, reason_for(*t, live)?))).collect()
}
