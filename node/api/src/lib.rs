//! The HTTP API: Docker's Engine API over a unix socket, and `/edge/…` for features that Docker
//! does not have.
//!
//! Requests about the fleet's state are answered from this node's own state through [`Handle`] and
//! wait for no peer. Only two kinds of requests do wait, with a deadline and a reason when it
//! passes. They are about the inside of a task of another node (logs, commands, files, figures), or
//! about images that are pulled, sent or resolved. Paths are accepted with and without a version in
//! front: `/v1.47/services`.

mod archive;
mod audit;
mod authority;
mod autolock;
mod autoscale;
mod caller;
mod certificates;
mod change;
mod clients;
mod conflicts;
mod container;
mod container_object;
mod containers;
mod deadline;
mod detach_keys;
mod distribution;
mod edge;
mod event_object;
mod events;
mod exec;
mod exec_stream;
mod execs;
mod failure;
mod files;
mod filters;
mod fleet_key;
mod full_networks;
mod held;
mod images;
mod join;
mod json_list;
mod latest;
mod lifecycle;
mod locked;
mod login;
mod logs;
mod lookup;
mod names;
mod network_failures;
mod networks;
mod nodes;
mod path_failures;
mod pin;
mod progress_stream;
mod pulls;
mod pushes;
mod recent;
mod refused;
mod replacement;
mod rollouts;
mod server;
mod services;
mod snapshot;
pub mod socket;
mod stacks;
mod standalone;
mod swarm;
mod system;
mod task_object;
mod tasks;
mod tls;
mod tokens;
mod top;
mod unread;
mod usage;
mod volumes;
mod wall_clock;
mod warnings;
mod why;

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::routing::{delete, get, post};
use axum::{Router, middleware};
use gossip::Now;
use node_core::{Edit, Edited, Node};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tower::Layer;
use tower::util::MapRequestLayer;

pub use held::refuse_all;
pub use locked::until_unlocked;

use change::Change;
use execs::Execs;
use failure::Failure;
use latest::Latest;
use node_agent::Handle;
use recent::Recent;
use snapshot::Snapshot;
use standalone::Standalones;

/// An extractor whose failure is answered like every other failure.
type Answer<T> = Result<T, QueryRejection>;

/// The body of a request; a failure to read it is answered likewise.
type Sent = Result<Bytes, BytesRejection>;

/// The shared state of the handlers.
#[derive(Clone)]
struct Api {
    handle: Handle,
    recent: Recent,
    execs: Execs,
    standalones: Standalones,
    snapshots: Latest<Snapshot>,
    started: Instant,
}

impl Api {
    fn new(handle: Handle, recent: Recent) -> Api {
        let (execs, snapshots) = (Execs::new(recent.clone()), Latest::new());
        let standalones = Standalones::default();
        Api { handle, recent, execs, standalones, snapshots, started: Instant::now() }
    }

    /// Reads the node, on its own thread: `read` should only copy.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Node, Now) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        Ok(self.handle.read_at(read).await?)
    }

    /// Makes a change; returns once it is on this node's disk.
    async fn edit(&self, edit: Edit) -> Result<Edited, Failure> {
        let (edit, words) = audit::words(self, edit).await?;
        let edited = self.handle.edit(edit).await??;
        audit::note(words);
        Ok(edited)
    }
}

/// Serves the API until the listener fails, and over TLS if the configuration has an address for it.
pub async fn serve(listener: UnixListener, handle: Handle) -> std::io::Result<()> {
    let allowance = server::Allowance::of(runtime::files::limit());
    let recent = Recent::new();
    tokio::spawn(recent.clone().collect(handle.clone()));
    let (over_tls, remote) = mpsc::channel(1);
    let api = Api::new(handle.clone(), recent);
    let tls = async {
        if let Some(address) = handle.config().api {
            tls::serve(address, handle.clone(), over_tls).await;
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::spawn(standalone::removal::watch(api.clone()));
    let unversioned = MapRequestLayer::new(drop_version).layer(router(api));
    tokio::select! {
        ended = server::serve(&listener, remote, unversioned, allowance) => ended,
        never = tls => match never {},
    }
}

fn router(api: Api) -> Router {
    Router::new()
        .route("/_ping", get(system::ping))
        .route("/version", get(system::version))
        .route("/distribution/{*image}", get(distribution::inspect))
        .merge(images::routes())
        .route("/info", get(system::info))
        .route("/events", get(events::stream))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{id}", get(nodes::inspect).delete(nodes::remove))
        .route("/nodes/{id}/update", post(nodes::update))
        .route("/services", get(services::list))
        .route("/services/create", post(services::create))
        .route("/services/{id}", get(services::inspect).delete(services::remove))
        .route("/services/{id}/update", post(services::update))
        .route("/services/{id}/logs", get(logs::of_service))
        .route("/networks", get(networks::list))
        .route("/networks/create", post(networks::create))
        .route("/networks/prune", post(networks::prune))
        .route("/build/prune", post(system::prune_build))
        .merge(files::routes())
        .merge(refused::routes())
        .route("/auth", post(login::check))
        .route("/networks/{id}", get(networks::inspect).delete(networks::remove))
        .route("/volumes", get(volumes::list))
        .route("/volumes/create", post(volumes::create))
        .route("/volumes/prune", post(volumes::prune))
        .route("/volumes/{name}", get(volumes::inspect).delete(volumes::remove))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::inspect))
        .route("/tasks/{id}/logs", get(logs::of_task))
        .merge(container_routes())
        .route("/exec/{id}/start", post(exec::start))
        .route("/exec/{id}/json", get(exec::inspect))
        .route("/exec/{id}/resize", post(exec::resize))
        .route("/swarm", get(swarm::inspect))
        .route("/swarm/init", post(swarm::init))
        .route("/swarm/join", post(join::join))
        .route("/swarm/leave", post(swarm::leave))
        .route("/swarm/update", post(swarm::update))
        .route("/swarm/unlockkey", get(autolock::key))
        .route("/swarm/unlock", post(autolock::not_locked))
        .merge(edge_routes())
        .fallback(system::unknown)
        .method_not_allowed_fallback(system::unknown)
        .layer(middleware::from_fn_with_state(api.clone(), caller::admit))
        .layer(middleware::from_fn_with_state(api.clone(), audit::record))
        .layer(middleware::map_response(system::add_headers))
        .layer(middleware::from_fn(unread::read_before_the_answer))
        .with_state(api)
}

/// What Docker has no word for.
fn edge_routes() -> Router<Api> {
    Router::new()
        .route("/edge/services/{id}/rollout", post(rollouts::steer))
        .route("/edge/tokens", get(tokens::list).post(tokens::create))
        .route("/edge/tokens/{id}", delete(tokens::remove))
        .route("/edge/pulls", get(pulls::list))
        .route("/edge/pulls/pause", post(pulls::pause))
        .route("/edge/pulls/resume", post(pulls::resume))
        .route("/edge/images", get(pushes::of_fleet))
        .route("/edge/images/publish", post(pushes::publish))
        .route("/edge/stacks/{name}/take", post(stacks::take))
        .route("/edge/stacks/{name}/made", post(stacks::made))
        .route("/edge/clients", get(certificates::list).post(certificates::create))
        .route("/edge/clients/{name}", delete(certificates::revoke))
        .route("/edge/fleet-key/rotate", post(fleet_key::rotate))
        .route("/edge/audit", get(audit::list))
        .route("/edge/status", get(edge::status))
        .route("/edge/plan", get(edge::plan))
        .route("/edge/paths", get(edge::paths))
        .route("/edge/counters", get(edge::counters))
        .route("/edge/top", get(top::top))
        .route("/edge/names/{name}", get(names::find))
        .route("/edge/conflicts", get(conflicts::list).post(conflicts::pick))
        .route("/edge/nodes/{id}/replace", post(replacement::replace))
        .route("/edge/volumes", get(volumes::fleet))
        .route("/edge/volumes/{node}/{name}", delete(volumes::remove_on))
        .route("/edge/why/service/{id}", get(why::service))
        .route("/edge/why/task/{id}", get(why::task))
        .route("/edge/why/node/{id}", get(why::node))
}

/// The containers of tasks.
fn container_routes() -> Router<Api> {
    Router::new()
        .route("/containers/json", get(containers::list))
        .route("/containers/prune", post(containers::prune))
        .route("/containers/{id}/json", get(containers::inspect))
        .route("/containers/{id}/exec", post(exec::create))
        .route("/containers/{id}/logs", get(logs::of_container))
        .route("/containers/{id}/archive", get(archive::get).head(archive::stat).put(archive::put))
        .route("/containers/{id}/stats", get(usage::stats))
        .route("/containers/{id}/top", get(usage::top))
        .route("/containers/{id}/stop", post(lifecycle::stop))
        .route("/containers/{id}/restart", post(lifecycle::restart))
        .route("/containers/{id}/kill", post(lifecycle::kill))
        .route("/containers/{id}/wait", post(lifecycle::wait))
        .route("/containers/{id}/start", post(lifecycle::start))
        .route("/containers/{id}/pause", post(lifecycle::pause))
        .route("/containers/{id}/unpause", post(lifecycle::unpause))
        .route("/containers/{id}/rename", post(lifecycle::rename))
        .route("/containers/{id}/attach", post(lifecycle::attach))
        .route("/containers/{id}/resize", post(lifecycle::resize))
        .route("/containers/{id}/export", get(standalone::files::export))
        .route("/containers/{id}/changes", get(standalone::files::changes))
        .route("/commit", post(standalone::files::commit))
        .route("/containers/{id}/update", post(lifecycle::owned))
        .route("/containers/{id}", delete(lifecycle::remove))
        .route("/containers/create", post(standalone::create::create))
}

/// `/v1.47/services` is `/services`: fields that are newer than a client are additions only.
fn drop_version(mut request: Request) -> Request {
    if let Some(uri) = without_version(request.uri()) {
        *request.uri_mut() = uri;
    }
    change::take_prefix(request)
}

fn without_version(uri: &Uri) -> Option<Uri> {
    let (version, _) = uri.path().strip_prefix("/v")?.split_once('/')?;
    let is_version =
        version.contains('.') && version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_version { without_front(uri, "/v".len() + version.len()) } else { None }
}

/// Without the first bytes of its path.
fn without_front(uri: &Uri, bytes: usize) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().get(bytes..)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_in_front_of_a_path_is_dropped() {
        let plain = |text: &'static str| without_version(&Uri::from_static(text));
        assert_eq!(plain("/v1.47/services?status=1"), Some(Uri::from_static("/services?status=1")));
        assert_eq!(plain("/services/create"), None);
        assert_eq!(plain("/version"), None);
        assert_eq!(plain("/victor/x"), None);
    }
}
