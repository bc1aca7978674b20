//! `/edge/services/{id}/rollout`: pauses, resumes and promotes the rollout of a service.

use axum::extract::{Path, Query, State};
use node_core::{Edit, Steer};
use serde::Deserialize;

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Answer, Api};

/// The parameters of the request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SteerQuery {
    steer: String,
}

/// `POST /edge/services/{id}/rollout?steer=pause`, `resume` or `promote`.
pub async fn steer(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<SteerQuery>>,
) -> Result<(), Failure> {
    let steer = match query?.steer.as_str() {
        "pause" => Steer::Pause,
        "resume" => Steer::Resume,
        "promote" => Steer::Promote,
        other => {
            let message = format!("steer: `{other}` is none of pause, resume, promote");
            return Err(Failure::Bad(message));
        }
    };
    let id = Snapshot::latest(&api).await?.service(&wanted)?.id;
    api.edit(Edit::SteerRollout { id, steer }).await?;
    Ok(())
}
