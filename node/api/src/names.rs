//! `/edge/names/{name}`: what a name leads to, and why. With `all=1` every node is asked what its
//! own name servers answer.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use crdt_state::{NetworkId, NodeId};
use futures_util::future::join_all;
use gossip::MemberState;
use node_agent::{Handle, NAME_ADDRESSES_MAX, NameSaid};
use node_core::report::{NameMeaning, NameRow, NameService, NameStanding, NameTask};
use node_docker::name::{
    EdgeNameService, EdgeNameTask, NameAnswers, NameOnNetwork, NodeNameAnswer,
};
use serde::Deserialize;
use tokio::time::timeout;

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Answer, Api};

/// How long one node may take to say what it answers.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The parameters.
#[derive(Debug, Default, Deserialize)]
pub struct NamesQuery {
    network: Option<String>,
    all: Option<String>,
}

/// `GET /edge/names/{name}`.
pub async fn find(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Answer<Query<NamesQuery>>,
) -> Result<Json<NameAnswers>, Failure> {
    let Query(query) = query?;
    let snapshot = Snapshot::latest(&api).await?;
    let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
    let on = match &query.network {
        Some(network) => Some(snapshot.network(network)?.network.id),
        None => None,
    };
    let asked = name.clone();
    let read = api.read(move |node, now| node.name_rows(now, &asked, on, Handle::container_name()));
    let rows = read.await?;
    let mut networks: Vec<NameOnNetwork> =
        rows.iter().map(|row| on_network(&snapshot, row)).collect();
    if matches!(query.all.as_deref(), Some("1" | "true" | "True")) {
        ask_all(&api, &snapshot, &rows, &mut networks).await;
    }
    let node = snapshot.hostname(snapshot.me);
    Ok(Json(NameAnswers { name, node, networks }))
}

fn on_network(snapshot: &Snapshot, row: &NameRow) -> NameOnNetwork {
    let network = snapshot.networks.iter().find(|network| network.network.id == row.network);
    let answer = row.answer.iter().flatten().map(|found| found.address.to_string());
    NameOnNetwork {
        network: network.map(|network| network.network.name.clone()).unwrap_or_default(),
        network_id: row.network.to_string(),
        asked: row.asked.clone(),
        known: row.answer.is_some(),
        addresses: answer.collect(),
        services: row.services.iter().map(|service| named_service(snapshot, service)).collect(),
        nodes: Vec::new(),
    }
}

fn named_service(snapshot: &Snapshot, service: &NameService) -> EdgeNameService {
    let meaning = match service.meaning {
        NameMeaning::Service => "service",
        NameMeaning::Alias => "alias",
        NameMeaning::Tasks => "tasks",
        NameMeaning::Task => "task",
    };
    EdgeNameService {
        service_id: service.service.to_string(),
        service: service.service_name.clone(),
        meaning: meaning.to_owned(),
        virtual_ips: words(&service.virtual_addresses),
        tasks: service.tasks.iter().map(|task| named_task(snapshot, task)).collect(),
    }
}

fn named_task(snapshot: &Snapshot, task: &NameTask) -> EdgeNameTask {
    let (standing, reason) = match &task.standing {
        NameStanding::Answered => ("answered", "it runs and is healthy"),
        NameStanding::Balanced => ("balanced", "it runs and is healthy"),
        NameStanding::Last => ("last", "its node does not answer"),
        NameStanding::Absent(reason) => ("absent", reason.as_str()),
    };
    EdgeNameTask {
        name: task.name.clone(),
        task_id: task.task.to_string(),
        node: task.node.map(|node| snapshot.hostname(node)).unwrap_or_default(),
        addresses: words(&task.addresses),
        state: task.state.as_str().to_owned(),
        standing: standing.to_owned(),
        reason: reason.to_owned(),
    }
}

fn words(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// Asks every member at once. The name may differ between networks (`web` and `web.back`), so it is
/// asked by the spelling of each.
async fn ask_all(api: &Api, snapshot: &Snapshot, rows: &[NameRow], networks: &mut [NameOnNetwork]) {
    let members = snapshot.nodes.iter().filter(|row| row.state != MemberState::Left);
    let mut members: Vec<(String, NodeId)> =
        members.map(|row| (snapshot.hostname(row.id), row.id)).collect();
    members.sort();
    for (row, network) in rows.iter().zip(networks) {
        let asked = members.iter().map(|(hostname, node)| async {
            let said = ask(api, *node, &row.asked, row.network).await;
            node_answer((hostname, *node), said, network)
        });
        network.nodes = join_all(asked).await;
    }
}

async fn ask(api: &Api, node: NodeId, name: &str, network: NetworkId) -> Result<NameSaid, String> {
    let asked = timeout(ASK_TIMEOUT, api.handle.ask_name(node, name, network)).await;
    match asked {
        Ok(said) => said.map_err(|unsaid| unsaid.to_string()),
        Err(_) => Err("it does not answer in time; edgectl node ls".to_owned()),
    }
}

fn node_answer(
    (hostname, node): (&str, NodeId),
    said: Result<NameSaid, String>,
    here: &NameOnNetwork,
) -> NodeNameAnswer {
    let (outcome, addresses, error) = match said {
        Err(error) => ("silent", Vec::new(), error),
        Ok(said) if !said.is_served => ("unserved", Vec::new(), String::new()),
        Ok(NameSaid { addresses: None, .. }) => ("unknown", Vec::new(), String::new()),
        Ok(NameSaid { addresses: Some(found), .. }) => ("answers", words(&found), String::new()),
    };
    let differs = match outcome {
        "answers" => {
            let here_first = here.addresses.iter().take(NAME_ADDRESSES_MAX);
            !here.known || !addresses.iter().eq(here_first)
        }
        "unknown" => here.known,
        _ => false,
    };
    let (node, node_id) = (hostname.to_owned(), node.to_string());
    NodeNameAnswer { node, node_id, outcome: outcome.to_owned(), addresses, differs, error }
}
