//! Containers that were made by hand: stopped, they keep their record, so that they can be started
//! again, with the files that they wrote.

use super::Tasks;
use super::slots::SlotKey;

impl Tasks {
    /// No task of a slot is to run until somebody asks again, not even one that ended by itself: a
    /// further start is a further attempt of it.
    pub(super) fn set_down(&mut self, key: SlotKey) {
        let statuses = self.slots.get(key).into_iter().flat_map(|local| &local.record.tasks);
        if statuses.into_iter().any(|status| status.desired_running) {
            self.slots.change(key, |local| {
                local.record.tasks.iter_mut().for_each(|status| status.desired_running = false);
            });
            self.touched.insert(key);
        }
    }
}
