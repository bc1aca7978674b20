//! The bounds of the record of a slot's tasks.

use super::{
    ATTEMPTS_MAX, Bounded, MESSAGE_BYTES_MAX, REPLICAS_MAX, TASKS_MAX, Unfit, at_most, number,
};
use crate::task::{Slot, TaskRecord};

impl Bounded for TaskRecord {
    fn check(&self) -> Result<(), Unfit> {
        if let Slot::Number(slot) = self.slot {
            number("the number of the slot", u64::from(slot), u64::from(REPLICAS_MAX))?;
            if slot == 0 {
                return Err(Unfit::NoSuch("slot 0"));
            }
        }
        at_most("the number of tasks", self.tasks.len(), TASKS_MAX)?;
        for task in &self.tasks {
            at_most("the number of attempts", task.history.len(), ATTEMPTS_MAX)?;
            for attempt in std::iter::once(&task.current).chain(&task.history) {
                at_most("the length of a message", attempt.message.len(), MESSAGE_BYTES_MAX)?;
            }
        }
        Ok(())
    }
}
