//! Who makes a request, and what it may do.
//!
//! Who may use the unix socket may do everything. A certificate says its role itself, so that a node which
//! never heard of it knows what it allows; that it was taken back is a fact of the fleet.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use crdt_state::ClientId;
use crdt_state::client::ClientRole;
use crdt_state::read::revoked_clients;

use super::Api;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::swarm::without_tokens;

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A process of this machine.
    Socket {
        /// Its user.
        user: u32,
    },
    /// A client on another machine.
    Certificate {
        /// Its certificate.
        id: ClientId,
        /// Its name.
        name: String,
        /// What it may do.
        role: ClientRole,
    },
}

/// Lets a request through if its caller may make it.
pub async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let Some(Caller::Certificate { id, name, role }) = caller.cloned() else {
        return next.run(request).await;
    };
    match is_revoked(&api, id).await {
        Ok(false) => {}
        Ok(true) => {
            return Failure::Forbidden(format!(
                "the certificate of {name} was taken back; ask for another one: edgectl ca client \
                 --output DIR NAME, on a node"
            ))
            .into_response();
        }
        Err(failure) => return failure.into_response(),
    }
    if role == ClientRole::Operator {
        return next.run(request).await;
    }
    let (method, path) = (request.method(), request.uri().path());
    if !may_read(method, path) {
        return Failure::Forbidden(format!(
            "{name} may look and not change anything: its certificate is a reader's; with one of an \
             operator it could: edgectl ca client --role operator --output DIR NAME, on a node"
        ))
        .into_response();
    }
    if path == "/swarm" {
        let swarm = match Snapshot::latest(&api).await {
            Ok(snapshot) => without_tokens(api, &snapshot).await,
            Err(failure) => Err(failure),
        };
        return swarm.map(Json).into_response();
    }
    next.run(request).await
}

async fn is_revoked(api: &Api, id: ClientId) -> Result<bool, Failure> {
    api.read(move |node, _| revoked_clients(node.replica()).contains(&id)).await
}

/// Everything that is read is a reader's, but for the insides of containers and images, where secrets
/// may be.
fn may_read(method: &Method, path: &str) -> bool {
    let inside = ["/archive", "/export", "/attach", "/attach/ws", "/get"];
    let is_inside = inside.iter().any(|end| path.ends_with(end)) || path.starts_with("/swarm/");
    (method == Method::GET || method == Method::HEAD) && !is_inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_is_no_secret() {
        let paths = ["/services", "/tasks/x/logs", "/containers/x/json", "/swarm", "/edge/status"];
        for path in paths.into_iter().chain(["/_ping", "/events", "/containers/x/stats"]) {
            assert!(may_read(&Method::GET, path), "{path}");
        }
        let inside = ["/containers/x/archive", "/containers/x/export", "/containers/x/attach/ws"];
        for path in inside.into_iter().chain(["/images/get", "/images/a/get", "/swarm/unlockkey"]) {
            assert!(!may_read(&Method::GET, path), "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert!(!may_read(&method, "/services"), "{method}");
        }
    }
}
