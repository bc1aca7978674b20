//! The counts of services that this node declares, and what it tells of them.

use crdt_state::task::Run;

use super::Node;
use crate::event::{Event, Subject};
use crate::input::Action;
use crate::tasks::StepTime;

impl Node {
    /// Publishes the load of this node's tasks and declares counts that are due. Returns whether a
    /// record changed. A node that is about to leave says nothing more, and one that has not read
    /// all its records says nothing yet.
    pub(super) fn scale_services(&mut self, time: StepTime) -> bool {
        if self.departure.has_begun() {
            self.autoscaler.rest();
            return false;
        }
        if self.is_unfinished() {
            return false;
        }
        let (is_changed, scaled) =
            self.autoscaler.handle_due(time, &self.planner, &self.gossip, &mut self.replica);
        for scaled in scaled {
            let Some(service) = self.service(scaled.service) else { continue };
            let subject = Subject::Service { id: scaled.service, name: service.name.clone() };
            let (from, to) = scaled.counts;
            let attributes = vec![("from", from.to_string()), ("to", to.to_string())];
            let (action, wall_ms) = ("scale", time.wall_ms);
            self.outbox.push(Action::Event(Event { subject, action, attributes, wall_ms }));
        }
        is_changed
    }

    /// The runs of this node whose use is to be measured, for services that are scaled by it.
    pub fn measured_runs(&self) -> Vec<Run> {
        self.autoscaler.measured_runs(self.planner.catalog())
    }
}
