//! What is due: the starts of tasks that waited, and stops that nobody answered.

use crdt_state::service::Service;
use crdt_state::{ServiceId, TaskId};
use gossip::Now;

use super::local::Phase;
use super::slots::SlotKey;
use super::{STARTING_MAX, StepTime, Tasks};

impl Tasks {
    /// When the next task that waits may start.
    pub fn start_at(&self) -> Now {
        if self.slots.starting() >= STARTING_MAX {
            return Now::NEVER;
        }
        self.slots.first_waiting().max(self.hold_until)
    }

    /// When the next stop that was not answered is ordered again.
    pub fn stop_again_at(&self) -> Now {
        self.slots.first_stopping()
    }

    /// Starts the tasks that are due, and orders again the stops that were not answered.
    pub fn handle_due<'a>(
        &mut self,
        time: StepTime,
        service_of: impl Fn(ServiceId) -> Option<&'a Service>,
    ) {
        if cfg!(debug_assertions) {
            self.slots.check();
        }
        let mut room = STARTING_MAX.saturating_sub(self.slots.starting());
        for (key, task) in self.due(time.now, room) {
            match self.slots.phase(key, task).cloned() {
                Some(Phase::Waiting { .. }) if room > 0 => {
                    room -= usize::from(self.start(time, key, task, service_of(key.0)));
                }
                Some(Phase::Stopping { after, .. }) => self.stop(time, key, task, after),
                _ => {}
            }
        }
    }

    /// The tasks whose stop is ordered again and, if there is room, those that may start now; in
    /// the order of their slots.
    fn due(&self, now: Now, room: usize) -> Vec<(SlotKey, TaskId)> {
        let mut due: Vec<_> = self.slots.due_to_stop(now).collect();
        if room > 0 && self.hold_until <= now {
            due.extend(self.slots.due_to_start(now));
        }
        due.sort_unstable();
        due
    }
}
