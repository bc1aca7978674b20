//! The tasks that have not ended, for what belongs to a task as long as it may live.

use crdt_state::ServiceId;
use crdt_state::task::Slot;

use super::{Local, Phase, Tasks};
use crate::addressing::LiveTask;

impl Tasks {
    /// The tasks that have not ended.
    pub fn live(&self) -> impl Iterator<Item = LiveTask> {
        self.slots.iter().flat_map(live_tasks)
    }

    /// The tasks of one service that have not ended.
    pub fn live_of(&self, service: ServiceId) -> Vec<LiveTask> {
        let slots = self.slots.range((service, Slot::Number(0))..);
        slots.take_while(|((of, _), _)| *of == service).flat_map(live_tasks).collect()
    }
}

fn live_tasks<'a>(
    ((service, slot), local): (&'a (ServiceId, Slot), &'a Local),
) -> impl Iterator<Item = LiveTask> + use<'a> {
    local.live.iter().map(move |(task, live)| LiveTask {
        service: *service,
        slot: *slot,
        task: *task,
        attempt: local.status(*task).map_or(1, |status| status.current.number),
        has_begun: !matches!(live.phase, Phase::Waiting { .. }),
    })
}
