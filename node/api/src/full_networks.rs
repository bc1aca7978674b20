//! Services that have no virtual address because their network has none left, as sentences.

use node_core::report::{NetworkDetail, NetworkRow, NetworkService};

use super::Api;
use super::failure::Failure;
use super::snapshot::Snapshot;
use crdt_state::service::Service;

/// Of all services on a network.
pub fn on_network(row: &NetworkRow, detail: &NetworkDetail) -> Vec<String> {
    detail.services.iter().flat_map(|service| without_address(row, service)).collect()
}

/// Of one service, on all its networks.
pub async fn of_service(
    api: &Api,
    snapshot: &Snapshot,
    service: &Service,
) -> Result<Vec<String>, Failure> {
    let mut said = Vec::new();
    for attachment in &service.networks {
        let id = attachment.network;
        let Some(row) = snapshot.networks.iter().find(|row| row.network.id == id) else { continue };
        let detail = api.read(move |node, _| node.network_detail(id)).await?;
        let own = detail.services.iter().filter(|other| other.service.id == service.id);
        said.extend(own.flat_map(|own| without_address(row, own)));
    }
    Ok(said)
}

fn without_address(row: &NetworkRow, service: &NetworkService) -> Vec<String> {
    let NetworkService { service, virtual_addresses, .. } = service;
    if service.balancing.by_name {
        return Vec::new();
    }
    let subnets = row.settled.ranges.iter().map(|range| range.subnet);
    let lacks = subnets.filter(|subnet| !virtual_addresses.iter().any(|ip| subnet.contains(ip)));
    let told = lacks.map(|subnet| {
        format!(
            "network {network}: no address of {subnet} is left for {name}, whose name leads to its \
             tasks instead of a virtual address; move services to a larger network: edgectl service \
             update --network-add OTHER --network-rm {network} {name}",
            network = row.network.name,
            name = service.name
        )
    });
    told.collect()
}
