//! `GET /containers/{id}/export` and `/changes`, `POST /commit`: the files of a container, whether it
//! runs or not.
//!
//! They are packed by a helper on the container's node, and pass through here as they come.

use std::io::{self, Read};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use crdt_state::spec::Template;
use futures_util::stream;
use node_agent::{RunSession, SessionGone};
use runtime::copy::Change;
use runtime::exec::frame::{Frame, Kind};
use runtime::exec::{ExecRefusal, ExecRequest};
use runtime::image::{Commit, ImageError, Images, Reference};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::container::Container;
use crate::failure::Failure;
use crate::images::transfer::{name, repeated};
use crate::snapshot::Snapshot;
use crate::wall_clock::wall_clock;
use crate::{Answer, Api, containers};

/// Pieces of a layer that wait for the disk at most.
const PIECES_WAITING: usize = 8;

/// The parameters of `POST /commit`.
#[derive(Debug, Default, Deserialize)]
pub struct CommitQuery {
    container: Option<String>,
    repo: Option<String>,
    tag: Option<String>,
    comment: Option<String>,
    author: Option<String>,
}

/// `GET /containers/{id}/export`.
pub async fn export(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Response, Failure> {
    let container = by_hand(&api, &wanted, "export").await?;
    let session = begin(&api, &container, ExecRequest::Export).await?;
    let archive = stream::unfold(Some(session), |session| async move {
        let mut session = session?;
        match piece(&mut session).await {
            Ok(Some(bytes)) => Some((Ok(Bytes::from(bytes)), Some(session))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(archive)).into_response())
}

/// `GET /containers/{id}/changes`.
pub async fn changes(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Vec<Change>>, Failure> {
    let container = by_hand(&api, &wanted, "diff").await?;
    let mut session = begin(&api, &container, ExecRequest::Changes).await?;
    let mut words = Vec::new();
    while let Some(bytes) = piece(&mut session).await.map_err(unavailable)? {
        words.extend(bytes);
    }
    Ok(Json(serde_json::from_slice(&words)?))
}

/// `POST /commit`: an image on this node, of the container's image and what it wrote.
pub async fn commit(
    State(api): State<Api>,
    query: Answer<Query<CommitQuery>>,
    RawQuery(raw): RawQuery,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let query = query?.0;
    let wanted = query.container.unwrap_or_default();
    let container = by_hand(&api, &wanted, "commit").await?;
    if container.node != api.handle.me() {
        return Err(Failure::Conflict(format!(
            "container {wanted} is on another node, and the image would be made there: ask the agent of \
             that node; edgectl inspect"
        )));
    }
    let commit = Commit {
        config: config(&container.template),
        changes: repeated(raw.as_deref(), "changes"),
        name: name(query.repo.as_deref(), query.tag.as_deref())?,
        author: query.author.unwrap_or_default(),
        message: query.comment.unwrap_or_default(),
        created: wall_clock().to_rfc3339(),
    };
    let mut session = begin(&api, &container, ExecRequest::Layer).await?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    tokio::spawn(async move {
        loop {
            let piece = piece(&mut session).await.transpose();
            let is_last = !matches!(piece, Some(Ok(_)));
            let Some(piece) = piece else { return };
            if sender.send(piece).await.is_err() || is_last {
                return;
            }
        }
    });
    let layer = Pieces { receiver, rest: Vec::new() };
    let image = container.template.image.clone();
    let id = api.images(move |images| committed(images, &image, layer, &commit)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": id }))))
}

fn committed(
    images: &Images,
    image: &str,
    layer: Pieces,
    commit: &Commit,
) -> Result<String, ImageError> {
    let reference: Reference = image.parse()?;
    let base = images.find(&reference)?.ok_or_else(|| ImageError::Unknown(image.to_owned()))?;
    let digest = images.commit(&base, layer, commit)?;
    Ok(images.inspect(digest.as_str())?.image.config_digest.to_string())
}

/// What the container was given, in the words of an image.
fn config(template: &Template) -> Map<String, Value> {
    let words = |words: &[String]| (!words.is_empty()).then(|| json!(words));
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let labels = (!template.labels.is_empty()).then(|| json!(template.labels));
    let given = [
        ("Entrypoint", words(&template.command)),
        ("Cmd", words(&template.args)),
        ("Env", words(&template.env)),
        ("User", text(&template.user)),
        ("WorkingDir", text(&template.dir)),
        ("StopSignal", text(&template.stop_signal)),
        ("Labels", labels),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

async fn by_hand(api: &Api, wanted: &str, verb: &str) -> Result<Container, Failure> {
    let container = containers::find(&*Snapshot::latest(api).await?, wanted)?;
    if container.standalone.is_none() {
        return Err(Failure::NotYet(format!(
            "{verb} is for containers that were made by hand, and {wanted} is that of a task; its files: \
             edgectl cp {wanted}:/ DIR"
        )));
    }
    if container.run.attempt == 0 {
        return Err(Failure::Conflict(format!(
            "container {wanted} was never started, so it has no files of its own yet; docker start {wanted}"
        )));
    }
    Ok(container)
}

/// Begins a session whose first frame says that the files were found.
async fn begin(
    api: &Api,
    container: &Container,
    request: ExecRequest,
) -> Result<RunSession, Failure> {
    let mut session = api.handle.session(container.node, container.run, &request).await?;
    match session.next().await? {
        Some(frame) if frame.kind == Kind::Started => Ok(session),
        Some(frame) if frame.kind == Kind::Refused => {
            Err(Failure::from(serde_json::from_slice::<ExecRefusal>(&frame.payload)?))
        }
        _ => Err(Failure::from(SessionGone::Cut)),
    }
}

/// The next piece of an archive; `None` after the last one.
async fn piece(session: &mut RunSession) -> io::Result<Option<Vec<u8>>> {
    match session.next().await {
        Ok(Some(Frame { kind: Kind::Stdout, payload })) => Ok(Some(payload)),
        Ok(Some(Frame { kind: Kind::Exited, .. })) => Ok(None),
        Ok(Some(Frame { kind: Kind::Refused, payload })) => {
            let refusal = serde_json::from_slice::<ExecRefusal>(&payload);
            Err(io::Error::other(refusal.map_or_else(|e| e.to_string(), |r| r.message)))
        }
        Ok(_) => Err(io::Error::other(SessionGone::Cut.to_string())),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

fn unavailable(error: io::Error) -> Failure {
    Failure::Unavailable(error.to_string())
}

/// The pieces, to read on a blocking thread.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    rest: Vec<u8>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}
