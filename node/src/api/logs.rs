//! Logs of a service or of one task, from wherever it ran, in Docker's stream of frames.
//!
//! The logs of the tasks are read side by side, each line as it comes; a node that is silent costs
//! one line that says so, never the logs of the others. With `follow`, tasks that come later join.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use crdt_state::NodeId;
use crdt_state::task::Run;
use futures_util::stream;
use runtime::logs::{LogEntry, Stream};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::log_frames::{Prefix, Source, frame};
use super::snapshot::Snapshot;
use super::system::wall_clock;
use super::task_object::{TaskObject, spoken};
use super::{Answer, Api, container_object, containers, tasks};
use crate::agent::LogsGone;
use crate::transport::LogRequest;

/// Frames that wait for a slow client: 64 of at most 17 KiB; then the readers wait.
const FRAMES_MAX: usize = 64;

/// A follower looks this often for tasks that came later.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// A log that is not followed and says nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The parameters of `GET /services/{id}/logs` and `GET /tasks/{id}/logs`.
#[derive(Debug, Default, Deserialize)]
pub struct LogsQuery {
    details: Option<String>,
    follow: Option<String>,
    since: Option<String>,
    stderr: Option<String>,
    stdout: Option<String>,
    tail: Option<String>,
    timestamps: Option<String>,
}

/// What a client wants to see.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    prefix: Prefix,
    follow: bool,
    since_wall_ms: Option<u64>,
    stderr: bool,
    stdout: bool,
    tail: Option<u64>,
    /// What a terminal showed is sent as it was.
    unframed: bool,
}

/// Whose logs.
#[derive(Debug, Clone)]
enum Scope {
    Service(String),
    Task(String),
    /// One run: its log ends with it.
    Run(Run),
}

/// `GET /services/{id}/logs`.
pub async fn of_service(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<LogsQuery>>,
) -> Result<Response, Failure> {
    let what = Wanted::read(&query?.0)?;
    let id = Snapshot::take(&api).await?.service(&wanted)?.id.to_string();
    Ok(respond(api, Scope::Service(id), what))
}

/// `GET /tasks/{id}/logs`.
pub async fn of_task(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<LogsQuery>>,
) -> Result<Response, Failure> {
    let what = Wanted::read(&query?.0)?;
    let id = tasks::find(&Snapshot::take(&api).await?, &wanted)?.task.id;
    Ok(respond(api, Scope::Task(id), what))
}

/// `GET /containers/{id}/logs`.
pub async fn of_container(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<LogsQuery>>,
) -> Result<Response, Failure> {
    let mut what = Wanted::read(&query?.0)?;
    let container = containers::find(&Snapshot::take(&api).await?, &wanted)?;
    // Docker's details of a container are labels of its log driver, of which there are none.
    what.prefix.details = false;
    what.unframed = container_object::is_terminal(&container.template);
    Ok(respond(api, Scope::Run(container.run), what))
}

fn respond(api: Api, scope: Scope, what: Wanted) -> Response {
    let (sender, receiver) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(gather(api, scope, what, sender));
    let frames = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        let frame = receiver.recv().await?;
        Some((Ok::<_, Infallible>(frame), receiver))
    });
    let kind = match what.unframed {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    let kind = [(header::CONTENT_TYPE, kind)];
    (kind, Body::from_stream(frames)).into_response()
}

/// Reads the logs of every run in the scope, until all are read or the client goes.
async fn gather(api: Api, scope: Scope, what: Wanted, frames: mpsc::Sender<Bytes>) {
    let mut readers = JoinSet::new();
    let mut begun = BTreeSet::new();
    let mut told = BTreeSet::new();
    let mut tail = what.tail;
    while let Ok(snapshot) = Snapshot::take(&api).await {
        let objects: Vec<TaskObject> = in_scope(&snapshot, &scope).collect();
        for object in objects {
            let Some((node, run)) = object.run else { continue };
            let source = source(&object);
            let log = Log { name: object.task.edge.name, node, run, source, tail };
            if let Some(ms) = object.task.edge.unreachable_ms {
                if told.insert(run) {
                    let why = format!("its node has been unreachable for {}", spoken(ms));
                    note(&log, &snapshot.hostname(node), &why, what, &frames).await;
                }
            } else if begun.insert(run) {
                let hostname = snapshot.hostname(node);
                readers.spawn(pump(api.clone(), log, hostname, what, frames.clone()));
            }
        }
        if !what.follow || matches!(scope, Scope::Run(_)) {
            break;
        }
        // Whoever comes later is shown from its first line.
        tail = None;
        tokio::select! {
            () = sleep(FOLLOW_INTERVAL) => {}
            () = frames.closed() => return,
        }
    }
    while readers.join_next().await.is_some() {}
}

fn in_scope<'a>(snapshot: &'a Snapshot, scope: &'a Scope) -> impl Iterator<Item = TaskObject> + 'a {
    tasks::objects(snapshot).filter(move |object| match scope {
        Scope::Service(id) => object.task.service_id == *id,
        Scope::Task(id) => object.task.id == *id,
        Scope::Run(run) => object.run.is_some_and(|(_, found)| found == *run),
    })
}

fn source(object: &TaskObject) -> Source {
    Source {
        node: object.task.node_id.clone(),
        service: object.task.service_id.clone(),
        task: object.task.id.clone(),
    }
}

/// One log to read.
struct Log {
    name: String,
    node: NodeId,
    run: Run,
    source: Source,
    tail: Option<u64>,
}

async fn pump(api: Api, log: Log, hostname: String, what: Wanted, frames: mpsc::Sender<Bytes>) {
    let request = LogRequest {
        run: log.run,
        tail: log.tail,
        since_wall_ms: what.since_wall_ms,
        follow: what.follow,
    };
    let Ok(mut entries) = api.handle.logs(log.node, request).await else { return };
    loop {
        let next = if what.follow {
            entries.next().await
        } else {
            match timeout(SILENCE_MAX, entries.next()).await {
                Ok(next) => next,
                Err(_) => return note(&log, &hostname, "it does not answer", what, &frames).await,
            }
        };
        match next {
            None => return,
            Some(Ok(entry)) => {
                if what.wants(&entry) && !send(&log, &entry, what, &frames).await {
                    return;
                }
            }
            // A run that never said anything, or whose files were cleared away.
            Some(Err(LogsGone::Disk(error))) if error.kind() == ErrorKind::NotFound => return,
            Some(Err(error)) => {
                return note(&log, &hostname, &error.to_string(), what, &frames).await;
            }
        }
    }
}

/// Sends one entry; false when the client is gone.
async fn send(log: &Log, entry: &LogEntry, what: Wanted, frames: &mpsc::Sender<Bytes>) -> bool {
    let frame = match what.unframed {
        true => Bytes::copy_from_slice(&entry.bytes),
        false => frame(what.prefix, &log.source, entry),
    };
    frames.send(frame).await.is_ok()
}

/// Tells in the stream itself why a log is missing: its status was sent long ago.
async fn note(log: &Log, node: &str, why: &str, what: Wanted, frames: &mpsc::Sender<Bytes>) {
    let text = format!("edgectl: the log of {} on {node} cannot be read: {why}\n", log.name);
    let wall_ns = wall_clock().0.saturating_mul(1_000_000);
    let entry = LogEntry { wall_ns, stream: Stream::Stderr, bytes: text.into_bytes() };
    if what.stderr {
        send(log, &entry, what, frames).await;
    }
}

impl Wanted {
    fn read(query: &LogsQuery) -> Result<Wanted, Failure> {
        let is_set = |value: &Option<String>| {
            matches!(value.as_deref(), Some("1" | "true" | "True" | "TRUE" | "t" | "T"))
        };
        let wanted = Wanted {
            prefix: Prefix {
                timestamps: is_set(&query.timestamps),
                details: is_set(&query.details),
            },
            follow: is_set(&query.follow),
            since_wall_ms: since(query.since.as_deref())?,
            stderr: is_set(&query.stderr),
            stdout: is_set(&query.stdout),
            tail: tail(query.tail.as_deref())?,
            unframed: false,
        };
        if !wanted.stdout && !wanted.stderr {
            return Err(Failure::Bad(
                "choose at least one stream: stdout=1, stderr=1 or both".to_owned(),
            ));
        }
        Ok(wanted)
    }

    fn wants(&self, entry: &LogEntry) -> bool {
        match entry.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

/// `all`, or a number of lines per task.
fn tail(text: Option<&str>) -> Result<Option<u64>, Failure> {
    match text {
        None | Some("" | "all") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failure::Bad(format!("tail: `{text}` is neither `all` nor a number of lines"))
        }),
    }
}

/// Seconds since 1970; Docker's client sends nothing, or 0, for "from the beginning".
fn since(text: Option<&str>) -> Result<Option<u64>, Failure> {
    match text {
        None | Some("" | "0") => Ok(None),
        Some(text) => super::events::wall_ms("since", text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_no_stream_is_refused() {
        assert!(Wanted::read(&LogsQuery::default()).is_err());
    }

    #[test]
    fn a_request_of_dockers_client_is_read() {
        let text = |value: &str| Some(value.to_owned());
        let query = LogsQuery {
            details: text("1"),
            follow: text("1"),
            since: text("1777636800.250000000"),
            stderr: text("1"),
            stdout: text("1"),
            tail: text("20"),
            timestamps: None,
        };
        let wanted = Wanted::read(&query).expect("a request");
        assert!(wanted.follow && wanted.prefix.details && !wanted.prefix.timestamps);
        assert_eq!(wanted.since_wall_ms, Some(1_777_636_800_250));
        assert_eq!(wanted.tail, Some(20));
        assert!(tail(Some("many")).is_err());
        assert_eq!(tail(Some("all")), Ok(None));
    }
}
