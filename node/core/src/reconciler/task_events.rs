//! Events of this node's own tasks: the differences between their records before and after.

use crdt_state::service::Service;
use crdt_state::spec::Runtime;
use crdt_state::task::{Attempt, Health, TaskRecord, TaskState, TaskStatus};

use crate::event::{Event, Subject};
use crate::expand::task_name;

/// The service of a slot, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlotService<'a> {
    /// Its name, also after it was removed: its tasks end last.
    pub name: Option<&'a str>,
    /// The service, while it exists.
    pub service: Option<&'a Service>,
}

/// The events between two records of one slot, oldest attempt first.
pub fn between(
    before: Option<&TaskRecord>,
    after: Option<&TaskRecord>,
    of: SlotService<'_>,
    wall_ms: u64,
) -> Vec<Event> {
    let mut events = Vec::new();
    let Some(any) = after.or(before) else { return events };
    let name = of.name.map_or_else(String::new, |called| task_name(called, any.slot));
    let mut tell = |status: &TaskStatus, number: u32, action, more: Vec<(&'static str, String)>| {
        let mut attributes = vec![("attempt", number.to_string())];
        attributes.push(("service", any.service.to_string()));
        attributes.extend(of.name.map(|called| ("service_name", called.to_owned())));
        let template = of.service.and_then(|service| service.template_of(status.template));
        let image = template.filter(|template| template.runtime == Runtime::Container);
        attributes.extend(image.map(|template| ("image", template.image.clone())));
        if let Some(template) = template.filter(|template| template.is_standalone()) {
            attributes.push(("standalone", String::new()));
            let labels = template.labels.iter();
            attributes.extend(labels.map(|(key, value)| ("label", format!("{key}={value}"))));
        }
        attributes.extend(more);
        let subject = Subject::Task { id: status.id, name: name.clone() };
        events.push(Event { subject, action, attributes, wall_ms });
    };
    for status in after.into_iter().flat_map(|record| &record.tasks) {
        let attempts = status.history.iter().rev().chain([&status.current]);
        for attempt in attempts {
            let was = before.and_then(|record| find(record, status.id, attempt.number));
            for (action, more) in of_attempt(was, attempt) {
                tell(status, attempt.number, action, more);
            }
        }
    }
    for status in before.into_iter().flat_map(|record| &record.tasks) {
        for attempt in status.history.iter().rev().chain([&status.current]) {
            let is_there = after.is_some_and(|r| find(r, status.id, attempt.number).is_some());
            if !is_there && attempt.state != TaskState::Assigned {
                tell(status, attempt.number, "destroy", Vec::new());
            }
        }
    }
    events
}

type EventParts = (&'static str, Vec<(&'static str, String)>);

fn of_attempt(was: Option<&Attempt>, is: &Attempt) -> Vec<EventParts> {
    let before = was.map_or(TaskState::Pending, |was| was.state);
    let mut told = Vec::new();
    let begun = TaskState::Preparing..=TaskState::Running;
    if begun.contains(&is.state) && before < TaskState::Preparing {
        told.push(("create", Vec::new()));
    }
    if is.state == TaskState::Running && before < TaskState::Running {
        told.push(("start", Vec::new()));
    }
    if is.state.is_terminal() && begun.contains(&before) {
        let mut more = Vec::new();
        more.extend(is.exit_code.map(|code| ("exitCode", code.to_string())));
        if !is.message.is_empty() {
            more.push(("reason", is.message.clone()));
        }
        told.push(("die", more));
    }
    if is.state == TaskState::Running && was.map(|was| was.health) != Some(is.health) {
        match is.health {
            Health::Healthy => told.push(("health_status: healthy", Vec::new())),
            Health::Unhealthy => told.push(("health_status: unhealthy", Vec::new())),
            Health::Unchecked | Health::Starting => {}
        }
    }
    told
}

fn find(record: &TaskRecord, id: crdt_state::TaskId, number: u32) -> Option<&Attempt> {
    let status = record.tasks.iter().find(|status| status.id == id)?;
    std::iter::once(&status.current).chain(&status.history).find(|attempt| attempt.number == number)
}

#[cfg(test)]
mod tests {
    use crdt_state::spec::TemplateVersion;
    use crdt_state::task::Slot;
    use crdt_state::{NodeId, ServiceId, TaskId};

    use super::*;

    fn record(attempts: &[TaskState]) -> TaskRecord {
        let mut status = TaskStatus {
            id: TaskId([1; 16]),
            template: TemplateVersion(1),
            desired_running: true,
            running_since: 0,
            created_wall_ms: 0,
            current: Attempt::first(0),
            history: Vec::new(),
        };
        for (at, state) in attempts.iter().enumerate() {
            if at > 0 {
                status.next_attempt(0, "");
            }
            status.current.enter(*state, 0);
        }
        let slot = Slot::Number(1);
        TaskRecord { service: ServiceId([2; 16]), slot, node: NodeId([3; 16]), tasks: vec![status] }
    }

    fn told(before: &[TaskState], after: &[TaskState]) -> Vec<(String, &'static str)> {
        let (before, after) = (record(before), record(after));
        let events = between(Some(&before), Some(&after), SlotService::default(), 0);
        events.into_iter().map(|event| (event.attributes[0].1.clone(), event.action)).collect()
    }

    #[test]
    fn each_step_of_an_attempt_is_told_once() {
        use TaskState::{Assigned, Failed, Preparing, Running};
        let one = |action| vec![("1".to_owned(), action)];
        assert_eq!(told(&[Assigned], &[Preparing]), one("create"));
        assert_eq!(told(&[Preparing], &[Running]), one("start"));
        assert_eq!(told(&[Running], &[Failed, Assigned]), one("die"));
        assert_eq!(told(&[Running], &[Running]), []);
        assert_eq!(told(&[Assigned], &[Failed]), [], "it never had a process");
    }

    #[test]
    fn what_is_no_longer_kept_was_destroyed() {
        let gone = record(&[TaskState::Failed, TaskState::Running]);
        let events = between(Some(&gone), None, SlotService::default(), 0);
        let numbers: Vec<_> = events.iter().map(|event| event.attributes[0].1.as_str()).collect();
        assert_eq!(numbers, ["1", "2"]);
        assert!(events.iter().all(|event| event.action == "destroy"));
    }
}
