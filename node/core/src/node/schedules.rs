//! The runs of jobs that this node declares.

use super::Node;
use crate::event::{Event, Subject};
use crate::input::Action;
use crate::schedules::Declared;
use crate::tasks::StepTime;

impl Node {
    /// Declares the runs that are due. Returns whether a record changed. A node that is about to
    /// leave declares nothing, nor does one that has not read all its records.
    pub(super) fn declare_runs(&mut self, time: StepTime) -> bool {
        if self.departure.has_begun() {
            self.schedules.rest();
            return false;
        }
        if self.is_unfinished() {
            return false;
        }
        let declared = self.schedules.handle_due(time, &self.planner, &mut self.replica);
        for declared in &declared {
            let (id, action, due_s) = match declared {
                Declared::Run(id, due_s) => (*id, "run", *due_s),
                Declared::PassedOver(id, due_s) => (*id, "pass-over", *due_s),
            };
            let Some(service) = self.service(id) else { continue };
            let status = self.schedules.shown(id, due_s);
            let attributes = vec![("due", status)];
            let subject = Subject::Service { id, name: service.name.clone() };
            let wall_ms = time.wall_ms;
            self.outbox.push(Action::Event(Event { subject, action, attributes, wall_ms }));
        }
        !declared.is_empty()
    }
}
