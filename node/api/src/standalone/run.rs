//! Starting and stopping a container: its service gets its replica, or loses it.

use std::time::Duration;

use axum::http::StatusCode;
use crdt_state::ServiceId;
use crdt_state::spec::Scale;
use crdt_state::task::{Attempt, TaskState};
use node_core::{Edit, ServiceSpec};
use runtime::run_request::RunRequest;
use tokio::time::{Instant, timeout_at};

use super::Moment;
use super::create::check_name;
use crate::Api;
use crate::container::Container;
use crate::failure::Failure;
use crate::snapshot::Snapshot;

/// How long a start may take before its client is told that it goes on: making a container takes a
/// minute at most.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Time beyond the grace period: for SIGKILL, the last output, and the report.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// How a client wants a container to end.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Instead of the container's own.
    pub signal: Option<String>,
    /// Instead of the container's own.
    pub grace_ms: Option<u64>,
}

/// `POST /containers/{id}/start`: answered when its program runs.
pub async fn start(api: &Api, container: &Container) -> Result<StatusCode, Failure> {
    let id = container.service_id;
    let before = api.moment(id).await?.ok_or_else(|| gone(container))?;
    if before.is_live() {
        return Ok(StatusCode::NOT_MODIFIED);
    }
    if before.is_wanted {
        // It ended by itself. That it is to run no longer is known before it is to run again.
        scale(api, id, 0).await?;
    }
    scale(api, id, 1).await?;
    let begun = until_begun(api, container, before.number() + 1);
    match timeout_at(Instant::now() + START_TIMEOUT, begun).await {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(why)) => {
            scale(api, id, 0).await?;
            Err(why)
        }
        Err(_) => Err(Failure::Unavailable(format!(
            "container {} was told to start and has not yet; edgectl ps -a",
            container.service
        ))),
    }
}

/// Waits until the attempt with this number, or a later one, has begun.
async fn until_begun(api: &Api, container: &Container, number: u32) -> Result<(), Failure> {
    let mut changes = api.handle.changes();
    loop {
        // With --rm it may be gone already.
        let Some(moment) = api.moment(container.service_id).await? else { return Ok(()) };
        let attempt = moment.attempts(number).next();
        match attempt {
            Some(attempt) if has_begun(attempt) => return Ok(()),
            Some(attempt) if attempt.state.is_terminal() => {
                return Err(Failure::Bad(refused(container, &attempt.message)));
            }
            Some(_) => {}
            None if moment.is_wanted && is_nowhere(&moment) => {
                let why = moment.reason.unwrap_or_default();
                return Err(Failure::Conflict(format!(
                    "container {} cannot start on its node: {why}",
                    container.service
                )));
            }
            None => {}
        }
        changes.next().await?;
    }
}

fn has_begun(attempt: &Attempt) -> bool {
    attempt.state == TaskState::Running || attempt.exit_code.is_some()
}

/// Does its node not take it?
fn is_nowhere(moment: &Moment) -> bool {
    let waits = |why: &String| !why.starts_with("its owner ");
    !moment.is_live() && moment.reason.as_ref().is_some_and(waits)
}

/// The reason, with Docker's words by which its client tells exit codes 126 and 127 apart.
fn refused(container: &Container, why: &str) -> String {
    let is_said = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let word = match () {
        () if is_said(&["has no program"]) => " (executable file not found in $PATH)",
        () if is_said(&["there is no such file"]) => " (no such file or directory)",
        () if is_said(&["it is not executable", "is not an executable file"]) => {
            " (permission denied)"
        }
        () => "",
    };
    format!("container {} cannot start: {why}{word}", container.service)
}

/// `POST /containers/{id}/stop`: answered when its program has ended.
pub async fn stop(api: &Api, container: &Container, ending: Ending) -> Result<StatusCode, Failure> {
    let id = container.service_id;
    let before = api.moment(id).await?.ok_or_else(|| gone(container))?;
    if !before.is_live() {
        if before.is_wanted {
            scale(api, id, 0).await?;
        }
        return Ok(StatusCode::NOT_MODIFIED);
    }
    let grace_ms = ending.grace_ms.unwrap_or(container.template.stop_grace_ms);
    if before.is_running() && (ending.signal.is_some() || ending.grace_ms.is_some()) {
        let request = RunRequest::Stop { signal: ending.signal, grace_ms: ending.grace_ms };
        api.handle.request_run(container.node, before.run(), request).await??;
    }
    scale(api, id, 0).await?;
    let wait = Duration::from_millis(grace_ms).saturating_add(END_TIMEOUT);
    let ended = until_ended(api, id);
    let in_time = match Instant::now().checked_add(wait) {
        Some(deadline) => timeout_at(deadline, ended).await,
        None => Ok(ended.await),
    };
    match in_time {
        Ok(ended) => ended.map(|()| StatusCode::NO_CONTENT),
        Err(_) => Err(Failure::Unavailable(format!(
            "container {} was told to end and has not; edgectl ps -a",
            container.service
        ))),
    }
}

/// `POST /containers/{id}/restart`.
pub async fn restart(
    api: &Api,
    container: &Container,
    ending: Ending,
) -> Result<StatusCode, Failure> {
    stop(api, container, ending).await?;
    start(api, container).await.map(|_| StatusCode::NO_CONTENT)
}

/// `POST /containers/{id}/kill`. One that is killed by hand is not restarted.
pub async fn kill(api: &Api, container: &Container, signal: String) -> Result<StatusCode, Failure> {
    let moment = api.moment(container.service_id).await?.ok_or_else(|| gone(container))?;
    if !moment.is_running() {
        return Err(Failure::Conflict(format!(
            "cannot kill container: {}: container is not running",
            container.service
        )));
    }
    let ends = matches!(signal.trim_start_matches("SIG"), "" | "KILL" | "9" | "TERM" | "15");
    let request = RunRequest::Signal { signal };
    api.handle.request_run(container.node, moment.run(), request).await??;
    if ends {
        scale(api, container.service_id, 0).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /containers/{id}/rename`.
pub async fn rename(api: &Api, container: &Container, name: &str) -> Result<StatusCode, Failure> {
    let id = container.service_id;
    check_name(&*Snapshot::latest(api).await?, name)?;
    let spec = api.read(move |node, _| node.service(id).map(ServiceSpec::of)).await?;
    let mut spec = spec.ok_or_else(|| gone(container))?;
    name.clone_into(&mut spec.name);
    api.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until no attempt of it runs or waits.
pub async fn until_ended(api: &Api, id: ServiceId) -> Result<(), Failure> {
    let mut changes = api.handle.changes();
    loop {
        if api.moment(id).await?.is_none_or(|moment| !moment.is_live()) {
            return Ok(());
        }
        changes.next().await?;
    }
}

/// Gives the service of a container this many replicas. One that is gone has none.
pub async fn scale(api: &Api, id: ServiceId, replicas: u32) -> Result<(), Failure> {
    let Some(mut spec) = api.read(move |node, _| node.service(id).map(ServiceSpec::of)).await?
    else {
        return Ok(());
    };
    spec.scale = Scale::Replicated { replicas };
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    match api.edit(edit).await {
        // Removed meanwhile, by --rm.
        Err(Failure::Missing(_)) => Ok(()),
        edited => edited.map(drop),
    }
}

/// It was removed meanwhile.
pub fn gone(container: &Container) -> Failure {
    Failure::Missing(format!("No such container: {}", container.service))
}
