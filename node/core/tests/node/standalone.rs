//! Containers that were made by hand: what becomes of their records when they are stopped, started
//! again and removed.

use crdt_state::ServiceId;
use crdt_state::spec::{RestartCondition, Scale, Standalone};
use crdt_state::task::{Run, TaskState, TaskStatus};
use node_core::{Edit, ServiceSpec};

use crate::host::{Host, spec};

fn container(host: &Host) -> ServiceSpec {
    let mut spec = spec("one", 0);
    spec.template.restart.condition = RestartCondition::None;
    let (node, auto_remove) = (host.node.me(), false);
    let standalone = Standalone { node, auto_remove, stdin_once: false, unless_stopped: false };
    spec.template.extension.standalone = Some(standalone);
    spec
}

fn scale(host: &mut Host, id: ServiceId, replicas: u32) {
    let mut spec = ServiceSpec::of(host.node.service(id).expect("it is there"));
    spec.scale = Scale::Replicated { replicas };
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("scaled");
}

fn status(host: &Host) -> TaskStatus {
    let tasks = host.tasks();
    assert_eq!(tasks.len(), 1, "one task, whatever it was started before: {tasks:#?}");
    tasks[0].status.clone().expect("it was reported")
}

/// Starts it; returns the run.
fn start(host: &mut Host, id: ServiceId) -> Run {
    scale(host, id, 1);
    let runs = host.start_all();
    assert_eq!(runs.len(), 1);
    runs[0]
}

#[test]
fn a_container_that_is_stopped_is_started_again_as_the_same_task() {
    let mut host = Host::new();
    let id = host.create(container(&host));
    let first = start(&mut host, id);
    scale(&mut host, id, 0);
    assert_eq!(host.stopped, [first]);
    host.exit(first, 3);
    let stopped = status(&host);
    assert_eq!((stopped.current.state, stopped.current.exit_code), (TaskState::Shutdown, Some(3)));
    assert_eq!(host.forgotten, [], "its files are kept");
    let second = start(&mut host, id);
    assert_eq!((second.task, second.attempt), (first.task, 2));
    assert_eq!(status(&host).current.state, TaskState::Running);
}

#[test]
fn a_container_that_ended_by_itself_is_started_only_when_somebody_asks() {
    let mut host = Host::new();
    let id = host.create(container(&host));
    let first = start(&mut host, id);
    host.exit(first, 5);
    host.wait(600_000);
    assert_eq!(host.start_all(), []);
    assert_eq!(status(&host).current.exit_code, Some(5));
    scale(&mut host, id, 0);
    assert_eq!(status(&host).current.state, TaskState::Failed, "how it ended is still known");
    assert_eq!(start(&mut host, id), Run { task: first.task, attempt: 2 });
}

#[test]
fn the_last_attempt_of_a_container_is_kept_however_little_of_the_past_is() {
    let mut host = Host::new();
    let edit = Edit::UpdateFleet { version: None, task_history_limit: Some(0) };
    host.edit(edit).expect("possible");
    let id = host.create(container(&host));
    let first = start(&mut host, id);
    scale(&mut host, id, 0);
    host.exit(first, 0);
    assert_eq!(status(&host).current.number, 1, "it is listed");
    assert_eq!(host.forgotten, [], "with its files");
    host.edit(Edit::RemoveService { id }).expect("removed");
    assert_eq!(host.forgotten, [first]);
}
