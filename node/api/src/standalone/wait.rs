//! `POST /containers/{id}/wait`: how a container ends.

use std::io;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use crdt_state::ServiceId;
use futures_util::stream;
use serde_json::json;

use super::removal::until_files_are_gone;
use super::run::gone;
use super::{CODE_UNKNOWN, Moment};
use crate::Api;
use crate::container::Container;
use crate::failure::Failure;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The end of the attempt with this number, or of a later one.
    EndFrom(u32),
    /// It runs no longer.
    Ended,
    /// It is removed.
    Removed,
}

/// The head of the answer is sent at once: Docker's client starts the container after it.
pub async fn wait(
    api: Api,
    container: &Container,
    condition: Option<&str>,
) -> Result<Response, Failure> {
    let id = container.service_id;
    let before = api.moment(id).await?.ok_or_else(|| gone(container))?;
    let until = match condition {
        None | Some("" | "not-running") => Until::Ended,
        Some("next-exit") => Until::EndFrom(before.number() + u32::from(!before.is_live())),
        Some("removed") => Until::Removed,
        Some(other) => {
            return Err(Failure::Bad(format!(
                "condition=`{other}` is none of not-running, next-exit, removed; leave it out"
            )));
        }
    };
    let ended = stream::once(async move {
        match code(&api, id, before, until).await {
            Ok(code) => Ok(json!({ "StatusCode": code }).to_string()),
            Err(failure) => Err(io::Error::other(failure.to_string())),
        }
    });
    let head = [(header::CONTENT_TYPE, "application/json")];
    Ok((head, Body::from_stream(ended)).into_response())
}

async fn code(api: &Api, id: ServiceId, before: Moment, until: Until) -> Result<i32, Failure> {
    let mut changes = api.handle.changes();
    let mut last = before;
    loop {
        let Some(moment) = api.moment(id).await? else {
            // An end may have been followed by the removal before anybody looked.
            let seen = || last.end_from(last.number()).unwrap_or(CODE_UNKNOWN);
            until_files_are_gone(api, &last).await;
            return Ok(api.standalones.code(id).unwrap_or_else(seen));
        };
        let ended = match until {
            Until::EndFrom(number) => moment.end_from(number),
            Until::Ended if moment.number() == 0 => Some(0).filter(|_| !moment.is_wanted),
            Until::Ended => moment.end_from(moment.number()),
            Until::Removed => None,
        };
        if let Some(code) = ended {
            return Ok(code);
        }
        last = moment;
        changes.next().await?;
    }
}
