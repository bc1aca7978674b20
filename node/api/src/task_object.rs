//! Tasks as Docker's clients expect them: the current attempt, and each past one as a task of its
//! own.

use crdt_state::network::PickedPort;
use crdt_state::previous::RanImage;
use crdt_state::service::Service;
use crdt_state::spec::Runtime;
use crdt_state::task::{Attempt, Health, Run, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, TaskId};
use node_core::TaskView;
use node_core::addressing::is_picked_by_node;
use node_core::expand::task_name;

use super::networks::attachments;
use super::snapshot::Snapshot;
use node_docker::container_spec::ContainerSpec;
use node_docker::state::{show_attached_task, show_port};
use node_docker::task::{self as docker, ContainerStatus, EdgeTask, PortStatus, Task};
use node_docker::task_spec::{PROCESS_SCHEME, TaskSpec};
use node_docker::{Timestamp, Version, container_id};

/// A task object, and its run; no run before the task was first started.
pub struct TaskObject {
    /// The object that is shown.
    pub task: Task,
    /// The run, for its logs.
    pub run: Option<(NodeId, Run)>,
}

/// What is known about a task in addition to its view.
#[derive(Clone, Copy, Default)]
pub struct TaskContext<'a> {
    /// Its service.
    pub service: Option<&'a Service>,
    /// The image that it runs, if its template is not the service's any more.
    pub ran: Option<&'a RanImage>,
    /// The networks of the fleet and the addresses of tasks, if they are to be shown.
    pub snapshot: Option<&'a Snapshot>,
}

/// The objects of a task and of its past attempts, latest first. The creation time that is shown is
/// not before `after_ms`.
pub fn task_objects(view: &TaskView, of: TaskContext<'_>, after_ms: u64) -> Vec<TaskObject> {
    let Some(status) = &view.status else { return vec![unstarted(view, of, after_ms)] };
    let mut objects = vec![current(view, status, of, after_ms)];
    for (index, attempt) in status.history.iter().enumerate() {
        let created = status.history.get(index + 1).map_or(status.created_wall_ms, |a| a.wall_ms);
        objects.push(past(view, status, attempt, created, of));
    }
    objects
}

/// A slot that should run but has no owner, or whose owner has not reported yet.
fn unstarted(view: &TaskView, of: TaskContext<'_>, after_ms: u64) -> TaskObject {
    let at = Timestamp(of.service.map_or(0, |service| service.updated_wall_ms).max(after_ms));
    let mut task = common(view, of);
    task.created_at = at;
    task.updated_at = at;
    let reason = view.reason.clone().unwrap_or_default();
    // That a task is assigned but not started is no error, and clients show errors as failures.
    let (state, message, err) = match view.node {
        Some(_) => (TaskState::Assigned, reason, String::new()),
        None => (TaskState::Pending, "waiting for a node".to_owned(), reason),
    };
    task.status = docker::TaskStatus {
        timestamp: at,
        state: state.as_str().to_owned(),
        message,
        err,
        container_status: None,
        port_status: PortStatus::default(),
    };
    TaskObject { task, run: None }
}

fn current(view: &TaskView, status: &TaskStatus, of: TaskContext<'_>, after_ms: u64) -> TaskObject {
    let attempt = &status.current;
    let mut task = common(view, of);
    let began = status.history.first().map_or(status.created_wall_ms, |last| last.wall_ms);
    task.created_at = Timestamp(began.max(after_ms));
    task.updated_at = Timestamp(attempt.wall_ms);
    task.status = attempt_status(attempt, status.id);
    task.status.port_status = host_ports(&task.status, of, status.id);
    let is_up = attempt.state == TaskState::Running
        && matches!(attempt.health, Health::Unchecked | Health::Healthy);
    if (attempt.state < TaskState::Running || is_up) && task.status.err.is_empty() {
        task.status.err = view.reason.clone().unwrap_or_default();
    }
    if let Some(ms) = view.unreachable_ms {
        task.status.message = format!("its node has been unreachable for {}", spoken(ms));
        // Docker's client shows only errors, no messages.
        task.status.err.clone_from(&task.status.message);
    }
    task.networks_attachments = of.snapshot.map_or_else(Vec::new, |s| attachments(s, status.id));
    set_attempt(&mut task.edge, attempt);
    if attempt.state.is_terminal() && task.desired_state == TaskState::Running.as_str() {
        task.edge.is_last = true;
        task.desired_state = TaskState::Shutdown.as_str().to_owned();
    }
    TaskObject { task, run: run(view, status.id, attempt.number) }
}

fn past(
    view: &TaskView,
    status: &TaskStatus,
    attempt: &Attempt,
    created_wall_ms: u64,
    of: TaskContext<'_>,
) -> TaskObject {
    let mut task = common(view, of);
    task.id = attempt_id(status.id, attempt.number).to_string();
    task.created_at = Timestamp(created_wall_ms);
    task.updated_at = Timestamp(attempt.wall_ms);
    task.status = attempt_status(attempt, status.id);
    task.desired_state = TaskState::Shutdown.as_str().to_owned();
    set_attempt(&mut task.edge, attempt);
    TaskObject { task, run: run(view, status.id, attempt.number) }
}

/// The id under which a past attempt is shown: a hash, like the id of a task.
fn attempt_id(task: TaskId, attempt: u32) -> TaskId {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl attempt id 1");
    hasher.update(&task.0);
    hasher.update(&attempt.to_be_bytes());
    TaskId(crdt_state::id::first_16(&hasher.finalize()))
}

fn run(view: &TaskView, task: TaskId, attempt: u32) -> Option<(NodeId, Run)> {
    view.node.filter(|_| attempt > 0).map(|node| (node, Run { task, attempt }))
}

fn common(view: &TaskView, of: TaskContext<'_>) -> Task {
    let up_to_date = of.service.is_some_and(|service| service.template_version == view.template);
    let job = of.service.filter(|service| service.scale.is_job());
    let desired = match (view.desired_running, job) {
        (true, Some(_)) => TaskState::Complete,
        (true, None) => TaskState::Running,
        (false, _) => TaskState::Shutdown,
    };
    Task {
        id: view.id.to_string(),
        spec: task_spec(of.service.filter(|_| up_to_date), of.ran),
        service_id: view.service.to_string(),
        slot: match view.slot {
            // Docker counts the slots of a job from 0, and its client relies on that.
            Slot::Number(number) if job.is_some() => Some(u64::from(number.saturating_sub(1))),
            Slot::Number(number) => Some(u64::from(number)),
            Slot::Node(_) => None,
        },
        node_id: view.node.map(|node| node.to_string()).unwrap_or_default(),
        desired_state: desired.as_str().to_owned(),
        job_iteration: job.and_then(|job| {
            let template = job.template_of(view.template)?;
            let run = job.run.filter(|_| up_to_date && !job.awaits_run);
            Some(Version { index: run.map_or(template.force_update, |run| run.due_s) })
        }),
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

/// For an older template only the image is known; other values are not invented. The object exists
/// even so, because Docker's client reads its fields without a check.
fn task_spec(service: Option<&Service>, ran: Option<&RanImage>) -> TaskSpec {
    match service {
        Some(service) => {
            show_attached_task(&service.template, &service.placement, &service.networks)
        }
        None => {
            let image = ran.map(image_text).unwrap_or_default();
            let container_spec = Some(ContainerSpec { image, ..ContainerSpec::default() });
            TaskSpec { container_spec, ..TaskSpec::default() }
        }
    }
}

fn image_text(ran: &RanImage) -> String {
    match ran.runtime {
        Runtime::Container => ran.name.clone(),
        Runtime::Process => format!("{PROCESS_SCHEME}{}", ran.name),
    }
}

/// The ports that a running task has opened on its own node.
fn host_ports(status: &docker::TaskStatus, of: TaskContext<'_>, task: TaskId) -> PortStatus {
    let runs = status.state == TaskState::Running.as_str();
    let ports = of.service.filter(|_| runs).into_iter().flat_map(|service| &service.endpoint.ports);
    let picked = of.snapshot.and_then(|snapshot| snapshot.picked_ports.get(&task));
    let shown = ports.filter(|port| port.host).filter_map(|port| {
        let mut shown = show_port(port);
        if is_picked_by_node(port) {
            let same = |picked: &&PickedPort| {
                (picked.target, &picked.protocol) == (port.target, &port.protocol)
            };
            shown.published_port = picked.into_iter().flatten().find(same)?.published;
        }
        Some(shown)
    });
    PortStatus { ports: shown.collect() }
}

fn attempt_status(attempt: &Attempt, task: TaskId) -> docker::TaskStatus {
    let failed = matches!(attempt.state, TaskState::Failed | TaskState::Rejected);
    let waits = attempt.state < TaskState::Running;
    let (message, err) = match failed || waits {
        true => (attempt.state.as_str().to_owned(), attempt.message.clone()),
        // Docker's client shows only errors, no messages.
        false if attempt.note().is_some() => (attempt.message.clone(), attempt.message.clone()),
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
            container_id: container_id(Run { task, attempt: attempt.number }),
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

#[cfg(test)]
mod tests {
    use crdt_state::spec::TemplateVersion;

    use super::*;

    fn attempt(number: u32, state: TaskState, wall_ms: u64, message: &str) -> Attempt {
        Attempt {
            number,
            state,
            health: Health::Unchecked,
            pid: (state == TaskState::Running).then_some(4711),
            exit_code: (state == TaskState::Failed).then_some(1),
            message: message.to_owned(),
            wall_ms,
        }
    }

    fn view(status: Option<TaskStatus>) -> TaskView {
        TaskView {
            id: TaskId([1; 16]),
            service: crdt_state::ServiceId([2; 16]),
            service_name: "web".to_owned(),
            slot: Slot::Number(1),
            node: status.as_ref().map(|_| NodeId([3; 16])),
            desired_running: true,
            template: TemplateVersion(9),
            reason: Some("no suitable node".to_owned()),
            unreachable_ms: None,
            waits_for_others: false,
            status,
        }
    }

    fn restarted() -> TaskStatus {
        TaskStatus {
            id: TaskId([1; 16]),
            template: TemplateVersion(9),
            desired_running: true,
            running_since: 5,
            created_wall_ms: 100,
            current: attempt(3, TaskState::Running, 400, "after: non-zero exit (1)"),
            history: vec![
                attempt(2, TaskState::Failed, 300, "non-zero exit (1)"),
                attempt(1, TaskState::Failed, 200, "non-zero exit (1)"),
            ],
        }
    }

    #[test]
    fn past_attempts_are_tasks_of_their_own_latest_first() {
        let objects = task_objects(&view(Some(restarted())), TaskContext::default(), 0);
        let shown = |object: &TaskObject| {
            let task = &object.task;
            (task.status.state.clone(), task.desired_state.clone(), task.created_at.0)
        };
        let failed = |created| ("failed".to_owned(), "shutdown".to_owned(), created);
        let rows: Vec<_> = objects.iter().map(shown).collect();
        let running = ("running".to_owned(), "running".to_owned(), 300);
        assert_eq!(rows, [running, failed(200), failed(100)]);
        let ids: std::collections::BTreeSet<_> = objects.iter().map(|o| &o.task.id).collect();
        assert_eq!(ids.len(), 3, "each has an id of its own");
        let runs: Vec<_> = objects.iter().filter_map(|o| o.run.map(|(_, r)| r.attempt)).collect();
        assert_eq!(runs, [3, 2, 1]);
        assert_eq!(objects[1].task.status.err, "non-zero exit (1)");
        let exit = objects[1].task.status.container_status.as_ref().map(|status| status.exit_code);
        assert_eq!(exit, Some(1));
    }

    #[test]
    fn a_task_that_is_over_for_good_is_not_to_run_and_is_the_last_of_its_slot() {
        let over = |state| TaskStatus { current: attempt(1, state, 400, ""), ..restarted() };
        for (state, is_over) in [(TaskState::Failed, true), (TaskState::Assigned, false)] {
            let objects = task_objects(&view(Some(over(state))), TaskContext::default(), 0);
            let task = &objects[0].task;
            assert_eq!(task.desired_state == "shutdown", is_over, "{state:?}");
            assert!(task.is_wanted(), "it is found by its name");
            assert_eq!(task.has_desired_state("accepted"), !is_over);
        }
    }

    #[test]
    fn a_task_of_an_older_template_shows_what_it_runs() {
        let ran = RanImage {
            version: TemplateVersion(9),
            runtime: Runtime::Container,
            name: "app:1".to_owned(),
        };
        let of = TaskContext { ran: Some(&ran), ..TaskContext::default() };
        for object in task_objects(&view(Some(restarted())), of, 0) {
            assert_eq!(object.task.spec.container_spec.expect("always there").image, "app:1");
        }
    }

    #[test]
    fn a_slot_without_a_node_is_pending_with_its_reason() {
        let objects = task_objects(&view(None), TaskContext::default(), 0);
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].task.status.state, "pending");
        assert_eq!(objects[0].task.status.err, "no suitable node");
        assert!(objects[0].task.node_id.is_empty() && objects[0].run.is_none());
    }

    #[test]
    fn a_task_on_an_unreachable_node_keeps_its_state_and_says_since_when() {
        let mut view = view(Some(restarted()));
        view.unreachable_ms = Some(90_000);
        let task = task_objects(&view, TaskContext::default(), 0).swap_remove(0).task;
        assert_eq!(task.status.state, "running");
        assert_eq!(task.status.message, "its node has been unreachable for 1 min");
    }

    #[test]
    fn a_wanted_task_is_never_shown_as_older_than_the_surplus_beside_it() {
        let task =
            task_objects(&view(Some(restarted())), TaskContext::default(), 999).swap_remove(0).task;
        assert_eq!(task.created_at, Timestamp(999));
    }

    #[test]
    fn a_running_task_says_what_was_asked_for_and_is_not_so() {
        let shown = |message: &str| {
            let mut status = restarted();
            status.current.message = message.to_owned();
            let view = TaskView { reason: None, ..view(Some(status)) };
            let task = task_objects(&view, TaskContext::default(), 0).swap_remove(0).task;
            (task.status.state, task.status.err)
        };
        let running = "running".to_owned();
        let unlimited = "the limit of 20 processes is not enforced";
        assert_eq!(shown(unlimited), (running.clone(), unlimited.to_owned()));
        assert_eq!(shown("after: non-zero exit (1)"), (running, String::new()));
    }

    #[test]
    fn a_silence_is_told_in_its_largest_unit() {
        let units = [(900, "0 s"), (59_000, "59 s"), (60_000, "1 min"), (7_200_000, "2 h")];
        for (ms, text) in units {
            assert_eq!(spoken(ms), text);
        }
        assert_eq!(spoken(400 * 86_400_000), "400 days");
    }
}
