//! The past of this node's slots: forgotten when a slot is written anyway, so that a lower limit makes
//! nobody write, and after its events were told.

use crdt_state::ServiceId;
use crdt_state::task::{Slot, TaskRecord};

use super::{TaskOrder, Tasks};

impl Tasks {
    /// Of the past of a slot keeps the latest, so many, and has the files of the others removed.
    /// Returns the record, if it has become shorter.
    pub fn forget_past(
        &mut self,
        service: ServiceId,
        slot: Slot,
        limit: usize,
    ) -> Option<TaskRecord> {
        let mut forgotten = Vec::new();
        let key = (service, slot);
        self.slots.change(key, |local| forgotten = local.record.forget_past(limit));
        if forgotten.is_empty() {
            return None;
        }
        self.orders.extend(forgotten.into_iter().map(TaskOrder::Forget));
        self.record(service, slot).cloned()
    }
}
