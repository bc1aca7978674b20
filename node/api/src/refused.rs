//! Paths of Docker's API that no node serves: each is answered with the reason and what to do
//! instead. Where Docker has an answer that says that there is nothing, that is the answer.

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::Api;
use super::failure::Failure;

/// The routes.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/build", post(build))
        .route("/build/cancel", post(build))
        .route("/session", post(build))
        .route("/grpc", post(build))
        .route("/images/search", get(search))
        .route("/plugins", get(plugins))
        .route("/plugins/privileges", get(no_plugins))
        .route("/plugins/pull", post(no_plugins))
        .route("/plugins/create", post(no_plugins))
        .route("/plugins/{*plugin}", get(plugin).post(plugin).delete(plugin))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

async fn build() -> Failure {
    Failure::NotYet(
        "nodes build no images: build with buildah bud -t NAME . and bring the image here with \
         buildah push NAME docker-archive:app.tar and edgectl image load -i app.tar, or build with \
         BuildKit and push to a registry"
            .to_owned(),
    )
}

async fn search() -> Failure {
    Failure::NotYet(
        "no registry is searched from here: look on its web page, then edgectl image pull NAME"
            .to_owned(),
    )
}

async fn plugins() -> Json<[(); 0]> {
    Json([])
}

async fn plugin(Path(wanted): Path<String>) -> Failure {
    let name = wanted.split_once('/').map_or(wanted.as_str(), |(name, _)| name);
    Failure::Missing(format!("plugin \"{name}\" not found: there are no plugins here"))
}

async fn no_plugins() -> Failure {
    Failure::NotYet(
        "there are no plugins here: networks, volumes and logs are the agent's own work".to_owned(),
    )
}

async fn connect(Path(network): Path<String>) -> Failure {
    Failure::NotYet(format!(
        "a task has the networks of its service: edgectl service update --network-add {network} SERVICE"
    ))
}

async fn disconnect(Path(network): Path<String>) -> Failure {
    Failure::NotYet(format!(
        "a task has the networks of its service: edgectl service update --network-rm {network} SERVICE"
    ))
}
