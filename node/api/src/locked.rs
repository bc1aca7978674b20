//! The API of a locked node: that it is locked, and what unlocks it.
//!
//! ```text
//! POST /swarm/unlock ─▶ the keys are opened ─▶ the agent starts, and serves its own API
//! ```

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use node_agent::lock::{Locked, UnlockKey, Unlocked};
use node_docker::read;
use node_docker::system::UnlockKeyAnswer;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use super::Sent;
use super::failure::Failure;
use super::held::{self, Held};

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
    let held =
        Held { node: locked.node().to_string(), state: "locked", sentence: WHAT_TO_DO.to_owned() };
    let api = LockedApi { locked, opened };
    let routes = Router::new().route("/swarm/unlock", post(unlock)).with_state(api);
    tokio::select! {
        why = held::serve(listener, held, routes) => Err(why),
        Some(unlocked) = unlocked.recv() => Ok(unlocked),
    }
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
