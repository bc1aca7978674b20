//! `/nodes`: the members of the fleet, as the answering node sees them.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Path, Query, State};
use gossip::{Evidence, MemberState};
use node_core::{Edit, NodeRow, Removal};
use serde::Deserialize;

use super::failure::Failure;
use super::filters::Filters;
use super::snapshot::{Snapshot, hostname};
use super::task_object::spoken;
use super::{Answer, Api, Change, Sent, fleet_key};
use node_docker::node::{
    EdgeNode, Engine, ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus,
};
use node_docker::state::{availability, availability_word, show_node_resources};
use node_docker::task_spec::Platform;
use node_docker::{Timestamp, Version, read};

const FILTERS: [&str; 6] = ["id", "label", "membership", "name", "node.label", "role"];

/// The parameters of `GET /nodes`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// The parameters of `POST /nodes/{id}/update`.
#[derive(Debug, Default, Deserialize)]
pub struct UpdateQuery {
    version: Option<u64>,
}

/// The parameters of `DELETE /nodes/{id}`.
#[derive(Debug, Default, Deserialize)]
pub struct RemoveQuery {
    force: Option<String>,
}

/// `GET /nodes`.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<Vec<Node>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let snapshot = Snapshot::latest(&api).await?;
    let mut nodes: Vec<Node> =
        snapshot.nodes.iter().map(|row| node_object(row, &snapshot)).collect();
    nodes.retain(|node| is_wanted(node, &filters));
    add_trust(&api, &mut nodes).await?;
    Ok(Json(nodes))
}

/// `GET /nodes/{id}`.
pub async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Node>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let mut found = [node_object(snapshot.node(&wanted)?, &snapshot)];
    add_trust(&api, &mut found).await?;
    let [node] = found;
    Ok(Json(node))
}

/// Nodes that have the newest key of the fleet have its root of trust.
async fn add_trust(api: &Api, nodes: &mut [Node]) -> Result<(), Failure> {
    let behind = fleet_key::behind(api).await?;
    let behind: Vec<String> = behind.iter().map(ToString::to_string).collect();
    let trust = fleet_key::tls_info(api)?;
    for node in nodes.iter_mut().filter(|node| !behind.contains(&node.id)) {
        node.description.tls_info = Some(trust.clone());
    }
    Ok(())
}

/// `POST /nodes/{id}/update`.
pub async fn update(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<UpdateQuery>>,
    change: Change,
    body: Sent,
) -> Result<(), Failure> {
    let version = query?.version;
    let spec: NodeSpec = read(&body?)?;
    if spec.role == "worker" {
        return Err(Failure::Bad(
            "every node takes commands and runs tasks, there are no roles to change; \
             to keep tasks off a node: edgectl node update --availability drain NODE"
                .to_owned(),
        ));
    }
    let availability = match spec.availability.as_str() {
        "" => None,
        word => Some(availability(word)?),
    };
    let id = Snapshot::latest(&api).await?.node(&wanted)?.id;
    let labels = Some(spec.labels);
    change.edit(&api, Edit::UpdateNode { id, version, availability, labels }).await?;
    Ok(())
}

/// `DELETE /nodes/{id}`.
pub async fn remove(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<RemoveQuery>>,
    change: Change,
) -> Result<(), Failure> {
    let removal = match query?.force.as_deref() {
        Some("1" | "true" | "True") => Removal::Force,
        _ => Removal::IfGone,
    };
    let id = Snapshot::latest(&api).await?.node(&wanted)?.id;
    change.edit(&api, Edit::RemoveNode { id, removal }).await?;
    Ok(())
}

fn is_wanted(node: &Node, filters: &Filters) -> bool {
    filters.holds("id", |id| node.id.starts_with(id))
        && filters.holds("name", |name| node.description.hostname.starts_with(name))
        && filters.holds("membership", |membership| membership == "accepted")
        && filters.holds("role", |role| role == node.spec.role)
        && filters.labels_hold("node.label", &node.spec.labels)
        && filters.labels_hold("label", &node.description.engine.labels)
}

/// A node in Docker's form.
pub fn node_object(row: &NodeRow, snapshot: &Snapshot) -> Node {
    let updated = Timestamp(snapshot.node_updated_ms.get(&row.id).copied().unwrap_or(0));
    let addr = address(row);
    Node {
        id: row.id.to_string(),
        version: Version { index: row.version },
        created_at: updated,
        updated_at: updated,
        spec: NodeSpec {
            name: String::new(),
            labels: row.labels.clone(),
            role: "manager".to_owned(),
            availability: availability_word(row.availability).to_owned(),
        },
        description: description(row),
        status: NodeStatus {
            state: docker_state(row.state).to_owned(),
            message: message(row),
            addr: addr.parse::<SocketAddr>().map_or_else(|_| addr.clone(), |a| a.ip().to_string()),
        },
        manager_status: Some(ManagerStatus {
            leader: false,
            reachability: match is_reachable(row.state) {
                true => "reachable".to_owned(),
                false => "unreachable".to_owned(),
            },
            addr,
        }),
        edge: EdgeNode {
            state: state_word(row.state).to_owned(),
            evidence: row.evidence.map(|by| by.as_str().to_owned()).unwrap_or_default(),
            since_ms: row.since_ms,
            heard_ms: row.heard_ms,
            is_me: row.is_me,
        },
    }
}

/// The address where it was last heard; for this node, the one that it advertises.
fn address(row: &NodeRow) -> String {
    let told = || row.description.as_ref().and_then(|said| said.addresses.first().cloned());
    row.addr.map(|addr| addr.to_string()).or_else(told).unwrap_or_default()
}

fn description(row: &NodeRow) -> NodeDescription {
    let Some(said) = &row.description else { return NodeDescription::default() };
    NodeDescription {
        tls_info: None,
        hostname: hostname(row).to_owned(),
        platform: Platform {
            architecture: said.arch.clone(),
            os: said.os.clone(),
            ..Platform::default()
        },
        resources: show_node_resources(&said.resources, &row.named_resources),
        engine: Engine {
            engine_version: said.engine_version.clone(),
            labels: said.engine_labels.clone(),
        },
    }
}

fn is_reachable(state: MemberState) -> bool {
    matches!(state, MemberState::Alive | MemberState::Suspect)
}

/// `down` is only for a node that left, never for one that may still run on its own.
fn docker_state(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive | MemberState::Suspect => "ready",
        MemberState::Unreachable => "disconnected",
        MemberState::Left => "down",
    }
}

/// The state in edgectl's own words.
pub fn state_word(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Unreachable => "unreachable",
        MemberState::Left => "left",
    }
}

fn message(row: &NodeRow) -> String {
    let since = spoken(row.since_ms);
    match row.state {
        MemberState::Alive => String::new(),
        MemberState::Suspect => format!("suspected for {since}, as seen from here"),
        MemberState::Unreachable => match row.evidence {
            Some(Evidence::Island) => format!("unreachable for {since}: this node hears nobody"),
            Some(Evidence::Others) => format!("unreachable for {since}, as others say"),
            Some(Evidence::Probe) | None => format!("unreachable for {since}, as seen from here"),
        },
        MemberState::Left => format!("left {since} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_left_is_called_down() {
        let states = [
            (MemberState::Alive, "ready"),
            (MemberState::Suspect, "ready"),
            (MemberState::Unreachable, "disconnected"),
            (MemberState::Left, "down"),
        ];
        for (state, word) in states {
            assert_eq!(docker_state(state), word);
        }
    }
}
