//! The API of a machine that takes no part in its fleet, because it is locked or in quarantine: what it is,
//! and why everything else is refused.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router, middleware};
use node_docker::system::{Info, SwarmInfo};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tower::Layer;
use tower::util::MapRequestLayer;

use super::failure::Failure;
use super::{drop_version, server, system};

/// What is said of the machine.
pub(super) struct Held {
    /// The node's id.
    pub(super) node: String,
    /// The state of the swarm that Docker's clients are told.
    pub(super) state: &'static str,
    /// Why, and what to do, for both command lines.
    pub(super) sentence: String,
}

/// Serves until a signal ends the machine, or somebody ends its quarantine.
pub async fn refuse_all(
    listener: &UnixListener,
    node: &str,
    sentence: &str,
) -> std::io::Result<()> {
    let held = Held { node: node.to_owned(), state: "error", sentence: sentence.to_owned() };
    Err(serve(listener, held, Router::new()).await)
}

/// Serves these routes and nothing else. Returns why that ended.
pub(super) async fn serve(listener: &UnixListener, held: Held, routes: Router) -> std::io::Error {
    let unversioned = MapRequestLayer::new(drop_version).layer(router(Arc::new(held), routes));
    let allowance = server::Allowance::of(runtime::files::limit());
    // Nobody comes from afar: a machine that takes no part does not know its fleet's authority.
    let (_remote, nobody) = mpsc::channel(1);
    let ended = server::serve(listener, nobody, unversioned, allowance).await;
    ended.err().unwrap_or_else(|| std::io::Error::other("the listener ended"))
}

fn router(held: Arc<Held>, routes: Router) -> Router {
    let state = held.state;
    Router::new()
        .route("/_ping", get(move || async move { system::pong(state) }))
        .route("/version", get(system::version))
        .route("/info", get(info))
        .fallback(refuse)
        .with_state(held)
        .merge(routes)
        .layer(middleware::map_response(system::add_headers))
        .layer(middleware::map_response(close))
}

/// What comes after comes on a new connection, to the agent's own API.
async fn close(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn refuse(State(held): State<Arc<Held>>) -> Failure {
    Failure::Unavailable(held.sentence.clone())
}

async fn info(State(held): State<Arc<Held>>) -> Json<Info> {
    let error = match held.state {
        "error" => held.sentence.clone(),
        _ => String::new(),
    };
    let swarm = SwarmInfo {
        node_id: held.node.clone(),
        local_node_state: held.state.to_owned(),
        error,
        ..SwarmInfo::default()
    };
    Json(Info { id: held.node.clone(), swarm, ..system::machine() })
}
