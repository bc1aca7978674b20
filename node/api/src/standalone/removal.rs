//! Removing containers: by hand, all that have ended, and those of `--rm` when they have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use crdt_state::ServiceId;
use node_core::{Edit, Node};
use runtime::run_dir;
use runtime::run_request::RunRequest;
use tokio::time::{Instant, sleep};

use super::run::{gone, scale, until_ended};
use super::{Moment, code_of, listing};
use crate::Api;
use crate::container::Container;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::wall_clock::wall_clock;

/// How long a removal waits for the files of a container to be gone.
const FILES_TIMEOUT: Duration = Duration::from_secs(10);
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Whether a container that runs is killed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It is refused.
    No,
    /// It is killed.
    Yes,
}

/// `DELETE /containers/{id}`: answered when nothing of it is left.
pub async fn remove(api: &Api, container: &Container, force: Force) -> Result<StatusCode, Failure> {
    let id = container.service_id;
    let moment = api.moment(id).await?.ok_or_else(|| gone(container))?;
    if moment.is_live() {
        let name = &container.service;
        if force == Force::No {
            return Err(Failure::Conflict(format!(
                "cannot remove container \"{name}\": container is running: stop the container \
                 before removing or force remove: docker rm -f {name}"
            )));
        }
        kill(api, container, &moment).await?;
    }
    api.standalones.note_code(id, moment.end_from(moment.number()).unwrap_or(super::CODE_KILLED));
    api.edit(Edit::RemoveService { id }).await?;
    until_files_are_gone(api, &moment).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn kill(api: &Api, container: &Container, moment: &Moment) -> Result<(), Failure> {
    scale(api, container.service_id, 0).await?;
    if moment.is_running() {
        let request = RunRequest::Stop { signal: None, grace_ms: Some(0) };
        // It may have ended meanwhile.
        let _ = api.handle.request_run(container.node, moment.run(), request).await?;
    }
    let _ = tokio::time::timeout(FILES_TIMEOUT, until_ended(api, container.service_id)).await;
    Ok(())
}

/// Waits for the files of this node: whoever removed a container finds nothing of it.
pub async fn until_files_are_gone(api: &Api, moment: &Moment) {
    let deadline = Instant::now() + FILES_TIMEOUT;
    let folders = [moment.run(), run_dir::shared(moment.task)].map(|run| api.handle.log_dir(run));
    while folders.iter().any(|folder| folder.exists()) && Instant::now() < deadline {
        sleep(CHECK_INTERVAL).await;
    }
}

/// Removes the containers of this node that do not run. Returns their ids.
pub async fn prune(
    api: &Api,
    is_wanted: impl Fn(&Container) -> bool,
) -> Result<Vec<String>, Failure> {
    let snapshot = Snapshot::latest(api).await?;
    let mine = listing::all(&snapshot).filter(|container| container.node == snapshot.me);
    let mut removed = Vec::new();
    for container in mine.filter(is_wanted) {
        // One that runs again, or is gone, is none of them.
        if remove(api, &container, Force::No).await.is_ok() {
            removed.push(container.id);
        }
    }
    Ok(removed)
}

/// Removes the containers of `--rm` of this node as soon as they have ended, as long as the agent
/// lives. One that ended while no agent ran is found at the start.
pub async fn watch(api: Api) {
    let mut changes = api.handle.changes();
    let mut under_way: BTreeSet<ServiceId> = BTreeSet::new();
    loop {
        let Ok(over) = api.read(ended).await else { return };
        under_way.retain(|id| over.iter().any(|(found, _)| found == id));
        for (id, code) in over {
            if under_way.insert(id) {
                api.standalones.note_code(id, code);
                tokio::spawn(remove_ended(api.clone(), id));
            }
        }
        if changes.next().await.is_err() {
            return;
        }
    }
}

/// The containers of `--rm` of this node that have ended, with their exit codes.
fn ended(node: &Node, now: gossip::Now) -> Vec<(ServiceId, i32)> {
    let me = node.me();
    let of_me = node.services().filter(|service| {
        let standalone = service.template.extension.standalone;
        standalone.is_some_and(|standalone| standalone.auto_remove && standalone.node == me)
    });
    let over = of_me.filter_map(|service| {
        let current = Moment::of(node, now, service.id)?.status?.current;
        current.state.is_terminal().then(|| (service.id, code_of(&current)))
    });
    over.collect()
}

/// The clients that are attached first read the end of its output, however slow they are.
async fn remove_ended(api: Api, id: ServiceId) {
    while api.standalones.is_attached(id) {
        sleep(CHECK_INTERVAL).await;
    }
    // Somebody may have removed it; a disk that takes no edit is reported elsewhere.
    if let Err(error) = api.edit(Edit::RemoveService { id }).await {
        tracing::debug!(at = wall_clock().0, "a container of --rm stays: {error}");
    }
}
