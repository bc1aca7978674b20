//! Ending a task's container by hand. The fleet decides what happens next, as in Swarm: a service
//! with restart condition `any` starts another attempt at once.
//!
//! Containers that were made by hand are started, stopped and removed as in Docker
//! ([`super::standalone`]); for those of tasks such operations are refused, with what to type instead.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use runtime::run_request::RunRequest;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::container::Container;
use super::container_object::state_word;
use super::containers;
use super::exec::ResizeQuery;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::standalone::attach::AttachQuery;
use super::standalone::removal::{self, Force};
use super::standalone::run::{self, Ending};
use super::task_object::{TaskContext, TaskObject, task_objects};
use super::{Answer, Api, standalone};

/// Shortest time between two checks whether it has ended: a busy fleet changes more often.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Time beyond the grace period: for SIGKILL, the last output, and the report.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The parameters of stop, restart and kill.
#[derive(Debug, Default, Deserialize)]
pub struct EndQuery {
    signal: Option<String>,
    /// Seconds until SIGKILL; -1: never.
    t: Option<i64>,
}

/// The parameters of wait.
#[derive(Debug, Default, Deserialize)]
pub struct WaitQuery {
    condition: Option<String>,
}

/// The parameters of rename.
#[derive(Debug, Default, Deserialize)]
pub struct RenameQuery {
    #[serde(default)]
    name: String,
}

/// The parameters of a removal.
#[derive(Debug, Default, Deserialize)]
pub struct RemoveQuery {
    force: Option<String>,
}

impl EndQuery {
    fn ending(&self) -> Ending {
        Ending { signal: self.signal(), grace_ms: self.grace_ms() }
    }

    fn signal(&self) -> Option<String> {
        self.signal.clone().filter(|signal| !signal.is_empty())
    }

    fn grace_ms(&self) -> Option<u64> {
        let ms = |seconds| u64::try_from(seconds).map_or(u64::MAX, |s| s.saturating_mul(1_000));
        self.t.map(ms)
    }
}

/// `POST /containers/{id}/stop`: answered when this attempt has ended.
pub async fn stop(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<EndQuery>>,
) -> Result<StatusCode, Failure> {
    let query = query?.0;
    match by_hand(&api, &wanted).await? {
        Some(container) => run::stop(&api, &container, query.ending()).await,
        None => stop_task(&api, &wanted, query).await,
    }
}

/// `POST /containers/{id}/restart`. The service of a task starts the next attempt.
pub async fn restart(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<EndQuery>>,
) -> Result<StatusCode, Failure> {
    let query = query?.0;
    match by_hand(&api, &wanted).await? {
        Some(container) => run::restart(&api, &container, query.ending()).await,
        None => stop_task(&api, &wanted, query).await,
    }
}

/// `POST /containers/{id}/start`.
pub async fn start(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Failure> {
    match by_hand(&api, &wanted).await? {
        Some(container) => run::start(&api, &container).await,
        None => Err(of_its_service("start", &wanted)),
    }
}

/// The container, if it was made by hand.
async fn by_hand(api: &Api, wanted: &str) -> Result<Option<Container>, Failure> {
    let found = containers::find(&*Snapshot::latest(api).await?, wanted);
    match found {
        Ok(container) => Ok(Some(container).filter(|found| found.standalone.is_some())),
        // That of a task is looked up again, with its own reasons.
        Err(Failure::Conflict(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn stop_task(api: &Api, wanted: &str, query: EndQuery) -> Result<StatusCode, Failure> {
    let container = match containers::running(api, wanted).await {
        Ok(container) => container,
        Err(failure) => {
            let found = containers::find(&*Snapshot::latest(api).await?, wanted);
            let has_ended = found.is_ok_and(|container| state_word(&container.task) == "exited");
            return if has_ended { Ok(StatusCode::NOT_MODIFIED) } else { Err(failure) };
        }
    };
    let grace_ms = query.grace_ms();
    let grace = Duration::from_millis(grace_ms.unwrap_or(container.template.stop_grace_ms));
    let request = RunRequest::Stop { signal: query.signal(), grace_ms };
    api.handle.request_run(container.node, container.run, request).await??;
    let deadline = Instant::now().checked_add(grace.saturating_add(TIMEOUT));
    let ended = until_ended(api, &container);
    let in_time = match deadline {
        Some(deadline) => timeout_at(deadline, ended).await,
        None => Ok(ended.await),
    };
    let Ok(ended) = in_time else {
        return Err(Failure::Unavailable(format!(
            "task {} was told to end and has not; edgectl why {0}",
            container.task.edge.name
        )));
    };
    ended.map(|_| StatusCode::NO_CONTENT)
}

/// `POST /containers/{id}/kill`.
pub async fn kill(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<EndQuery>>,
) -> Result<StatusCode, Failure> {
    let signal = query?.signal().unwrap_or_default();
    if let Some(container) = by_hand(&api, &wanted).await? {
        return run::kill(&api, &container, signal).await;
    }
    let container = containers::running(&api, &wanted).await?;
    api.handle.request_run(container.node, container.run, RunRequest::Signal { signal }).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /containers/{id}/wait`: the exit code of this attempt, when it has ended. The head of the
/// answer is sent at once: Docker's client waits for it before anything else.
pub async fn wait(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<WaitQuery>>,
) -> Result<Response, Failure> {
    let condition = query?.0.condition;
    let container = containers::find(&*Snapshot::latest(&api).await?, &wanted)?;
    if container.standalone.is_some() {
        return standalone::wait::wait(api, &container, condition.as_deref()).await;
    }
    let ended = stream::once(async move {
        match until_ended(&api, &container).await {
            Ok(code) => Ok(json!({ "StatusCode": code }).to_string()),
            Err(failure) => Err(io::Error::other(failure.to_string())),
        }
    });
    let head = [(header::CONTENT_TYPE, "application/json")];
    Ok((head, Body::from_stream(ended)).into_response())
}

/// `POST /containers/{id}/attach`.
pub async fn attach(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<AttachQuery>>,
    request: Request,
) -> Result<Response, Failure> {
    let query = query?.0;
    match by_hand(&api, &wanted).await? {
        Some(container) => standalone::attach::attach(api, container, query, request).await,
        None => Err(Failure::NotYet(format!(
            "nobody is attached to a task; what {wanted} says: edgectl logs -f {wanted}; a shell \
             beside it: edgectl exec -it {wanted} sh"
        ))),
    }
}

/// `POST /containers/{id}/resize`.
pub async fn resize(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<ResizeQuery>>,
) -> Result<StatusCode, Failure> {
    let (rows, columns) = query?.0.size()?;
    let container = containers::running(&api, &wanted).await?;
    let request = RunRequest::Resize { rows, columns };
    api.handle.request_run(container.node, container.run, request).await??;
    Ok(StatusCode::OK)
}

/// `POST /containers/{id}/pause`, also of a task's container: nobody starts another one, and a check
/// of its health that gets no answer ends it.
pub async fn pause(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Failure> {
    ask(&api, &wanted, RunRequest::Pause).await
}

/// `POST /containers/{id}/unpause`.
pub async fn unpause(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Failure> {
    ask(&api, &wanted, RunRequest::Unpause).await
}

async fn ask(api: &Api, wanted: &str, request: RunRequest) -> Result<StatusCode, Failure> {
    let container = containers::running(api, wanted).await?;
    api.handle.request_run(container.node, container.run, request).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /containers/{id}/rename`.
pub async fn rename(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<RenameQuery>>,
) -> Result<StatusCode, Failure> {
    let name = query?.0.name;
    match by_hand(&api, &wanted).await? {
        Some(container) => run::rename(&api, &container, name.trim_start_matches('/')).await,
        None => Err(of_its_service("rename", &wanted)),
    }
}

/// Waits for the end of an attempt; returns its exit code. Checks only when something changed.
async fn until_ended(api: &Api, container: &Container) -> Result<i32, Failure> {
    let mut changes = api.handle.changes();
    loop {
        let next_look = Instant::now() + CHECK_INTERVAL;
        if let Some(code) = end_of(api, container).await? {
            return Ok(code);
        }
        changes.next().await?;
        sleep_until(next_look).await;
    }
}

/// The exit code of an attempt that has ended. An attempt without a record has ended, too.
async fn end_of(api: &Api, container: &Container) -> Result<Option<i32>, Failure> {
    let (service, run) = (container.service_id, container.run);
    let views = api.read(move |node, now| {
        let mut views =
            node.service(service).map(|s| node.report(now).tasks_of(s)).unwrap_or_default();
        views.retain(|view| view.id == run.task);
        views
    });
    let views = views.await?;
    let mut objects = views.iter().flat_map(|view| task_objects(view, TaskContext::default(), 0));
    let Some(TaskObject { task, .. }) =
        objects.find(|object| object.run == Some((container.node, run)))
    else {
        return Ok(Some(0));
    };
    let code = task.status.container_status.as_ref().map_or(0, |status| status.exit_code);
    Ok((state_word(&task) == "exited").then_some(code))
}

/// Refuses operations that this version has for no container.
pub async fn owned(Path(wanted): Path<String>, request: Request) -> Failure {
    let verb = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    of_its_service(&verb, &wanted)
}

fn of_its_service(verb: &str, wanted: &str) -> Failure {
    Failure::NotYet(format!(
        "{verb} is not for the container of a task ({wanted}): it is made, changed and removed by its \
         service; edgectl service update or rm"
    ))
}

/// `DELETE /containers/{id}`.
pub async fn remove(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<RemoveQuery>>,
) -> Result<StatusCode, Failure> {
    let is_forced = matches!(query?.0.force.as_deref(), Some("1" | "true" | "True"));
    let force = if is_forced { Force::Yes } else { Force::No };
    let container = containers::find(&*Snapshot::latest(&api).await?, &wanted)?;
    if container.standalone.is_some() {
        return removal::remove(&api, &container, force).await;
    }
    let Container { service, .. } = &container;
    Err(Failure::Conflict(format!(
        "container {wanted} belongs to service {service} and goes with it; edgectl service rm {service}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_of_any_length_is_a_number_of_milliseconds() {
        let grace = |t| EndQuery { signal: None, t }.grace_ms();
        assert_eq!((grace(None), grace(Some(0)), grace(Some(10))), (None, Some(0), Some(10_000)));
        for endless in [-1, i64::MIN, i64::MAX] {
            assert_eq!(grace(Some(endless)), Some(u64::MAX));
        }
    }
}
