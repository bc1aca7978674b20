//! Stacks from files that every node has: who makes a version.

use axum::Json;
use axum::extract::{Path, State};
use crdt_state::stack::FileVersion;
use node_core::edit::stack::{StackTask, StackTurn};
use node_core::{Edit, Edited};
use node_docker::stack::{StackAnswer, StackAsk};

use super::failure::Failure;
use super::{Api, Sent};

/// `POST /edge/stacks/{name}/take`: a node has this version of the stack's file, and asks what to do.
pub async fn take(
    State(api): State<Api>,
    Path(stack): Path<String>,
    body: Sent,
) -> Result<Json<StackAnswer>, Failure> {
    let StackAsk { version, before } = node_docker::read(&body?)?;
    let before = Some(before).filter(|text| !text.is_empty());
    let before = before.map(|text| self::version(&text)).transpose()?;
    let edit = Edit::TakeStack { stack, version: self::version(&version)?, before };
    answer(&api, edit).await
}

/// `POST /edge/stacks/{name}/made`: everything is as this version says.
pub async fn made(
    State(api): State<Api>,
    Path(stack): Path<String>,
    body: Sent,
) -> Result<Json<StackAnswer>, Failure> {
    let StackAsk { version, .. } = node_docker::read(&body?)?;
    answer(&api, Edit::StackMade { stack, version: self::version(&version)? }).await
}

async fn answer(api: &Api, edit: Edit) -> Result<Json<StackAnswer>, Failure> {
    let Edited::Stack(StackTurn { task, turn, origin }) = api.edit(edit).await? else {
        unreachable!("it is answered with what to do")
    };
    let task = match task {
        StackTask::Make => "make",
        StackTask::Finish => "finish",
        StackTask::Nothing => "nothing",
        StackTask::Late => "late",
    };
    let origin = format!("{:032x}", u128::from_be_bytes(origin));
    Ok(Json(StackAnswer { task: task.to_owned(), turn, origin }))
}

fn version(text: &str) -> Result<FileVersion, Failure> {
    let hash = blake3::Hash::from_hex(text);
    hash.map(FileVersion::from).map_err(|bad| Failure::Bad(format!("the version `{text}`: {bad}")))
}
