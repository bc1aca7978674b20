//! `/networks`: those of the fleet, and the predefined `host`, `none` and `ingress`.
//!
//! Docker's client resolves a network before it names it in a service, and again to show its name.
//! Every node answers for the whole fleet.

mod object;
mod removal;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use crdt_state::NetworkId;
use crdt_state::network::{DEFAULT_NETWORK, NetworkSpec};
use node_core::edit::network::{BadNetwork, PREDEFINED};
use node_core::{Edit, Edited, NetworkRow};
use node_docker::network::{Network, NetworkCreate, NetworkCreated, NetworksPruned};
use node_docker::service::ServiceSpec;
use node_docker::state::accept_network;
use node_docker::task_spec::{NetworkAttachment, PROCESS_SCHEME, RUNTIME_PROCESS};
use object::Shown;
pub use object::attachments;
use serde::Deserialize;

use super::change::Change;
use super::failure::Failure;
use super::filters::Filters;
use super::full_networks;
use super::network_failures::network_failures;
use super::path_failures;
use super::snapshot::Snapshot;
use super::{Answer, Api, Sent};

const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const PRUNE_FILTERS: [&str; 3] = ["label", "label!", "until"];

/// The parameters of `GET /networks` and `POST /networks/prune`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// The parameters of `GET /networks/{id}`.
#[derive(Debug, Default, Deserialize)]
pub struct InspectQuery {
    verbose: Option<String>,
    scope: Option<String>,
}

/// `GET /networks`.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<Vec<Network>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    check_words(&filters)?;
    let snapshot = Snapshot::latest(&api).await?;
    let fleet =
        snapshot.networks.iter().map(|row| (object::of_fleet(row), row.services.is_empty()));
    let predefined = object::predefined().into_iter().map(|network| (network, false));
    let is_wanted = |(network, is_unused): &(Network, bool)| {
        let is_builtin = PREDEFINED.contains(&network.name.as_str());
        let kind = if is_builtin { "builtin" } else { "custom" };
        filters.holds("name", |wanted| network.name.contains(wanted))
            && filters.holds("id", |wanted| network.id.contains(wanted))
            && filters.holds("driver", |wanted| wanted == network.driver)
            && filters.holds("scope", |wanted| wanted == network.scope)
            && filters.holds("type", |wanted| wanted == kind)
            && filters.holds("dangling", |wanted| {
                matches!(wanted, "true" | "1") == (*is_unused && !is_builtin)
            })
            && filters.labels_hold("label", &network.labels)
    };
    let listed = predefined.chain(fleet).filter(is_wanted).map(|(network, _)| network);
    Ok(Json(listed.collect()))
}

fn check_words(filters: &Filters) -> Result<(), Failure> {
    let allowed: [(&str, &[&str]); 2] =
        [("type", &["builtin", "custom"]), ("dangling", &["true", "false", "1", "0"])];
    for (name, words) in allowed {
        if let Some(bad) = filters.values(name).find(|value| !words.contains(value)) {
            let words = words.join(", ");
            return Err(Failure::Bad(format!("filter {name}: `{bad}` is none of {words}")));
        }
    }
    Ok(())
}

/// `POST /networks/create`. Answers once the network is on this node's disk.
pub async fn create(
    State(api): State<Api>,
    change: Change,
    body: Sent,
) -> Result<(StatusCode, Json<NetworkCreated>), Failure> {
    let sent: NetworkCreate = node_docker::read(&body?)?;
    let request = accept_network(sent)?;
    request.check()?;
    match change.edit(&api, Edit::CreateNetwork(Box::new(request))).await? {
        Edited::Network(id) => {
            let snapshot = Snapshot::latest(&api).await?;
            let warning = snapshot.network_warning(id);
            let created = NetworkCreated { id: id.to_string(), warning };
            Ok((StatusCode::CREATED, Json(created)))
        }
        _ => unreachable!("a creation answers with the network that it made"),
    }
}

/// `GET /networks/{id or name}`.
pub async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<InspectQuery>>,
) -> Result<Json<Network>, Failure> {
    let Query(query) = query?;
    let detail_shown = match query.verbose.as_deref() {
        Some("1" | "true" | "True") => Shown::WithServices,
        _ => Shown::Brief,
    };
    if let Some(scope) = query.scope.filter(|scope| !matches!(scope.as_str(), "" | "swarm")) {
        return Err(Failure::Missing(format!(
            "network {wanted} with the scope {scope} not found; networks of the fleet have the \
             scope swarm"
        )));
    }
    if let Some(network) = object::predefined().into_iter().find(|n| n.name == wanted) {
        return Ok(Json(network));
    }
    let snapshot = Snapshot::latest(&api).await?;
    let row = snapshot.network(&wanted)?.clone();
    let id = row.network.id;
    let read = api.read(move |node, _| (node.network_detail(id), node.met_routes(&[id])));
    let (detail, met_routes) = read.await?;
    let mut shown = object::inspected(&snapshot, &row, &detail, detail_shown);
    let full = full_networks::on_network(&row, &detail);
    let paths = path_failures::on_network(&api.handle.path_failures(), &snapshot, id);
    let failures = [network_failures(&api, &snapshot), met_routes, full, paths].concat();
    shown.edge = object::edge(&snapshot, &row, (&detail, detail_shown), failures);
    Ok(Json(shown))
}

/// `DELETE /networks/{id or name}`. Answers when the tasks of removed services have left it.
pub async fn remove(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Failure> {
    if PREDEFINED.contains(&wanted.as_str()) {
        return Err(BadNetwork::Predefined(wanted).into());
    }
    let id = Snapshot::latest(&api).await?.network(&wanted)?.network.id;
    removal::remove(&api, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /networks/prune`: removes the networks that no service of the fleet names.
pub async fn prune(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<NetworksPruned>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &PRUNE_FILTERS)?;
    if filters.has("until") {
        let message = "prune by age is not supported yet; leave the filter until out";
        return Err(Failure::NotYet(message.to_owned()));
    }
    let snapshot = Snapshot::latest(&api).await?;
    let is_unused = |row: &&NetworkRow| {
        row.services.is_empty()
            && row.network.id != NetworkId::default_network()
            && filters.labels_hold("label", &row.network.labels)
            && filters.labels_are_absent("label!", &row.network.labels)
    };
    let mut removed = Vec::new();
    for row in snapshot.networks.iter().filter(is_unused) {
        // Somebody may have begun to use it since.
        if api.edit(Edit::RemoveNetwork { id: row.network.id }).await.is_ok() {
            removed.push(row.network.name.clone());
        }
    }
    api.recent.tell("network", "prune", "", &[("reclaimed", "0")]);
    Ok(Json(NetworksPruned { networks_deleted: (!removed.is_empty()).then_some(removed) }))
}

/// Puts ids in place of the names of networks. A container without a network gets the fleet's
/// default network; where this node makes none, the node's own, with a warning.
pub fn resolve(snapshot: &Snapshot, spec: &mut ServiceSpec) -> Result<Option<String>, Failure> {
    let ports = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
    let in_mesh = ports.into_iter().any(|port| port.publish_mode != "host");
    let task = &mut spec.task_template;
    let image = task.container_spec.as_ref().map_or("", |container| container.image.as_str());
    if task.runtime == RUNTIME_PROCESS || image.starts_with(PROCESS_SCHEME) {
        return Ok(None);
    }
    if task.networks.is_empty() {
        let refusal = &snapshot.network_refusal;
        if !refusal.is_empty() && in_mesh {
            return Err(Failure::Unavailable(format!(
                "a port of every node needs a network of the fleet, and this node makes none: \
                 {refusal}; publish it with mode=host"
            )));
        }
        if !refusal.is_empty() {
            return Ok(Some(format!(
                "the service is on the nodes' own network, because this node makes no networks: \
                 {refusal}"
            )));
        }
        let target = NetworkId::default_network().to_string();
        task.networks = vec![NetworkAttachment { target, ..NetworkAttachment::default() }];
        return Ok(None);
    }
    for attachment in &mut task.networks {
        let target = attachment.target.as_str();
        if matches!(target, "host" | "none") {
            continue;
        }
        if matches!(target, "ingress" | "bridge") {
            return Err(Failure::Forbidden(format!(
                "no service can be on the network {target}: leave --network out for the fleet's \
                 default network, or create one: edgectl network create back"
            )));
        }
        attachment.target = match target {
            DEFAULT_NETWORK => NetworkId::default_network().to_string(),
            id if id == NetworkId::default_network().to_string() => continue,
            _ => match (snapshot.network(target), target.parse::<NetworkId>()) {
                (Ok(row), _) => row.network.id.to_string(),
                // A service may go on with one that was removed: the edit decides.
                (Err(_), Ok(_)) => continue,
                (Err(failure), Err(_)) => return Err(failure),
            },
        };
    }
    Ok(None)
}

impl Snapshot {
    /// What should be known when a network was created on this node.
    fn network_warning(&self, id: NetworkId) -> String {
        let row = self.networks.iter().find(|row| row.network.id == id);
        match row.map_or("", |row| self.refusal(&row.network.spec)) {
            "" => String::new(),
            refusal => format!("this node itself takes no part in this network: {refusal}"),
        }
    }

    /// Why this node takes part in no such network; empty: it can.
    pub(super) fn refusal(&self, spec: &NetworkSpec) -> &str {
        match self.network_refusal.as_str() {
            "" if spec.encrypted => &self.tunnel_refusal,
            refusal => refusal,
        }
    }
}

/// Options and labels of a predefined network.
pub(super) type Words = BTreeMap<String, String>;
