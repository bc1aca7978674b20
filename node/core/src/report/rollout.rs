//! The state of the rollout of a service, from the reports of the owners of its slots.
//!
//! A rollout has no leader, so no record says that it is completed: every node answers from the
//! records that it has. That too many slots failed is a fact that their nodes report.

use crdt_state::read::AllFailures;
use crdt_state::rollout::{Direction, FailureAction};
use crdt_state::service::Service;
use crdt_state::spec::UpdateOrder;
use crdt_state::task::{AFTER, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, TaskId};

use super::NodeReport;
use crate::plan::Placed;
use crate::reason::Choice;
use crate::tasks::is_healthy;

/// From this attempt on, a task of a completed rollout counts as failing: a temporary problem may
/// have ended the first attempt, and also the second, which follows at once.
const FAILING_FROM_ATTEMPT: u32 = 3;

/// The state of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// Slots take the template, or wait for their turn.
    Updating,
    /// No further slot takes it: too many failed, an operator paused it, or it is to be promoted.
    Paused,
    /// All slots ran the template healthy for the monitor time, or failed and were tolerated.
    Completed,
}

impl RolloutState {
    /// Docker's word.
    pub fn as_str(self, direction: Direction) -> &'static str {
        match (direction, self) {
            (Direction::Forward, RolloutState::Updating) => "updating",
            (Direction::Forward, RolloutState::Paused) => "paused",
            (Direction::Forward, RolloutState::Completed) => "completed",
            (Direction::Back, RolloutState::Updating) => "rollback_started",
            (Direction::Back, RolloutState::Paused) => "rollback_paused",
            (Direction::Back, RolloutState::Completed) => "rollback_completed",
        }
    }
}

/// A rollout as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its state.
    pub state: RolloutState,
    /// Where it leads.
    pub direction: Direction,
    /// Its first slots run well, and an operator is to say whether the others follow.
    pub awaits_promotion: bool,
    /// When it began, by the clock of who began it.
    pub started_wall_ms: u64,
    /// When the last slot began to run the template, by its owner's clock, once it is completed.
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
        let known = &service.rollout;
        let condemned = known.update_failures.verdict.map(|verdict| verdict.wall_ms);
        let started_wall_ms = condemned.unwrap_or(service.template_wall_ms);
        let planned = self.plan().services.get(&service.id);
        let progress = self.planner.progress();
        let awaits_promotion =
            planned.is_some_and(|plan| progress.awaits_promotion(self.now, service, plan));
        let is_reached = progress.is_reached(self.now, service, planned);
        let (state, message) = match () {
            () if service.is_stopped() => (RolloutState::Paused, self.failed(service)),
            () if is_reached => (RolloutState::Completed, self.completed(service)),
            () if known.is_held => (RolloutState::Paused, held(service)),
            () if awaits_promotion => (RolloutState::Paused, to_be_promoted(service)),
            () => (RolloutState::Updating, self.in_progress(service)),
        };
        let is_completed = state == RolloutState::Completed;
        let completed_wall_ms = is_completed.then(|| self.last_start(service).max(started_wall_ms));
        let direction = known.direction;
        let awaits_promotion = awaits_promotion && state == RolloutState::Paused;
        Some(Rollout {
            state,
            direction,
            awaits_promotion,
            started_wall_ms,
            completed_wall_ms,
            message,
        })
    }

    fn in_progress(&self, service: &Service) -> String {
        let message = match (self.rolled_back(service), service.rollout.direction) {
            (Some(why), _) => why,
            (None, Direction::Forward) => format!("update in progress{}", self.beside(service)),
            (None, Direction::Back) => {
                format!("manually requested rollback{}", self.beside(service))
            }
        };
        let planned = self.plan().services.get(&service.id);
        let is_stuck =
            |placed: &&Placed| matches!(placed, Placed::Nowhere(_) | Placed::On(_, Choice::Stays));
        match planned.map_or(0, |plan| plan.slots.values().filter(is_stuck).count()) {
            0 => message,
            1 => format!("{message}: 1 task has no suitable node"),
            stuck => format!("{message}: {stuck} tasks have no suitable node"),
        }
    }

    /// How far a blue-green rollout is.
    fn beside(&self, service: &Service) -> String {
        let Some(both) = self.planner.progress().side_by_side(service.id) else {
            return String::new();
        };
        let new = self.current_tasks(service).filter(|(_, _, task)| is_healthy(task)).count();
        let planned = self.plan().services.get(&service.id);
        match both.is_switched() {
            true => {
                ": all connections go to the new tasks, the old ones end when these stayed for \
                     the monitor time"
                    .to_owned()
            }
            false => format!(
                ": {new} of {} new tasks run healthy, connections go to the old ones until all do",
                planned.map_or(0, |plan| plan.slots.len())
            ),
        }
    }

    /// A task that fails after its monitor time changes no state, and is told.
    fn completed(&self, service: &Service) -> String {
        let message = match (self.rolled_back(service), service.rollout.direction) {
            (Some(why), _) => why,
            (None, Direction::Forward) => "update completed".to_owned(),
            (None, Direction::Back) => "rollback completed".to_owned(),
        };
        let failed = service.rollout.failures.slots.len();
        let message = match self.first_failure(service, &service.rollout.failures) {
            Some(first) if failed > 0 => {
                format!("{message}; {failed} of its tasks failed, which is tolerated: {first}")
            }
            _ => message,
        };
        match self.failing(service) {
            Some((slot, node, task)) => {
                let (slot, said) = (self.slot_name(service, slot), last_failure(task));
                let hostname = self.catalog().hostname(node);
                format!("{message}; since then {slot} on {hostname} keeps failing: {said}")
            }
            None => message,
        }
    }

    /// Why an update was rolled back by itself, if it was.
    fn rolled_back(&self, service: &Service) -> Option<String> {
        service.rollout.failed_update.as_ref()?;
        let first = self.first_failure(service, &service.rollout.update_failures)?;
        Some(format!("update rolled back due to failure or early termination of {first}"))
    }

    fn failed(&self, service: &Service) -> String {
        let what = match service.rollout.direction {
            Direction::Forward => "update",
            Direction::Back => "rollback",
        };
        let first = self.first_failure(service, &service.rollout.failures).unwrap_or_default();
        let to_go_back = service.failure_policy().action == FailureAction::Rollback;
        let name = &service.name;
        let hint = if to_go_back {
            "there is nothing to roll back to, no earlier version ran healthy: update it again"
                .to_owned()
        } else {
            format!(
                "update it again, or: edgectl service rollback {name}, edgectl service resume {name}"
            )
        };
        format!("{what} paused due to failure or early termination of {first}; {hint}")
    }

    /// The task that failed first: `task ID: web.1 on pi-1: why`.
    fn first_failure(&self, service: &Service, failures: &AllFailures) -> Option<String> {
        let (task, why) = failures.first.as_ref()?;
        let at = self.failed_at(service, *task).map(|(slot, node)| {
            format!("{} on {}: ", self.slot_name(service, slot), self.catalog().hostname(node))
        });
        Some(format!("task {task}: {}{why}", at.unwrap_or_default()))
    }

    /// Where a task failed, from the report of its node: its slot may have forgotten it.
    fn failed_at(&self, service: &Service, task: TaskId) -> Option<(Slot, NodeId)> {
        let failed = service.rollout.failed_update.as_deref().map(|(version, _)| *version);
        let versions = || failed.into_iter().chain([service.template_version]);
        self.catalog().rollouts.iter().find_map(|(node, reports)| {
            let report = reports.get(&service.id)?;
            let mut both = [&report.forward, &report.back].into_iter();
            let said = both.find(|failures| failures.task == Some(task))?;
            let is_it = |slot: &&Slot| {
                versions().any(|version| TaskId::of(service.id, **slot, *node, version) == task)
            };
            said.slots.iter().find(is_it).map(|slot| (*slot, *node))
        })
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

fn held(service: &Service) -> String {
    let what = match service.rollout.direction {
        Direction::Forward => "update",
        Direction::Back => "rollback",
    };
    format!("{what} paused by an operator; to go on: edgectl service resume {}", service.name)
}

fn to_be_promoted(service: &Service) -> String {
    let (name, canary) = (&service.name, service.update_rules.canary);
    let tasks = if canary == 1 { "1 task runs".to_owned() } else { format!("{canary} tasks run") };
    let rest = match service.order() {
        UpdateOrder::BlueGreen => {
            "the new version beside the old one; for connections to all of it"
        }
        _ => "the new version; for all others",
    };
    format!(
        "{tasks} {rest}: edgectl service promote {name}, to go back: edgectl service rollback {name}"
    )
}

/// The message with which a task failed last. A task that waits for its next attempt says why the one
/// before has ended, also when that is forgotten.
fn last_failure(task: &TaskStatus) -> String {
    let attempts = std::iter::once(&task.current).chain(&task.history);
    let mut over = attempts.filter(|attempt| attempt.state.is_terminal());
    let Some(last) = over.next() else {
        let why = task.current.message.strip_prefix(AFTER).map(|why| format!("failed: {why}"));
        return why.unwrap_or_else(|| "it keeps failing".to_owned());
    };
    match last.message.as_str() {
        "" => last.state.as_str().to_owned(),
        message => format!("{}: {message}", last.state.as_str()),
    }
}
