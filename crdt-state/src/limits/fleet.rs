//! Limits of the settings of a fleet.

use super::{Bounded, Unfit, number};
use crate::fleet::{TASK_HISTORY_MAX, TaskHistory};

impl Bounded for TaskHistory {
    fn check(&self) -> Result<(), Unfit> {
        number("the task history limit", u64::from(self.limit), u64::from(TASK_HISTORY_MAX))
    }
}
