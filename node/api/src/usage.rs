//! `/containers/{id}/stats` and `/containers/{id}/top`: resource usage and processes of running
//! tasks, on any node.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use runtime::run_request::{RunReply, RunRequest};
use serde::Deserialize;
use tokio::time::sleep;

use super::container::Container;
use super::containers;
use super::failure::Failure;
use super::wall_clock::wall_clock;
use super::{Answer, Api};
use node_docker::container::ProcessTable;
use node_docker::stats::Stats;

/// Between two samples, as in Docker.
const INTERVAL: Duration = Duration::from_secs(1);

/// The parameters of `GET /containers/{id}/stats`.
#[derive(Debug, Default, Deserialize)]
pub struct StatsQuery {
    stream: Option<String>,
    #[serde(rename = "one-shot")]
    one_shot: Option<String>,
}

/// `GET /containers/{id}/stats`.
pub async fn stats(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<StatsQuery>>,
) -> Result<Response, Failure> {
    let query = query?;
    let is = |value: &Option<String>, words: [&str; 3]| {
        value.as_deref().is_some_and(|value| words.contains(&value))
    };
    let container = containers::running(&api, &wanted).await?;
    let first = sample(&api, &container, None).await?;
    if is(&query.stream, ["0", "false", "False"]) {
        if is(&query.one_shot, ["1", "true", "True"]) {
            return Ok(Json(first).into_response());
        }
        sleep(INTERVAL).await;
        return Ok(Json(sample(&api, &container, Some(&first)).await?).into_response());
    }
    let samples = stream::unfold((first.clone(), Some(first)), move |(before, ready)| {
        let (api, container) = (api.clone(), container.clone());
        async move {
            let next = match ready {
                Some(first) => first,
                None => {
                    sleep(INTERVAL).await;
                    // If the task has ended or its node is gone, the stream ends too.
                    sample(&api, &container, Some(&before)).await.ok()?
                }
            };
            let mut line = serde_json::to_vec(&next).expect("numbers and texts are JSON");
            line.push(b'\n');
            Some((Ok::<_, Infallible>(Bytes::from(line)), (next, None)))
        }
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, Body::from_stream(samples)).into_response())
}

async fn sample(
    api: &Api,
    container: &Container,
    before: Option<&Stats>,
) -> Result<Stats, Failure> {
    match api.handle.request_run(container.node, container.run, RunRequest::Stats).await?? {
        RunReply::Stats(sample) => Ok(Stats {
            id: container.id.clone(),
            name: format!("/{}", container.name()),
            ..Stats::of(*sample, wall_clock(), before)
        }),
        RunReply::Processes(_) | RunReply::Delivered => Err(another_answer()),
    }
}

/// The parameters of `GET /containers/{id}/top`.
#[derive(Debug, Default, Deserialize)]
pub struct TopQuery {
    ps_args: Option<String>,
}

/// `GET /containers/{id}/top`.
pub async fn top(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<TopQuery>>,
) -> Result<Json<ProcessTable>, Failure> {
    let args = query?.0.ps_args.unwrap_or_default();
    let container = containers::running(&api, &wanted).await?;
    match api
        .handle
        .request_run(container.node, container.run, RunRequest::Processes { args })
        .await??
    {
        RunReply::Processes(found) => {
            Ok(Json(ProcessTable { titles: found.titles, processes: found.rows }))
        }
        RunReply::Stats(_) | RunReply::Delivered => Err(another_answer()),
    }
}

fn another_answer() -> Failure {
    Failure::Unavailable(
        "the task's node answers something else; is it of another version?".to_owned(),
    )
}
