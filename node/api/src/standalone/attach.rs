//! `POST /containers/{id}/attach`: a client's terminal, or its pipes, as those of a container.
//!
//! ```text
//! client ── bytes as they are ──▶ session ─▶ standard input of the run
//!        ◀── as they are (terminal), or Docker's frames ── its log, followed
//! ```
//! The output is read from the log, so that a client which attaches before the start misses nothing,
//! however short the container lives. A client that is gone ends nothing.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use node_agent::transport::LogRequest;
use node_agent::{LogNews, LogStream};
use runtime::exec::ExecRequest;
use runtime::exec::frame::{Frame, Kind};
use runtime::logs::{LogEntry, Stream};
use serde::Deserialize;

use super::run::gone;
use super::{AttachedGuard, Moment};
use crate::Api;
use crate::container::Container;
use crate::container_object::is_terminal;
use crate::detach_keys::DetachKeys;
use crate::exec_stream::{Client, Input, Output};
use crate::failure::Failure;

/// How often new output is looked for: somebody types and waits for the echo.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(10);

/// The parameters of `POST /containers/{id}/attach`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct AttachQuery {
    logs: Option<String>,
    stream: Option<String>,
    stdin: Option<String>,
    stdout: Option<String>,
    stderr: Option<String>,
    #[serde(rename = "detachKeys")]
    detach_keys: Option<String>,
}

/// What a client is attached to.
struct Attachment {
    api: Api,
    container: Container,
    /// The first attempt that it is attached to.
    from: u32,
    /// What was said before is not repeated.
    tail: Option<u64>,
    follow: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    terminal: bool,
    /// Only of a terminal: in a pipe any byte may be meant.
    keys: DetachKeys,
    _guard: AttachedGuard,
}

/// The answer is sent at once: Docker's client starts the container after it.
pub async fn attach(
    api: Api,
    container: Container,
    query: AttachQuery,
    mut request: Request,
) -> Result<Response, Failure> {
    let id = container.service_id;
    let before = api.moment(id).await?.ok_or_else(|| gone(&container))?;
    let is_set = |value: &Option<String>| matches!(value.as_deref(), Some("1" | "true" | "True"));
    let with_logs = is_set(&query.logs) || !before.is_live();
    let terminal = is_terminal(&container.template);
    let keys = DetachKeys::read(query.detach_keys.as_deref())?;
    let attachment = Attachment {
        keys: if terminal { keys } else { DetachKeys::none() },
        from: before.number() + u32::from(!before.is_live() && is_set(&query.stream)),
        tail: (!with_logs).then_some(0),
        follow: is_set(&query.stream),
        stdin: is_set(&query.stdin) && container.template.container.open_stdin,
        stdout: is_set(&query.stdout),
        stderr: is_set(&query.stderr),
        terminal,
        _guard: api.standalones.attach(id),
        api,
        container,
    };
    let kind = match attachment.terminal {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let upgrade = hyper::upgrade::on(&mut request);
    if !request.headers().contains_key(header::UPGRADE) {
        let (client, body) = Client::one_way();
        tokio::spawn(attachment.serve(client));
        return Ok(([kind], axum::body::Body::from_stream(body)).into_response());
    }
    tokio::spawn(async move {
        // Without a client there is nothing to do.
        if let Ok(client) = upgrade.await.map_err(drop).and_then(Client::of) {
            attachment.serve(client).await;
        }
    });
    let headers = [
        kind,
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("tcp")),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

impl Attachment {
    /// Copies until the attempt has ended, or the client is gone.
    async fn serve(self, client: Client) {
        let Client { input, mut output, place } = client;
        let begun = async {
            let moment = self.until_begun().await?;
            self.copy_output(&moment, &mut output).await;
            Some(())
        };
        let listen = async {
            match input {
                Some(input) => self.copy_input(input).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = begun => {}
            () = listen => {}
        }
        output.close().await;
        drop(place);
    }

    /// Waits for the attempt; `None`: it was removed.
    async fn until_begun(&self) -> Option<Moment> {
        let mut changes = self.api.handle.changes();
        loop {
            let moment = self.api.moment(self.container.service_id).await.ok()??;
            if moment.number() >= self.from && has_files(&moment) {
                return Some(moment);
            }
            changes.next().await.ok()?;
        }
    }

    async fn copy_output(&self, moment: &Moment, output: &mut Output) {
        let run = moment.run();
        // The log keeps more than it would for a client that is slow, and also for one that has read all
        // of it: a program can write more than a small log in the time until the next look.
        let _held = runtime::logs::hold(&self.api.handle.log_dir(run)).ok();
        let request = LogRequest { run, tail: self.tail, since_wall_ms: None, follow: self.follow };
        let Ok(log) = self.api.handle.logs(self.container.node, request).await else { return };
        let mut log: LogStream = log.checked_every(FOLLOW_INTERVAL);
        while let Some(Ok(news)) = log.next().await {
            let LogNews::Entry(entry) = news else { continue };
            if self.wants(&entry) && !output.send(self.shown(entry)).await {
                return;
            }
        }
    }

    fn wants(&self, entry: &LogEntry) -> bool {
        match entry.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }

    fn shown(&self, entry: LogEntry) -> Vec<u8> {
        let kind = match entry.stream {
            Stream::Stdout => Kind::Stdout,
            Stream::Stderr => Kind::Stderr,
        };
        if self.terminal { entry.bytes } else { Frame::new(kind, entry.bytes).to_bytes() }
    }

    /// Passes the client's bytes on to the container; returns when the client is gone.
    async fn copy_input(&self, input: Input) {
        if !self.stdin {
            return input.until_hung_up().await;
        }
        let Some(moment) = self.until_begun().await else { return };
        let order = ExecRequest::Input;
        match self.api.handle.session(self.container.node, moment.run(), &order).await {
            Ok(session) => {
                input.pass_on_until(self.keys.clone(), session.writer()).await;
            }
            // It has ended; its output is still on the way.
            Err(_) => input.until_hung_up().await,
        }
    }
}

/// Was the folder of its latest attempt made? Its log is in it.
fn has_files(moment: &Moment) -> bool {
    use crdt_state::task::TaskState;
    let state = moment.status.as_ref().map(|status| status.current.state);
    state.is_some_and(|state| state == TaskState::Running || state.is_terminal())
}
