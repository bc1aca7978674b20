//! Logs of a service, of a task with all its runs, or of one run, from any node, in Docker's stream
//! of frames.
//!
//! Lines of all tasks are sent in order of time. For a silent node there is one line that says so,
//! and an error at the end; the logs of the other nodes are complete. With `follow`, later runs and
//! tasks are added, until the service is removed.

mod chain;
mod frames;
mod gather;
mod lines;
mod merge;
mod place;
mod scope;

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use runtime::logs::{LogEntry, Stream};
use serde::Deserialize;
use tokio::sync::mpsc;

use self::frames::Prefix;
use self::gather::Gather;
use self::scope::Scope;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::wall_clock::wall_ns;
use super::{Answer, Api, container_object, containers};

/// Lines that wait for a slow client; above, the readers wait.
const FRAMES_MAX: usize = 16;

/// The parameters of `GET /services/{id}/logs`, `GET /tasks/{id}/logs` and
/// `GET /containers/{id}/logs`.
#[derive(Debug, Default, Deserialize)]
pub struct LogsQuery {
    details: Option<String>,
    follow: Option<String>,
    since: Option<String>,
    stderr: Option<String>,
    stdout: Option<String>,
    tail: Option<String>,
    timestamps: Option<String>,
    until: Option<String>,
    /// In frames even for a terminal: `edgectl logs` names the task of each line.
    #[serde(rename = "_framed")]
    framed: Option<String>,
}

/// The request of a client.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    prefix: Prefix,
    follow: bool,
    since_ns: Option<u64>,
    until_ns: Option<u64>,
    stderr: bool,
    stdout: bool,
    tail: Option<u64>,
    /// Without frames, as Docker sends the output of a terminal.
    unframed: bool,
}

/// `GET /services/{id}/logs`.
pub async fn of_service(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<LogsQuery>>,
) -> Result<Response, Failure> {
    let query = query?.0;
    let what = Wanted::read(&query)?;
    let snapshot = Snapshot::latest(&api).await?;
    let service = snapshot.service(&wanted)?;
    let is_terminal = container_object::is_terminal(&service.template);
    let what = if is_terminal { what.on_terminal(&query) } else { what };
    Ok(respond(api, Scope::Service(service.id.to_string()), what))
}

/// `GET /tasks/{id}/logs`.
pub async fn of_task(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<LogsQuery>>,
) -> Result<Response, Failure> {
    let query = query?.0;
    let what = Wanted::read(&query)?;
    let snapshot = Snapshot::latest(&api).await?;
    let scope = Scope::of_task(&snapshot, &wanted)?;
    let what = if scope.is_terminal(&snapshot) { what.on_terminal(&query) } else { what };
    Ok(respond(api, scope, what))
}

/// `GET /containers/{id}/logs`. For the name of a task: all its runs; otherwise one run.
pub async fn of_container(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<LogsQuery>>,
) -> Result<Response, Failure> {
    let query = query?.0;
    let mut what = Wanted::read(&query)?;
    // Docker's details of a container are labels of its log driver, which do not exist here.
    what.prefix.details &= is_set(&query.framed);
    let snapshot = Snapshot::latest(&api).await?;
    let (scope, is_terminal) = match Scope::of_name(&snapshot, wanted.trim_start_matches('/')) {
        Some(scope) => {
            let is_terminal = scope.is_terminal(&snapshot);
            (scope, is_terminal)
        }
        None => {
            let container = containers::find(&snapshot, &wanted)?;
            let is_terminal = container_object::is_terminal(&container.template);
            let scope = match container.standalone {
                // All its runs: it is one container to its clients.
                Some(_) => Scope::Task(container.task.id),
                None => Scope::Run(container.run),
            };
            (scope, is_terminal)
        }
    };
    let what = if is_terminal { what.on_terminal(&query) } else { what };
    Ok(respond(api, scope, what))
}

fn respond(api: Api, scope: Scope, what: Wanted) -> Response {
    let (sender, receiver) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(Gather::new(api, scope, what, sender).run());
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

impl Wanted {
    fn read(query: &LogsQuery) -> Result<Wanted, Failure> {
        let wanted = Wanted {
            prefix: Prefix {
                timestamps: is_set(&query.timestamps),
                details: is_set(&query.details),
            },
            follow: is_set(&query.follow),
            since_ns: moment("since", query.since.as_deref())?,
            until_ns: moment("until", query.until.as_deref())?,
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

    /// Docker's clients expect the output of a terminal without frames, and put no names before it.
    fn on_terminal(mut self, query: &LogsQuery) -> Wanted {
        self.unframed = !is_set(&query.framed);
        self.prefix.details &= !self.unframed;
        self
    }

    /// Is the output sent byte by byte, not by lines?
    fn is_exact(&self) -> bool {
        self.unframed && !self.prefix.timestamps
    }

    fn wants(&self, line: &LogEntry) -> bool {
        let is_in_time = self.since_ns.is_none_or(|since| line.wall_ns >= since)
            && self.until_ns.is_none_or(|until| line.wall_ns <= until);
        is_in_time
            && match line.stream {
                Stream::Stdout => self.stdout,
                Stream::Stderr => self.stderr,
            }
    }
}

fn is_set(value: &Option<String>) -> bool {
    matches!(value.as_deref(), Some("1" | "true" | "True" | "TRUE" | "t" | "T"))
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

/// Seconds since 1970; for no limit Docker's client sends nothing, or 0.
fn moment(parameter: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    match text {
        None | Some("" | "0") => Ok(None),
        Some(text) => wall_ns(parameter, text).map(Some),
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
            since: text("1777636800.250000007"),
            stderr: text("1"),
            stdout: text("1"),
            tail: text("20"),
            until: text("1777636801"),
            ..LogsQuery::default()
        };
        let wanted = Wanted::read(&query).expect("a request");
        assert!(wanted.follow && wanted.prefix.details && !wanted.prefix.timestamps);
        assert_eq!(wanted.since_ns, Some(1_777_636_800_250_000_007));
        assert_eq!(wanted.until_ns, Some(1_777_636_801_000_000_000));
        assert_eq!(wanted.tail, Some(20));
        assert!(tail(Some("many")).is_err());
        assert_eq!(tail(Some("all")), Ok(None));
        assert!(wanted.on_terminal(&query).is_exact());
        let framed = LogsQuery { framed: text("1"), ..query };
        assert!(!wanted.on_terminal(&framed).unframed);
    }
}
