//! `/containers`: the attempts of tasks, shown to Docker's clients as containers.
//!
//! A listing has the containers of this node, as Docker's; any other container is found by task
//! name, task id or whole container id on every node. Containers are not managed one by one: the
//! service makes and removes them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use crdt_state::spec::Runtime;
use runtime::image::{Images, Reference};
use serde::Deserialize;
use serde_json::{Value, json};

use super::container::{Container, ImageWords};
use super::container_object::{self, is_running, state};
use super::failure::Failure;
use super::filters::Filters;
use super::snapshot::Snapshot;
use super::standalone::{listing, removal};
use super::task_object::TaskObject;
use super::{Answer, Api, tasks};
use node_docker::container::ContainerSummary;
use node_docker::container_id;
use node_docker::task::Task;

const FILTERS: [&str; 10] = [
    "ancestor", "exited", "health", "id", "is-task", "label", "name", "network", "status", "volume",
];

/// Containers that a listing has at most; a node keeps few past attempts.
const LIST_MAX: usize = 10_000;

/// How many containers this node has: all, and those that run.
pub fn count(snapshot: &Snapshot) -> (u64, u64) {
    let mine = all_of(snapshot).filter(|container| container.node == snapshot.me);
    mine.fold((0, 0), |(all, running), container| {
        (all + 1, running + u64::from(is_running(&container.task)))
    })
}

/// The parameters of `POST /containers/prune`.
#[derive(Debug, Default, Deserialize)]
pub struct PruneQuery {
    filters: Option<String>,
}

/// `POST /containers/prune`: removes the containers of this node that were made by hand and do not
/// run. Those of tasks belong to their services, and go with the history of their task.
pub async fn prune(
    State(api): State<Api>,
    query: Answer<Query<PruneQuery>>,
) -> Result<Json<Value>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &["label", "label!"])?;
    let removed = removal::prune(&api, |container| {
        let labels = container_object::labels(container);
        filters.labels_hold("label", &labels) && filters.labels_are_absent("label!", &labels)
    });
    let removed = Some(removed.await?).filter(|removed| !removed.is_empty());
    Ok(Json(json!({ "ContainersDeleted": removed, "SpaceReclaimed": 0 })))
}

/// Adds the default commands of the images of containers on this node.
async fn with_images(api: &Api, mut containers: Vec<Container>) -> Result<Vec<Container>, Failure> {
    let mut wanted: BTreeMap<String, ImageWords> = BTreeMap::new();
    for container in containers.iter().filter(|container| container.node == api.handle.me()) {
        let template = &container.template;
        if template.runtime == Runtime::Container && template.command.is_empty() {
            wanted.insert(template.image.clone(), ImageWords::default());
        }
    }
    if wanted.is_empty() {
        return Ok(containers);
    }
    let known = api.images(move |images| {
        for (image, words) in &mut wanted {
            *words = words_of(images, image);
        }
        Ok(wanted)
    });
    let known = known.await?;
    for container in &mut containers {
        let words = known.get(&container.template.image).filter(|_| {
            container.template.runtime == Runtime::Container
                && container.template.command.is_empty()
        });
        container.image_words = words.cloned().unwrap_or_default();
    }
    Ok(containers)
}

/// An image that is not here or cannot be read gives no command.
fn words_of(images: &Images, image: &str) -> ImageWords {
    let found = image.parse::<Reference>().ok().and_then(|name| images.find(&name).ok().flatten());
    let config = found.as_ref().and_then(|image| image.config.config().as_ref());
    ImageWords {
        entrypoint: config.and_then(|c| c.entrypoint().clone()).unwrap_or_default(),
        cmd: config.and_then(|c| c.cmd().clone()).unwrap_or_default(),
    }
}

/// The parameters of `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    all: Option<String>,
    limit: Option<i64>,
    filters: Option<String>,
    /// Our own: the containers of this node, by host name or id.
    node: Option<String>,
}

/// `GET /containers/json`.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<Vec<ContainerSummary>>, Failure> {
    let query = query?;
    let filters = Filters::parse(query.filters.as_deref(), &FILTERS)?;
    let snapshot = Snapshot::latest(&api).await?;
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|n| *n > 0);
    let node = match query.node.as_deref() {
        Some(wanted) => snapshot.node(wanted)?.id,
        None => snapshot.me,
    };
    let is_set = matches!(query.all.as_deref(), Some("1" | "true" | "True"));
    let all = is_set || limit.is_some() || filters.has("status") || filters.has("exited");
    let mut found: Vec<Container> = all_of(&snapshot)
        .filter(|container| container.node == node)
        .filter(|container| all || is_running(&container.task))
        .map(|container| container.with_order(&api))
        .filter(|container| is_wanted(container, &filters))
        .collect();
    found.sort_by_key(|container| std::cmp::Reverse(container.task.created_at));
    found.truncate(limit.unwrap_or(LIST_MAX));
    let found = with_images(&api, found).await?;
    Ok(Json(found.iter().map(container_object::summary).collect()))
}

/// `GET /containers/{id}/json`.
pub async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Value>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let found = find(&snapshot, &wanted);
    let is_container_id = found.as_ref().is_ok_and(|found| found.id.starts_with(&wanted));
    if !is_container_id && tasks::find(&snapshot, &wanted).is_ok_and(|of| of.task.id == wanted) {
        // `docker inspect` asks for a container first, and shows the task if there is none.
        return Err(no_container(&wanted));
    }
    let container = found?.with_order(&api);
    let hostname = snapshot.hostname(container.node);
    let container = with_images(&api, vec![container]).await?.swap_remove(0);
    Ok(Json(container_object::inspect(&container, &hostname)))
}

/// Finds a running container.
pub async fn running(api: &Api, wanted: &str) -> Result<Container, Failure> {
    let snapshot = Snapshot::latest(api).await?;
    let container = find(&snapshot, wanted)?;
    let Task { status, edge, .. } = &container.task;
    if let Some(ms) = edge.unreachable_ms {
        return Err(Failure::Unavailable(format!(
            "task {} is on {}, which has been unreachable for {}; edgectl node ls",
            edge.name,
            snapshot.hostname(container.node),
            super::task_object::spoken(ms)
        )));
    }
    if is_running(&container.task) {
        return Ok(container);
    }
    let why = if status.err.is_empty() { &status.message } else { &status.err };
    Err(not_running(&edge.name, &status.state, why))
}

fn not_running(name: &str, state: &str, why: &str) -> Failure {
    let why = if why.is_empty() || why == state { String::new() } else { format!(", {why}") };
    Failure::Conflict(format!("task {name} is not running: {state}{why}; edgectl why {name}"))
}

/// Finds a container: by its id, the id or name of its task, its own name, or the beginning of its
/// id.
pub fn find(snapshot: &Snapshot, wanted: &str) -> Result<Container, Failure> {
    let wanted = wanted.trim_start_matches('/');
    let mut all: Vec<Container> = all_of(snapshot).collect();
    let take = |all: &mut Vec<Container>, test: &dyn Fn(&Container) -> bool| {
        all.iter().position(test).map(|index| all.swap_remove(index))
    };
    let tests: [&dyn Fn(&Container) -> bool; 4] = [
        &|container| container.id == wanted,
        &|container| container.task.id == wanted,
        &|container| container.name() == wanted,
        &|container| {
            let task = &container.task;
            container.standalone.is_none() && task.edge.name == wanted && task.is_wanted()
        },
    ];
    for test in tests {
        if let Some(container) = take(&mut all, test) {
            return Ok(container);
        }
    }
    let mut begins =
        all.iter().enumerate().filter(|(_, c)| !wanted.is_empty() && c.id.starts_with(wanted));
    match (begins.next(), begins.next()) {
        (Some((index, _)), None) => return Ok(all.swap_remove(index)),
        (Some(_), Some(_)) => {
            return Err(Failure::Bad(format!(
                "{wanted} is the beginning of more than one container's id; type more of it"
            )));
        }
        (None, _) => {}
    }
    // A task that was never started has a reason instead of a container.
    let waiting = tasks::find(snapshot, wanted);
    if let Ok(TaskObject { task, run: None }) = waiting {
        return Err(not_running(&task.edge.name, &task.status.state, &task.status.err));
    }
    Err(no_container(wanted))
}

fn no_container(wanted: &str) -> Failure {
    Failure::Missing(format!(
        "No such container: {wanted}; `edgectl service ps SERVICE` lists tasks"
    ))
}

fn all_of(snapshot: &Snapshot) -> impl Iterator<Item = Container> {
    listing::all(snapshot).chain(of_tasks(snapshot))
}

fn of_tasks(snapshot: &Snapshot) -> impl Iterator<Item = Container> {
    tasks::objects_of_services(snapshot).filter_map(|TaskObject { task, run }| {
        let (node, run) = run?;
        let service_id = task.service_id.parse().ok()?;
        let service = snapshot.service_of(service_id);
        let template =
            service.filter(|_| task.edge.up_to_date).map(|service| service.template.clone());
        Some(Container {
            id: container_id(run),
            node,
            run,
            template: template.unwrap_or_default(),
            service_id,
            service: service.map(|service| service.name.clone()).unwrap_or_default(),
            task,
            image_words: ImageWords::default(),
            last_code: 0,
            paused: false,
            standalone: None,
        })
    })
}

impl Container {
    /// Adds what is read from its files, if it is on this node: whether it is paused, and the template
    /// that it was started with.
    pub fn with_order(mut self, api: &Api) -> Container {
        if self.node != api.handle.me() {
            return self;
        }
        let folder = api.handle.log_dir(self.run);
        self.paused = is_running(&self.task) && folder.join(runtime::run_dir::PAUSED).exists();
        if self.standalone.is_none() {
            let bytes = std::fs::read(folder.join(runtime::run_dir::ORDER));
            let order = bytes.ok().and_then(|bytes| runtime::run_dir::parse_order(&bytes).ok());
            if let Some(order) = order {
                self.template = order.start.template;
            }
        }
        self
    }
}

fn is_wanted(container: &Container, filters: &Filters) -> bool {
    let labels = container_object::labels(container);
    let health = match container.task.edge.health.as_str() {
        "unchecked" => "none",
        health => health,
    };
    let exit_code =
        container.task.status.container_status.as_ref().map_or(0, |status| status.exit_code);
    filters.holds("id", |id| container.id.starts_with(id))
        && filters.holds("name", |name| container.name().contains(name.trim_start_matches('/')))
        && filters.holds("status", |status| state(container) == status)
        && filters.holds("health", |wanted| health == wanted)
        && filters
            .holds("exited", |code| state(container) == "exited" && code.parse() == Ok(exit_code))
        && filters.holds("ancestor", |image| container_object::image(container).starts_with(image))
        && filters.holds("is-task", |wanted| {
            matches!(wanted, "true" | "1") == container.standalone.is_none()
        })
        && filters.holds("network", |name| container_object::network(container) == name)
        && filters.holds("volume", |name| container_object::has_volume(container, name))
        && filters.labels_hold("label", &labels)
}
