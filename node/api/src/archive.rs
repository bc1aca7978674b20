//! `/containers/{id}/archive`: copies files into and out of running tasks on any node, as tar.
//!
//! Nothing is stored here: each piece is passed on as it arrives, as fast as the slower side takes
//! it.

use std::io;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use runtime::copy::{PathStat, PutOrder};
use runtime::exec::frame::{CHUNK_BYTES, Frame, Kind};
use runtime::exec::{ExecRefusal, ExecRequest};
use serde::Deserialize;

use super::container::Container;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Answer, Api, containers};
use node_agent::{RunSession, SessionGone};
use node_docker::path_stat::{ContainerPathStat, PATH_STAT_HEADER};

/// The parameters of `/containers/{id}/archive`.
#[derive(Debug, Default, Deserialize)]
pub struct ArchiveQuery {
    path: Option<String>,
    #[serde(rename = "noOverwriteDirNonDir")]
    keep_kinds: Option<String>,
    #[serde(rename = "copyUIDGID")]
    own: Option<String>,
}

impl ArchiveQuery {
    fn path(&self) -> Result<String, Failure> {
        let path = self.path.clone().filter(|path| !path.is_empty());
        let path = path
            .ok_or_else(|| Failure::Bad("name a path in the task: ?path=/etc/hosts".to_owned()))?;
        match path.contains('\0') {
            true => Err(Failure::Bad("a path has no NUL byte".to_owned())),
            false => Ok(path),
        }
    }
}

/// `HEAD /containers/{id}/archive`.
pub async fn stat(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<ArchiveQuery>>,
) -> Result<Response, Failure> {
    let mut session = begin(&api, &wanted, ExecRequest::Stat { path: query?.path()? }).await?;
    let found = told(&mut session).await?;
    Ok([(PATH_STAT_HEADER, header_of(found)?)].into_response())
}

/// `GET /containers/{id}/archive`.
pub async fn get(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<ArchiveQuery>>,
) -> Result<Response, Failure> {
    let mut session = begin(&api, &wanted, ExecRequest::Get { path: query?.path()? }).await?;
    let found = told(&mut session).await?;
    let archive = stream::unfold(Some(session), |session| async move {
        let mut session = session?;
        loop {
            return match session.next().await {
                Ok(Some(Frame { kind: Kind::Stdout, payload })) => {
                    Some((Ok(payload), Some(session)))
                }
                Ok(Some(Frame { kind: Kind::Exited, .. })) => None,
                Ok(Some(Frame { kind: Kind::Refused, payload })) => {
                    Some((Err(broken(&payload)), None))
                }
                Ok(Some(_)) => continue,
                Ok(None) => Some((Err(io::Error::other(SessionGone::Cut)), None)),
                Err(error) => Some((Err(io::Error::other(error)), None)),
            };
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar")),
        (PATH_STAT_HEADER.parse().expect("a name of a header"), header_of(found)?),
    ];
    Ok((headers, Body::from_stream(archive)).into_response())
}

/// `PUT /containers/{id}/archive`.
pub async fn put(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<ArchiveQuery>>,
    request: Request,
) -> Result<StatusCode, Failure> {
    let query = query?;
    let is_set = |value: &Option<String>| matches!(value.as_deref(), Some("1" | "true" | "True"));
    let order = PutOrder {
        path: query.path()?,
        keep_kinds: is_set(&query.keep_kinds),
        own: is_set(&query.own),
    };
    let mut body = request.into_body().into_data_stream();
    let mut session = begin(&api, &wanted, ExecRequest::Put(order)).await?;
    expect(&mut session, Kind::Started).await?;
    let writer = session.writer();
    'body: while let Some(chunk) = body.next().await {
        // If the client goes away in the middle, dropping the session removes the partly written
        // file.
        let chunk = chunk.map_err(|error| Failure::Bad(format!("the archive is cut: {error}")))?;
        for part in chunk.chunks(CHUNK_BYTES) {
            if !writer.send(&Frame::new(Kind::Stdin, part)).await {
                // The session has sent the reason.
                break 'body;
            }
        }
    }
    writer.send(&Frame::new(Kind::End, [])).await;
    expect(&mut session, Kind::Exited).await?;
    Ok(StatusCode::OK)
}

async fn begin(api: &Api, wanted: &str, order: ExecRequest) -> Result<RunSession, Failure> {
    let container = match containers::running(api, wanted).await {
        Ok(container) => container,
        // Files are read from a container made by hand also while it is stopped.
        Err(failure) => {
            let found = containers::find(&*Snapshot::latest(api).await?, wanted);
            let reads = matches!(order, ExecRequest::Stat { .. } | ExecRequest::Get { .. });
            let is_kept = |found: &Container| found.standalone.is_some() && found.run.attempt > 0;
            found.ok().filter(|found| reads && is_kept(found)).ok_or(failure)?
        }
    };
    Ok(api.handle.session(container.node, container.run, &order).await?)
}

/// Reads the description of the path, which is sent first.
async fn told(session: &mut RunSession) -> Result<PathStat, Failure> {
    let frame = expect(session, Kind::Stat).await?;
    Ok(serde_json::from_slice(&frame.payload)?)
}

async fn expect(session: &mut RunSession, kind: Kind) -> Result<Frame, Failure> {
    match session.next().await? {
        Some(frame) if frame.kind == kind => Ok(frame),
        Some(frame) if frame.kind == Kind::Refused => {
            Err(Failure::from(serde_json::from_slice::<ExecRefusal>(&frame.payload)?))
        }
        _ => Err(Failure::from(SessionGone::Cut)),
    }
}

/// Breaks the archive off in the middle: the client can no longer be told more than that.
fn broken(refusal: &[u8]) -> io::Error {
    let refusal = serde_json::from_slice::<ExecRefusal>(refusal);
    let why = refusal.map_or_else(|error| error.to_string(), |refusal| refusal.message);
    tracing::warn!("an archive is cut: {why}");
    io::Error::other(why)
}

fn header_of(found: PathStat) -> Result<HeaderValue, Failure> {
    let text = ContainerPathStat::of(found).to_header();
    HeaderValue::from_str(&text).map_err(|error| Failure::Unavailable(error.to_string()))
}
