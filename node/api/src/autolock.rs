//! Whether members seal what they keep on their disks, and the key by which they do.

use axum::Json;
use axum::extract::State;
use crdt_state::Kind;
use node_core::{Edit, FleetKeyOffer};
use node_docker::system::UnlockKeyAnswer;

use super::failure::Failure;
use super::fleet_key::{self, NewKey};
use super::{Api, Change};

/// Is there an unlock key?
pub async fn is_on(api: &Api) -> Result<bool, Failure> {
    Ok(newest(api).await?.is_some())
}

/// Refuses to seal what would be open all the same.
pub fn check(api: &Api) -> Result<(), Failure> {
    if api.handle.config().fleet_key.is_some() {
        return Err(Failure::Bad(
            "the key of this fleet is in the configuration of its nodes (fleet_key)\n\
             why: whoever has the disk of a node would join with it, whatever else is sealed there\n\
             try: take the key out of edge.toml of all nodes and restart their agents: every node keeps it \
             in its data directory, as soon as it is not configured; then edgectl swarm ca --rotate"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Members seal what they keep, by a new key if they do so already. It was checked that they can.
pub async fn turn_on(api: &Api, change: Change) -> Result<(), Failure> {
    let NewKey { fact, keys, .. } = fleet_key::for_members(api).await?;
    change.edit(api, Edit::SetUnlockKey(fact, keys)).await?;
    Ok(())
}

/// Nothing is sealed any more.
pub async fn turn_off(api: &Api, change: Change) -> Result<(), Failure> {
    change.edit(api, Edit::EndUnlockKeys).await?;
    Ok(())
}

/// `GET /swarm/unlockkey`. Empty: there is none.
pub async fn key(State(api): State<Api>) -> Result<Json<UnlockKeyAnswer>, Failure> {
    let Some(offer) = newest(&api).await? else { return Ok(Json(UnlockKeyAnswer::default())) };
    let key = api.handle.open_unlock_key(&offer).ok_or_else(|| {
        Failure::Unavailable(
            "this node was not given the unlock key yet\ntry: edgectl swarm unlock-key on another node"
                .to_owned(),
        )
    })?;
    Ok(Json(UnlockKeyAnswer { unlock_key: key.reveal() }))
}

/// `POST /swarm/unlock`, while this node is not locked.
pub async fn not_locked() -> Failure {
    Failure::Conflict("swarm is not locked: this node has started".to_owned())
}

async fn newest(api: &Api) -> Result<Option<FleetKeyOffer>, Failure> {
    api.read(|node, _| FleetKeyOffer::newest(node.replica(), Kind::UNLOCK_KEY)).await
}
