//! The state of the rollout of a service, from the reports of the owners of its slots.
//!
//! A rollout has no leader, so no record says that it is completed or paused: every node answers
//! from the records that it has. A rollout is paused, in Docker's words, when a slot keeps failing
//! with the new template: the slots after it wait for it.

use crdt_state::NodeId;
use crdt_state::service::Service;
use crdt_state::task::{Slot, TaskState, TaskStatus};

use super::NodeReport;
use crate::plan::Placed;
use crate::reason::Choice;
use crate::tasks::is_healthy;

/// From this attempt on, a slot counts as failing: a temporary problem may have ended the first
/// attempt, and also the second, which follows at once.
const FAILING_FROM_ATTEMPT: u32 = 3;

/// The state of a rollout, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// Slots take the new template, or wait for their turn.
    Updating,
    /// A slot keeps failing with the new template.
    Paused,
    /// All slots ran the new template healthy for the monitor time.
    Completed,
}

impl RolloutState {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            RolloutState::Updating => "updating",
            RolloutState::Paused => "paused",
            RolloutState::Completed => "completed",
        }
    }
}

/// A rollout as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its state.
    pub state: RolloutState,
    /// When the template was written, by the writer's clock.
    pub started_wall_ms: u64,
    /// When the last slot began to run it, by its owner's clock, once it is completed.
    pub completed_wall_ms: Option<u64>,
    /// A text for operators.
    pub message: String,
}

impl NodeReport<'_> {
    /// The state of the rollout of a service's template; `None` if it was never updated.
    pub fn rollout(&self, service: &Service) -> Option<Rollout> {
        if !service.is_template_updated() {
            return None;
        }
        let started_wall_ms = service.template_wall_ms;
        let rollout = |state, message: String| {
            Some(Rollout { state, started_wall_ms, completed_wall_ms: None, message })
        };
        let planned = self.plan().services.get(&service.id);
        if self.planner.progress().is_reached(self.now, service, planned) {
            return Some(Rollout {
                completed_wall_ms: Some(self.last_start(service).max(started_wall_ms)),
                ..rollout(RolloutState::Completed, "update completed".to_owned())?
            });
        }
        if let Some((slot, node, task)) = self.failing(service) {
            let slot = self.slot_name(service, slot);
            let (hostname, said) = (self.catalog().hostname(node), last_failure(task));
            let message = format!(
                "update paused due to failure or early termination of task {}: {slot} on \
                 {hostname}: {said}; update it again to go on",
                task.id
            );
            return rollout(RolloutState::Paused, message);
        }
        let mut message = "update in progress".to_owned();
        let is_stuck =
            |placed: &&Placed| matches!(placed, Placed::Nowhere(_) | Placed::On(_, Choice::Stays));
        let stuck = planned.map_or(0, |plan| plan.slots.values().filter(is_stuck).count());
        if stuck > 0 {
            let tasks = if stuck == 1 { "task has" } else { "tasks have" };
            message = format!("{message}: {stuck} {tasks} no suitable node");
        }
        rollout(RolloutState::Updating, message)
    }

    /// The wanted tasks of the current template, with their slots and owners.
    fn current_tasks<'a>(
        &'a self,
        service: &'a Service,
    ) -> impl Iterator<Item = (Slot, NodeId, &'a TaskStatus)> {
        let records = self.catalog().tasks.get(&service.id).into_iter().flatten();
        let owned =
            records.filter(|((slot, node), _)| self.plan().owner(service.id, *slot) == Some(*node));
        owned.flat_map(|((slot, node), record)| {
            let is_current = |task: &&TaskStatus| {
                task.desired_running && task.template == service.template_version
            };
            record.tasks.iter().filter(is_current).map(|task| (*slot, *node, task))
        })
    }

    /// A task that keeps failing with the current template.
    fn failing<'a>(&'a self, service: &'a Service) -> Option<(Slot, NodeId, &'a TaskStatus)> {
        self.current_tasks(service).find(|(_, _, task)| {
            let has_failed = matches!(task.current.state, TaskState::Failed | TaskState::Rejected);
            !is_healthy(task) && (has_failed || task.current.number >= FAILING_FROM_ATTEMPT)
        })
    }

    fn last_start(&self, service: &Service) -> u64 {
        let running = self.current_tasks(service).filter(|(_, _, task)| is_healthy(task));
        running.map(|(_, _, task)| task.current.wall_ms).max().unwrap_or(0)
    }

    fn slot_name(&self, service: &Service, slot: Slot) -> String {
        match slot {
            Slot::Number(number) => format!("{}.{number}", service.name),
            Slot::Node(node) => format!("{}.{}", service.name, self.catalog().hostname(node)),
        }
    }
}

/// The message with which a task failed last.
fn last_failure(task: &TaskStatus) -> String {
    let attempts = std::iter::once(&task.current).chain(&task.history);
    let mut over = attempts.filter(|attempt| attempt.state.is_terminal());
    let Some(last) = over.next() else { return "it keeps failing".to_owned() };
    match last.message.as_str() {
        "" => last.state.as_str().to_owned(),
        message => format!("{}: {message}", last.state.as_str()),
    }
}
