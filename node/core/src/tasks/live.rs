//! The tasks that have not ended, for what belongs to a task as long as it may live.

use super::{Phase, Tasks};
use crate::addressing::LiveTask;

impl Tasks {
    /// The tasks that have not ended.
    pub fn live(&self) -> Vec<LiveTask> {
        let locals = self.slots.iter();
        let live = locals.flat_map(|((service, slot), local)| {
            local.live.iter().map(move |(task, live)| LiveTask {
                service: *service,
                slot: *slot,
                task: *task,
                attempt: local.status(*task).map_or(1, |status| status.current.number),
                has_begun: !matches!(live.phase, Phase::Waiting { .. }),
            })
        });
        live.collect()
    }
}
