//! `POST /edge/nodes/{id}/replace`: a machine in the place of one that is lost.
//!
//! What operators set on the old node is an edit. Its volumes are lost with it: their names are made on the
//! new one, so that the tasks which mount them go there, and not to any node. Only the agent of the new node
//! can do that.

use axum::Json;
use axum::extract::{Path, State};
use crdt_state::volume::Holding;
use crdt_state::{NodeId, read};
use node_core::{Edit, Removal};
use node_docker::edge::{ReplaceAnswer, ReplaceRequest};
use node_docker::read as read_body;

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Api, Sent};

/// `POST /edge/nodes/{id}/replace`.
pub async fn replace(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    body: Sent,
) -> Result<Json<ReplaceAnswer>, Failure> {
    let ReplaceRequest { by, force } = read_body(&body?)?;
    let removal = if force { Removal::Force } else { Removal::IfGone };
    let snapshot = Snapshot::latest(&api).await?;
    let (id, by) = (snapshot.node(&wanted)?.id, snapshot.node(&by)?.id);
    let edit = Edit::ReplaceNode { id, by, removal };
    // What would be refused must make no volumes.
    let tried = edit.clone();
    api.read(move |node, now| node.report(now).dry_run(&tried).map(|_| ())).await??;
    let lost = lost_volumes(&api, id, by).await?;
    if !lost.is_empty() {
        if by != api.handle.me() {
            let [old, new] = [id, by].map(|node| snapshot.hostname(node));
            return Err(Failure::Conflict(format!(
                "{old} holds volumes that {new} lacks: {}\n\
                 why: only the agent of {new} can make them, so that tasks go where they are\n\
                 try: on {new}: edgectl node replace {old} --with {new}",
                lost.join(", ")
            )));
        }
        make(&api, &lost).await?;
    }
    api.edit(edit).await?;
    Ok(Json(ReplaceAnswer { volumes: lost }))
}

/// Volumes of the old node that nobody gave up, and that the new one does not have.
async fn lost_volumes(api: &Api, old: NodeId, new: NodeId) -> Result<Vec<String>, Failure> {
    api.read(move |node, _| {
        let there = read::volumes_of(node.replica(), new);
        let held = read::holdings(node.replica(), old).into_iter();
        held.filter(|(name, state)| *state != Holding::GivenUp && !there.contains_key(name))
            .map(|(name, _)| name)
            .collect()
    })
    .await
}

async fn make(api: &Api, names: &[String]) -> Result<(), Failure> {
    let (volumes, names) = (api.handle.volumes().clone(), names.to_vec());
    let make = move || {
        names.iter().try_for_each(|name| volumes.create(name, &Default::default()).map(|_| ()))
    };
    tokio::task::spawn_blocking(make).await.expect("it does not panic")?;
    Ok(api.handle.report_volumes().await?)
}
