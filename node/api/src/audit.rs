//! Writes down who changed what through this node, and shows what all nodes wrote down.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::future::join_all;
use gossip::MemberState;
use nix::unistd::{Uid, User};
use node_agent::AuditEntry;
use node_core::{Edit, Node};
use node_docker::Timestamp;
use node_docker::audit::{AuditAnswer, AuditRow};
use serde::Deserialize;
use tokio::time::timeout;

use super::caller::Caller;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::wall_clock::{wall_clock, wall_ns};
use super::{Answer, Api};

/// How long one node may take to show its log.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests that change nothing, though their method says so: they wait, try, or set the size of a
/// terminal.
const NO_CHANGE: [&str; 5] = [
    "/auth",
    "/containers/{id}/wait",
    "/containers/{id}/resize",
    "/exec/{id}/resize",
    "/exec/{id}/start",
];

tokio::task_local! {
    /// What the request at hand changes, in words.
    static CHANGES: Arc<Mutex<Vec<String>>>;
}

/// Notes an edit for the entry of the request that makes it.
pub fn note(words: Option<String>) {
    let _ = CHANGES.try_with(|changes| {
        changes.lock().expect("nothing panics while it pushes").extend(words);
    });
}

/// The words of an edit, with the names that it concerns, and the edit itself.
pub async fn words(api: &Api, edit: Edit) -> Result<(Edit, Option<String>), Failure> {
    if CHANGES.try_with(|_| ()).is_err() {
        // Outside of a request nobody asks.
        return Ok((edit, None));
    }
    let read = move |node: &Node, _| {
        let words = node.words_of(&edit);
        (edit, words)
    };
    api.read(read).await
}

/// Writes an entry for each request that changes something, or was refused to.
pub async fn record(State(api): State<Api>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let Some(matched) = matched.filter(|path| !reads && !NO_CHANGE.contains(&path.as_str())) else {
        return next.run(request).await;
    };
    let caller = request.extensions().get::<Caller>().cloned();
    let said = format!("{} {}", request.method(), request.uri().path());
    let changes = Arc::new(Mutex::new(Vec::new()));
    let response = CHANGES.scope(Arc::clone(&changes), next.run(request)).await;
    let changes = std::mem::take(&mut *changes.lock().expect("nothing panics while it pushes"));
    let status = response.status();
    // A list that is asked for by a body, an upkeep that found nothing to do, a dry run.
    if changes.is_empty() && is_of_edits(&matched) && status.is_success() {
        return response;
    }
    let action = if changes.is_empty() { said.clone() } else { changes.join(", ") };
    write(&api, caller, action, said, status).await;
    response
}

/// Does everything that such a request changes go through an edit?
fn is_of_edits(path: &str) -> bool {
    let fronts = ["/services", "/nodes", "/networks", "/configs", "/secrets", "/edge/"];
    fronts.iter().any(|front| path.starts_with(front)) && !path.starts_with("/edge/pulls")
}

async fn write(
    api: &Api,
    caller: Option<Caller>,
    action: String,
    request: String,
    status: StatusCode,
) {
    let node = match Snapshot::latest(api).await {
        Ok(snapshot) => snapshot.hostname(snapshot.me),
        Err(_) => String::new(),
    };
    let handle = api.handle.clone();
    let written = tokio::task::spawn_blocking(move || {
        let client = caller.map(|caller| name_of(&caller)).unwrap_or_default();
        let (Timestamp(wall_ms), status) = (wall_clock(), status.as_u16());
        handle.audit().write(AuditEntry { wall_ms, node, client, action, request, status })
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!("a change is missing in the audit log: {error}");
    }
}

fn name_of(caller: &Caller) -> String {
    match caller {
        Caller::Certificate { name, role, .. } => format!("{name} ({})", role.as_str()),
        Caller::Socket { user } => match User::from_uid(Uid::from_raw(*user)) {
            Ok(Some(found)) => found.name,
            Ok(None) | Err(_) => format!("uid {user}"),
        },
    }
}

/// The parameters of `GET /edge/audit`.
#[derive(Debug, Default, Deserialize)]
pub struct AuditQuery {
    /// Seconds since 1970, with or without a fraction: entries from this time on.
    since: Option<String>,
}

/// `GET /edge/audit`: what all nodes wrote down that can be reached, the oldest first.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<AuditQuery>>,
) -> Result<Json<AuditAnswer>, Failure> {
    let since = query?.since.as_deref().map(|text| wall_ns("since", text)).transpose()?;
    let since_ms = since.map_or(0, |ns| ns / 1_000_000);
    let snapshot = Snapshot::latest(&api).await?;
    let own = api.handle.clone();
    let own = tokio::task::spawn_blocking(move || own.audit().since(since_ms));
    let others = snapshot.nodes.iter().filter(|row| !row.is_me && row.state != MemberState::Left);
    let asked = others.map(|row| {
        let (handle, node) = (api.handle.clone(), row.id);
        async move {
            let said = timeout(ASK_TIMEOUT, handle.ask_audit(node, since_ms)).await;
            (node, said.map_err(|_| "it does not answer".to_owned()))
        }
    });
    let mut entries = own.await.expect("reading does not panic");
    let mut missing = Vec::new();
    for (node, said) in join_all(asked).await {
        match said.and_then(|said| said.map_err(|why| why.to_string())) {
            Ok(said) => entries.extend(said),
            Err(why) => missing.push(format!("{}: {why}", snapshot.hostname(node))),
        }
    }
    entries.sort_by_key(|entry| entry.wall_ms);
    Ok(Json(AuditAnswer { entries: entries.into_iter().map(row).collect(), missing }))
}

fn row(entry: AuditEntry) -> AuditRow {
    let AuditEntry { wall_ms, node, client, action, request, status } = entry;
    AuditRow { time: Timestamp(wall_ms), node, client, action, request, status }
}
