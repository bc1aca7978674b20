//! `GET /distribution/{image}/json`: the digest of an image's name. Docker's client asks for it
//! before it creates a service, and pins the answer.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use runtime::image::Reference;
use serde_json::{Value, json};

use super::failure::Failure;
use super::{Api, pin};
use node_docker::task_spec::PROCESS_SCHEME;

/// Answers with digest and platforms. A program of the host has neither, and causes no warning.
pub async fn inspect(
    State(api): State<Api>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Failure> {
    if path.starts_with(PROCESS_SCHEME) {
        return Ok(Json(json!({"Descriptor": {}, "Platforms": []})));
    }
    let name = path.strip_suffix("/json").unwrap_or(&path);
    let reference: Reference =
        name.parse().map_err(|bad| Failure::Bad(format!("image {name}: {bad}")))?;
    let login = pin::login(&headers)?;
    let pinned = api.handle.resolve(&reference, login).await;
    let pinned = pinned.map_err(|error| Failure::Missing(error.to_string()))?;
    let platforms: Vec<Value> = pinned
        .platforms
        .iter()
        .map(|platform| {
            let mut shown = json!({"architecture": platform.arch, "os": platform.os});
            if !platform.variant.is_empty() {
                shown["variant"] = platform.variant.clone().into();
            }
            shown
        })
        .collect();
    Ok(Json(json!({
        "Descriptor": {
            "mediaType": pinned.media_type,
            "digest": pinned.digest.as_str(),
            "size": pinned.size,
        },
        "Platforms": platforms,
    })))
}
