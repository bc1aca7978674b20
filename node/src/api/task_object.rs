//! Tasks as Docker's clients expect them: the current attempt, then each past one as its own task.

use crdt_state::service::Service;
use crdt_state::task::{Attempt, Health, Run, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, TaskId};
use node_core::TaskView;
use node_core::expand::task_name;

use crate::docker::Timestamp;
use crate::docker::state::show_task;
use crate::docker::task::{self as docker, ContainerStatus, EdgeTask, PortStatus, Task};
use crate::docker::task_spec::{ContainerSpec, TaskSpec};

/// A task object, and the run behind it; none before it was first started.
pub struct TaskObject {
    /// What is shown.
    pub task: Task,
    /// Whose logs these are.
    pub run: Option<(NodeId, Run)>,
}

/// The object of a task and of each of its past attempts, latest first.
/// It is not shown as created before `after_ms`.
pub fn task_objects(view: &TaskView, service: Option<&Service>, after_ms: u64) -> Vec<TaskObject> {
    let Some(status) = &view.status else { return vec![unstarted(view, service, after_ms)] };
    let mut objects = vec![current(view, status, service, after_ms)];
    for (index, attempt) in status.history.iter().enumerate() {
        let created = status.history.get(index + 1).map_or(status.created_wall_ms, |a| a.wall_ms);
        objects.push(past(view, status, attempt, created, service));
    }
    objects
}

/// A wanted slot that nobody has, or of which its owner has not said anything.
fn unstarted(view: &TaskView, service: Option<&Service>, after_ms: u64) -> TaskObject {
    let at = Timestamp(service.map_or(0, |service| service.updated_wall_ms).max(after_ms));
    let mut task = common(view, service);
    task.created_at = at;
    task.updated_at = at;
    task.status = docker::TaskStatus {
        timestamp: at,
        state: match view.node {
            Some(_) => TaskState::Assigned.as_str().to_owned(),
            None => TaskState::Pending.as_str().to_owned(),
        },
        message: match view.node {
            Some(_) => "waiting for its node".to_owned(),
            None => "waiting for a node".to_owned(),
        },
        err: view.reason.clone().unwrap_or_default(),
        container_status: None,
        port_status: PortStatus::default(),
    };
    TaskObject { task, run: None }
}

fn current(
    view: &TaskView,
    status: &TaskStatus,
    service: Option<&Service>,
    after_ms: u64,
) -> TaskObject {
    let attempt = &status.current;
    let mut task = common(view, service);
    let began = status.history.first().map_or(status.created_wall_ms, |last| last.wall_ms);
    task.created_at = Timestamp(began.max(after_ms));
    task.updated_at = Timestamp(attempt.wall_ms);
    task.status = attempt_status(attempt);
    if attempt.state < TaskState::Running && task.status.err.is_empty() {
        task.status.err = view.reason.clone().unwrap_or_default();
    }
    if let Some(ms) = view.unreachable_ms {
        task.status.message = format!("its node has been unreachable for {}", spoken(ms));
        // Docker's client shows no message, only errors.
        task.status.err.clone_from(&task.status.message);
    }
    set_attempt(&mut task.edge, attempt);
    TaskObject { task, run: run(view, status.id, attempt.number) }
}

fn past(
    view: &TaskView,
    status: &TaskStatus,
    attempt: &Attempt,
    created_wall_ms: u64,
    service: Option<&Service>,
) -> TaskObject {
    let mut task = common(view, service);
    task.id = attempt_id(status.id, attempt.number).to_string();
    task.created_at = Timestamp(created_wall_ms);
    task.updated_at = Timestamp(attempt.wall_ms);
    task.status = attempt_status(attempt);
    task.desired_state = TaskState::Shutdown.as_str().to_owned();
    set_attempt(&mut task.edge, attempt);
    TaskObject { task, run: run(view, status.id, attempt.number) }
}

/// The id under which a past attempt is shown: a hash, as that of a task.
fn attempt_id(task: TaskId, attempt: u32) -> TaskId {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl attempt id 1");
    hasher.update(&task.0);
    hasher.update(&attempt.to_be_bytes());
    TaskId(crdt_state::id::first_16(&hasher.finalize()))
}

fn run(view: &TaskView, task: TaskId, attempt: u32) -> Option<(NodeId, Run)> {
    view.node.filter(|_| attempt > 0).map(|node| (node, Run { task, attempt }))
}

fn common(view: &TaskView, service: Option<&Service>) -> Task {
    let up_to_date = service.is_some_and(|service| service.template_version == view.template);
    let desired = if view.desired_running { TaskState::Running } else { TaskState::Shutdown };
    Task {
        id: view.id.to_string(),
        spec: task_spec(service.filter(|_| up_to_date)),
        service_id: view.service.to_string(),
        slot: match view.slot {
            Slot::Number(number) => Some(u64::from(number)),
            Slot::Node(_) => None,
        },
        node_id: view.node.map(|node| node.to_string()).unwrap_or_default(),
        desired_state: desired.as_str().to_owned(),
        edge: EdgeTask {
            name: task_name(&view.service_name, view.slot),
            task_id: view.id.to_string(),
            template: format!("{:016x}", view.template.0),
            up_to_date,
            unreachable_ms: view.unreachable_ms,
            ..EdgeTask::default()
        },
        ..Task::default()
    }
}

/// Only the template that the service has now is known; what an older task ran is not made up.
/// The object is there even so: Docker's client reads through it without looking.
fn task_spec(service: Option<&Service>) -> TaskSpec {
    match service {
        Some(service) => show_task(&service.template, &service.placement),
        None => {
            let container_spec = Some(ContainerSpec::default());
            TaskSpec { container_spec, ..TaskSpec::default() }
        }
    }
}

fn attempt_status(attempt: &Attempt) -> docker::TaskStatus {
    let failed = matches!(attempt.state, TaskState::Failed | TaskState::Rejected);
    let waits = attempt.state < TaskState::Running;
    let (message, err) = match failed || waits {
        true => (attempt.state.as_str().to_owned(), attempt.message.clone()),
        false if attempt.message.is_empty() => (attempt.state.as_str().to_owned(), String::new()),
        false => (attempt.message.clone(), String::new()),
    };
    let has_process = attempt.pid.is_some() || attempt.exit_code.is_some();
    docker::TaskStatus {
        timestamp: Timestamp(attempt.wall_ms),
        state: attempt.state.as_str().to_owned(),
        message,
        err,
        container_status: has_process.then(|| ContainerStatus {
            container_id: String::new(),
            pid: attempt.pid.unwrap_or(0),
            exit_code: attempt.exit_code.unwrap_or(0),
        }),
        port_status: PortStatus::default(),
    }
}

fn set_attempt(edge: &mut EdgeTask, attempt: &Attempt) {
    edge.attempt = attempt.number;
    edge.health = match attempt.health {
        Health::Unchecked => "unchecked",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
    .to_owned();
}

/// `3 s`, `4 min`, `2 h`, `5 days`: the largest unit that is at least one.
pub fn spoken(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
