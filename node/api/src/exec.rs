//! `/containers/{id}/exec` and `/exec/{id}/…`: commands in running tasks, on any node.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use runtime::exec::frame::{Frame, Kind};
use runtime::exec::{ExecOrder, ExecRefusal, ExecRequest, Size};
use serde::Deserialize;

use super::exec_stream::{self, Client};
use super::execs::{Exec, ExecState};
use super::failure::Failure;
use super::{Answer, Api, Sent, containers};
use node_agent::RunSession;
use node_docker::exec::{ExecCreate, ExecCreated, ExecInspect, ExecProcess, ExecStart};
use node_docker::read;

/// Longest body of a start.
const START_BYTES_MAX: usize = 64 * 1024;

/// `POST /containers/{id}/exec`.
pub async fn create(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    body: Sent,
) -> Result<(StatusCode, Json<ExecCreated>), Failure> {
    let asked: ExecCreate = read(&body?)?;
    if asked.cmd.first().is_none_or(String::is_empty) {
        return Err(Failure::Bad("No exec command specified; name the program to run".to_owned()));
    }
    let container = containers::running(&api, &wanted).await?.with_order(&api);
    if container.paused {
        return Err(Failure::Conflict(format!(
            "Container {wanted} is paused, unpause the container before exec: docker unpause {wanted}"
        )));
    }
    let not_empty = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let order = ExecOrder {
        words: asked.cmd.clone(),
        env: asked.env.clone(),
        user: not_empty(&asked.user),
        dir: not_empty(&asked.working_dir),
        privileged: asked.privileged,
        terminal: asked.tty.then(|| asked.console_size.map(size).unwrap_or_default()),
        stdin: asked.attach_stdin,
        detached: false,
    };
    let id = api.execs.add(Exec::new(&container, asked, order))?;
    Ok((StatusCode::CREATED, Json(ExecCreated { id })))
}

fn size([rows, columns]: [u16; 2]) -> Size {
    Size { rows, columns }
}

/// `GET /exec/{id}/json`.
pub async fn inspect(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<ExecInspect>, Failure> {
    let Exec { container, asked, state, .. } = api.execs.find(&id)?;
    let (running, pid, exit_code) = match state {
        ExecState::Created => (false, 0, None),
        ExecState::Running { pid, .. } => (true, pid, None),
        ExecState::Ended { code } => (false, 0, Some(code)),
    };
    let mut words = asked.cmd.into_iter();
    Ok(Json(ExecInspect {
        id,
        running,
        exit_code,
        process_config: ExecProcess {
            tty: asked.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: asked.privileged,
            user: asked.user,
        },
        open_stdin: asked.attach_stdin,
        open_stdout: asked.attach_stdout,
        open_stderr: asked.attach_stderr,
        can_remove: false,
        container_id: container,
        detach_keys: String::new(),
        pid,
    }))
}

/// The parameters of `POST /exec/{id}/resize`.
#[derive(Debug, Default, Deserialize)]
pub struct ResizeQuery {
    h: Option<u16>,
    w: Option<u16>,
}

impl ResizeQuery {
    /// Rows and columns.
    pub fn size(&self) -> Result<(u16, u16), Failure> {
        match (self.h, self.w) {
            (Some(rows), Some(columns)) => Ok((rows, columns)),
            _ => Err(Failure::Bad("give the height h and the width w of the terminal".to_owned())),
        }
    }
}

/// `POST /exec/{id}/resize`.
pub async fn resize(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: Answer<Query<ResizeQuery>>,
) -> Result<StatusCode, Failure> {
    let (rows, columns) = query?.0.size()?;
    let ExecState::Running { writer: Some(writer), .. } = api.execs.find(&id)?.state else {
        return Err(Failure::Conflict(format!("exec {id} does not run; start it first")));
    };
    writer.send(&Frame::resize(Size { rows, columns })).await;
    Ok(StatusCode::OK)
}

/// `POST /exec/{id}/start`.
pub async fn start(
    State(api): State<Api>,
    Path(id): Path<String>,
    mut request: Request,
) -> Result<Response, Failure> {
    let upgrade = hyper::upgrade::on(&mut request);
    let wants_upgrade = request.headers().contains_key(header::UPGRADE);
    let body = axum::body::to_bytes(request.into_body(), START_BYTES_MAX).await;
    let body = body.map_err(|error| Failure::Bad(format!("the body cannot be read: {error}")))?;
    let asked: ExecStart = if body.is_empty() { ExecStart::default() } else { read(&body)? };
    let mut exec = api.execs.take(&id)?;
    if let (Some(terminal), Some(console)) = (exec.order.terminal.as_mut(), asked.console_size) {
        *terminal = size(console);
    }
    if asked.detach {
        exec.order.detached = true;
        exec.order.stdin = false;
        return start_detached(api, id, exec).await;
    }
    let tty = exec.asked.tty;
    let kind = match tty {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if !wants_upgrade {
        let (client, body) = Client::one_way();
        tokio::spawn(exec_stream::serve(api, id, exec, client));
        return Ok(([kind], Body::from_stream(body)).into_response());
    }
    tokio::spawn(async move {
        match upgrade.await.map_err(drop).and_then(Client::of) {
            Ok(client) => exec_stream::serve(api, id, exec, client).await,
            // The client was gone before the command began.
            Err(()) => api.execs.set(&id, ExecState::Ended { code: exec_stream::CODE_GONE }),
        }
    });
    let headers = [
        kind,
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("tcp")),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// Answers once the command runs, or could not be started.
async fn start_detached(api: Api, id: String, exec: Exec) -> Result<Response, Failure> {
    let ended = |code| api.execs.set(&id, ExecState::Ended { code });
    let session = api.handle.session(exec.node, exec.run, &ExecRequest::Exec(exec.order)).await;
    let mut session = session.inspect_err(|_| ended(exec_stream::CODE_GONE))?;
    let frame = session.next().await.inspect_err(|_| ended(exec_stream::CODE_GONE))?;
    match frame {
        Some(frame) if frame.kind == Kind::Started => {
            let pid = frame.number().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
            api.execs.set(&id, ExecState::Running { pid, writer: None });
            tokio::spawn(follow(api, id, session));
            Ok(StatusCode::OK.into_response())
        }
        Some(frame) if frame.kind == Kind::Refused => {
            let refusal: ExecRefusal = serde_json::from_slice(&frame.payload)?;
            ended(refusal.code);
            Err(Failure::from(refusal))
        }
        _ => {
            ended(exec_stream::CODE_GONE);
            Err(Failure::from(node_agent::SessionGone::Cut))
        }
    }
}

/// Waits for the end of a command that has no listener.
async fn follow(api: Api, id: String, mut session: RunSession) {
    let mut code = exec_stream::CODE_GONE;
    while let Ok(Some(frame)) = session.next().await {
        if frame.kind == Kind::Exited {
            code = frame.number().unwrap_or(code);
        }
    }
    api.execs.set(&id, ExecState::Ended { code });
}
