//! The API of a locked node: that it is locked, and what unlocks it.
//!
//! ```text
//! POST /swarm/unlock ─▶ the keys are opened ─▶ the agent starts, and serves its own API
//! ```

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use node_agent::lock::{Locked, UnlockKey, Unlocked};
use node_docker::read;
use node_docker::system::{Info, SwarmInfo, UnlockKeyAnswer};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tower::Layer;
use tower::util::MapRequestLayer;

use super::failure::Failure;
use super::{Sent, drop_version, server, system};

/// What to do, for both command lines.
const WHAT_TO_DO: &str = "this node is locked since it started, and does nothing until it is unlocked; its tasks go on\n\
     why: autolock is on: what it keeps on its disk is sealed\n\
     try: edgectl swarm unlock (or docker swarm unlock), with the key that edgectl swarm unlock-key shows on \
     any other node";

#[derive(Clone)]
struct LockedApi {
    locked: Arc<Locked>,
    opened: mpsc::Sender<Unlocked>,
}

/// Serves until a client has unlocked the node.
pub async fn until_unlocked(
    listener: &UnixListener,
    locked: Arc<Locked>,
) -> std::io::Result<Unlocked> {
    let (opened, mut unlocked) = mpsc::channel(1);
    let api = LockedApi { locked, opened };
    let unversioned = MapRequestLayer::new(drop_version).layer(router(api));
    let allowance = server::Allowance::of(runtime::files::limit());
    // Nobody comes from afar: the authority of the API follows from a sealed key.
    let (_remote, nobody) = mpsc::channel(1);
    tokio::select! {
        ended = server::serve(listener, nobody, unversioned, allowance) => {
            let why = ended.err().unwrap_or_else(|| std::io::Error::other("the listener ended"));
            Err(why)
        }
        Some(unlocked) = unlocked.recv() => Ok(unlocked),
    }
}

fn router(api: LockedApi) -> Router {
    Router::new()
        .route("/_ping", get(|| async { system::pong("locked") }))
        .route("/version", get(system::version))
        .route("/info", get(info))
        .route("/swarm/unlock", post(unlock))
        .fallback(refuse)
        .layer(middleware::map_response(system::add_headers))
        .layer(middleware::map_response(close))
        .with_state(api)
}

/// What comes after the unlocking comes on a new connection, to the agent's own API.
async fn close(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn refuse() -> Failure {
    Failure::Unavailable(WHAT_TO_DO.to_owned())
}

async fn info(State(api): State<LockedApi>) -> Json<Info> {
    let node = api.locked.node().to_string();
    let swarm = SwarmInfo {
        node_id: node.clone(),
        local_node_state: "locked".to_owned(),
        ..SwarmInfo::default()
    };
    Json(Info { id: node, swarm, ..system::machine() })
}

async fn unlock(State(api): State<LockedApi>, body: Sent) -> Result<(), Failure> {
    let UnlockKeyAnswer { unlock_key, .. } = read(&body?)?;
    let key: UnlockKey = unlock_key.parse().map_err(|why| Failure::Bad(format!("{why}")))?;
    let unlocked = api.locked.open(&key).ok_or_else(|| {
        Failure::Unauthorized(
            "swarm could not be unlocked: this is not the key of this node\n\
             why: it may be sealed by an earlier one, if the key was rotated while the node was away\n\
             try: the key from before; without any: edgectl node rekey, and the machine joins as a new node"
                .to_owned(),
        )
    })?;
    tracing::info!("the node was unlocked");
    // Another client may have been faster.
    let _ = api.opened.try_send(unlocked);
    Ok(())
}
