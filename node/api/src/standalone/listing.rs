//! Containers that were made by hand, as rows of `docker ps`.

use crdt_state::service::Service;
use crdt_state::spec::Standalone;
use crdt_state::task::Run;
use node_docker::task::Task;
use node_docker::{Timestamp, standalone_id};

use super::{CODE_UNKNOWN, task_of};
use crate::container::{Container, ImageWords};
use crate::snapshot::Snapshot;
use crate::tasks;

/// All of the fleet: one row each, whatever it was started before.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = Container> {
    snapshot.services.iter().filter_map(|service| {
        let standalone = service.template.extension.standalone?;
        Some(container(snapshot, service, standalone))
    })
}

fn container(snapshot: &Snapshot, service: &Service, standalone: Standalone) -> Container {
    let id = task_of(service, standalone.node);
    let wanted = id.to_string();
    // Past attempts are tasks with other ids.
    let found = tasks::objects_of_service(snapshot, service.id).find(|o| o.task.id == wanted);
    let (mut task, run) = match found {
        Some(object) => (object.task, object.run),
        None => (never_started(service, standalone, &wanted), None),
    };
    task.created_at = Timestamp(service.created_wall_ms);
    tell_end(snapshot, service, &mut task);
    Container {
        id: standalone_id(id),
        node: standalone.node,
        run: run.map_or(Run { task: id, attempt: 0 }, |(_, run)| run),
        template: service.template.clone(),
        service_id: service.id,
        service: service.name.clone(),
        task,
        image_words: ImageWords::default(),
        last_code: last_code(snapshot, service),
        paused: false,
        standalone: Some(standalone),
    }
}

/// An attempt that ended without an exit code was refused or called off before its program ran, or nobody
/// saw how it ended. What was to follow an end, and was called off, leaves that end.
fn tell_end(snapshot: &Snapshot, service: &Service, task: &mut Task) {
    let views = snapshot.tasks.iter().filter(|view| view.service == service.id);
    let mut of_it = views.filter(|view| view.id.to_string() == task.id);
    let Some(status) = of_it.find_map(|view| view.status.as_ref()) else { return };
    if !status.current.state.is_terminal() || status.current.exit_code.is_some() {
        return;
    }
    let ran = status.running_since != u64::MAX;
    let code = match status.history.first() {
        Some(past) if !ran => past.exit_code,
        None if !ran => return "rejected".clone_into(&mut task.status.state),
        _ => None,
    };
    "shutdown".clone_into(&mut task.status.state);
    let end = task.status.container_status.get_or_insert_default();
    end.exit_code = code.unwrap_or(CODE_UNKNOWN);
}

fn last_code(snapshot: &Snapshot, service: &Service) -> i32 {
    let views = snapshot.tasks.iter().filter(|view| view.service == service.id);
    let last = views.flat_map(|view| view.status.iter()).find_map(|status| status.history.first());
    last.and_then(|attempt| attempt.exit_code).unwrap_or(0)
}

fn never_started(service: &Service, standalone: Standalone, id: &str) -> Task {
    let at = Timestamp(service.created_wall_ms);
    let mut task = Task {
        id: id.to_owned(),
        service_id: service.id.to_string(),
        node_id: standalone.node.to_string(),
        created_at: at,
        updated_at: at,
        ..Task::default()
    };
    task.edge.name.clone_from(&service.name);
    task.edge.up_to_date = true;
    task.status.timestamp = at;
    "created".clone_into(&mut task.status.state);
    task
}
