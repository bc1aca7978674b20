//! `/tasks`: the tasks as their owners report them, and the slots that wait for an owner.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::failure::Failure;
use super::filters::Filters;
use super::json_list::json_list;
use super::lookup;
use super::path_failures;
use super::snapshot::Snapshot;
use super::task_object::{TaskContext, TaskObject, task_objects};
use super::{Answer, Api};
use crdt_state::ServiceId;
use node_core::TaskView;
use node_docker::task::Task;

const FILTERS: [&str; 7] =
    ["_up-to-date", "desired-state", "id", "label", "name", "node", "service"];

/// Docker's documented values of the filter `desired-state`; a job's task is meant to complete.
const DESIRED_STATES: [&str; 4] = ["running", "shutdown", "accepted", "complete"];

/// The parameters of `GET /tasks`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// `GET /tasks`.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Response, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    filters.check("desired-state", &DESIRED_STATES)?;
    let snapshot = Snapshot::latest(&api).await?;
    // Docker has no task for a slot of a job that waits until others have ended.
    let shown = of_services(&snapshot, |view| !view.waits_for_others);
    let tasks = shown.map(|object| object.task);
    let wanted = tasks.filter(|task| is_wanted(task, &filters, &snapshot));
    let failures = api.handle.path_failures();
    Ok(json_list(wanted.map(|mut task| {
        path_failures::mark(&failures, &snapshot, std::iter::once(&mut task));
        task
    })))
}

/// `GET /tasks/{id}`.
pub async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Task>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let mut task = find(&snapshot, &wanted)?.task;
    path_failures::mark(&api.handle.path_failures(), &snapshot, std::iter::once(&mut task));
    Ok(Json(task))
}

/// All task objects.
///
/// Docker's client shows the tasks of a slot by `CreatedAt`, latest first. So a task that should
/// run is never shown as older than a surplus task of the same slot (after a heal).
pub fn objects(snapshot: &Snapshot) -> impl Iterator<Item = TaskObject> {
    objects_of(snapshot, |_| true)
}

/// The task objects of services, without containers that were made by hand.
pub fn objects_of_services(snapshot: &Snapshot) -> impl Iterator<Item = TaskObject> {
    of_services(snapshot, |_| true)
}

/// The task objects of one service.
pub fn objects_of_service(
    snapshot: &Snapshot,
    id: ServiceId,
) -> impl Iterator<Item = TaskObject> + '_ {
    objects_of(snapshot, move |view| view.service == id)
}

/// Those of services: a container that was made by hand is no task to Docker's clients.
fn of_services(
    snapshot: &Snapshot,
    is_shown: fn(&TaskView) -> bool,
) -> impl Iterator<Item = TaskObject> {
    let is_task = |view: &TaskView| !snapshot.is_standalone(view.service);
    objects_of(snapshot, move |view| is_task(view) && is_shown(view))
}

fn objects_of<'a>(
    snapshot: &'a Snapshot,
    is_shown: impl Fn(&TaskView) -> bool + 'a,
) -> impl Iterator<Item = TaskObject> + 'a {
    let mut unwanted = BTreeMap::new();
    for view in snapshot.tasks.iter().filter(|view| !view.desired_running) {
        let at = view.status.as_ref().map_or(0, |status| status.current.wall_ms);
        let latest = unwanted.entry((view.service, view.slot)).or_insert(at);
        *latest = at.max(*latest);
    }
    snapshot.tasks.iter().filter(move |view| is_shown(view)).flat_map(move |view| {
        let slot = (view.service, view.slot);
        let after_ms = unwanted.get(&slot).filter(|_| view.desired_running).copied();
        let of = TaskContext {
            service: snapshot.service_of(view.service),
            ran: snapshot.ran(view),
            snapshot: Some(snapshot),
        };
        task_objects(view, of, after_ms.unwrap_or(0))
    })
}

/// Finds a task: by its id, or by its name the one that should run. While a task moves there are
/// two: then the running one.
pub fn find(snapshot: &Snapshot, wanted: &str) -> Result<TaskObject, Failure> {
    let mut all: Vec<TaskObject> = of_services(snapshot, |_| true).collect();
    let named = all.iter().map(|object| &object.task).filter(|task| {
        let is_wanted = task.edge.name == wanted && task.is_wanted();
        is_wanted && snapshot.owns_its_name(&task.service_id)
    });
    let best = named.min_by_key(|task| standing(task)).map(|task| task.id.clone());
    let id = |object: &TaskObject| object.task.id.clone();
    let is_called = |object: &TaskObject, _: &str| best.as_ref() == Some(&object.task.id);
    let found = id(lookup::find("task", wanted, all.iter(), id, is_called)?);
    let index = all.iter().position(|object| object.task.id == found).expect("it was just found");
    Ok(all.swap_remove(index))
}

/// The rank of a task among those of one name: the smallest is chosen.
fn standing(task: &Task) -> u8 {
    match (task.edge.unreachable_ms, task.status.state.as_str()) {
        (None, "running") if task.edge.health != "unhealthy" => 0,
        (None, "running") => 1,
        (None, "pending") => 3,
        (None, _) => 2,
        (Some(_), _) => 4,
    }
}

fn is_wanted(task: &Task, filters: &Filters, snapshot: &Snapshot) -> bool {
    let is_service = |wanted: &str| {
        snapshot.service(wanted).is_ok_and(|service| service.id.to_string() == task.service_id)
    };
    let is_node =
        |wanted: &str| snapshot.node(wanted).is_ok_and(|row| row.id.to_string() == task.node_id);
    // A task has no labels of its own; the filter applies to its service's labels, as in Swarm.
    let has_labels = || {
        let service = snapshot.service(&task.service_id);
        service.is_ok_and(|service| filters.labels_hold("label", &service.labels))
    };
    filters.holds("id", |id| task.id.starts_with(id))
        && filters.holds("name", |name| task.edge.name.starts_with(name))
        && filters.holds("service", is_service)
        && filters.holds("node", is_node)
        && filters.holds("desired-state", |state| task.has_desired_state(state))
        && filters.holds("_up-to-date", |wanted| (wanted == "true") == task.edge.up_to_date)
        && (!filters.has("label") || has_labels())
}
