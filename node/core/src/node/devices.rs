//! The node's part in its devices: what is offered changes while it runs.

use gossip::Now;

use super::Node;
use crate::devices::FoundDevices;
use crate::tasks::StepTime;

impl Node {
    /// The machine was looked at.
    pub(super) fn on_devices_found(&mut self, now: Now, wall_ms: u64, found: FoundDevices) {
        self.devices.observe(now, found);
        self.on_devices_changed(now, wall_ms);
    }

    /// A device has been missing for too long.
    pub(super) fn on_device_gone(&mut self, now: Now, wall_ms: u64) {
        self.devices.on_due(now);
        self.on_devices_changed(now, wall_ms);
    }

    fn on_devices_changed(&mut self, now: Now, wall_ms: u64) {
        self.stop_lost(self.step_time(now, wall_ms));
        self.own_records.on_devices_offered(self.devices.offered());
        self.describe(wall_ms);
    }

    /// Stops the tasks that lost their device, before anything is planned: of two tasks for which one
    /// device is left, the one that has it goes on.
    pub(super) fn stop_lost(&mut self, time: StepTime) {
        for (task, why) in self.resources.lost(&self.devices) {
            self.reconciler.stop_lost(time, task, why, self.planner.catalog());
        }
    }
}
