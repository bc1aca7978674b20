//! `POST /auth`: whether a registry takes a login. Docker's client asks before it writes the login into
//! its own `config.json`; a node reads only that file, and nothing is kept here.

use axum::Json;
use axum::extract::State;
use runtime::image::auth;
use runtime::image::registry::RegistryError;
use runtime::image::{PullError, auth::LoginError};
use serde_json::{Value, json};

use super::failure::Failure;
use super::{Api, Sent};

/// `POST /auth`.
pub async fn check(State(api): State<Api>, body: Sent) -> Result<Json<Value>, Failure> {
    let bad = |error: LoginError| Failure::Bad(error.to_string());
    let (registry, login) = auth::from_request(&body?).map_err(bad)?;
    match api.handle.puller().check_login(&registry, login).await {
        Ok(()) => Ok(Json(json!({"Status": "Login Succeeded", "IdentityToken": ""}))),
        Err(PullError::Registry(
            RegistryError::LoginRefused { .. }
            | RegistryError::LoginWanted { .. }
            | RegistryError::Forbidden { .. },
        )) => Err(Failure::Unauthorized(format!(
            "{registry} refuses the login: unauthorized: incorrect username or password"
        ))),
        // Its other lines say when an image is asked for again.
        Err(error) => {
            let said = error.to_string();
            Err(Failure::Unavailable(said.lines().next().unwrap_or_default().to_owned()))
        }
    }
}
