//! `/secrets`: there are none yet. Docker's client asks for them before it removes a stack, and
//! makes them before the services of a stack that has some.

use axum::Json;
use axum::extract::{Path, Query};
use serde::Deserialize;

use super::Answer;
use super::failure::Failure;
use super::filters::Filters;

const FILTERS: [&str; 4] = ["id", "label", "name", "names"];

/// The parameters of `GET /secrets`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// `GET /secrets`.
pub async fn list(query: Answer<Query<ListQuery>>) -> Result<Json<[(); 0]>, Failure> {
    Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    Ok(Json([]))
}

/// `POST /secrets/create`.
pub async fn create() -> Failure {
    Failure::NotYet(
        "secrets come later; until then mount a file that each node has, as a bind mount"
            .to_owned(),
    )
}

/// Everything that is asked of one secret.
pub async fn missing(Path(wanted): Path<String>) -> Failure {
    Failure::Missing(format!("secret {wanted} not found: secrets come later, there is none yet"))
}
