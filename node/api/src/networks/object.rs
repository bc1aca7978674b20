//! A network in Docker's form.

use std::net::IpAddr;

use crdt_state::network::AddressRange;
use crdt_state::{NetworkId, TaskId};
use ipnet::IpNet;
use node_core::expand::task_name;
use node_core::{NetworkDetail, NetworkRow, NetworkService, NetworkTask};
use node_docker::network::{
    EndpointResource, Ipam, IpamConfig, IpamStatus, Network, NetworkEdge, NetworkStatus, PeerInfo,
    ServiceInfo, SubnetStatus, port_words,
};
use node_docker::state::network::{OVERLAY, VNI};
use node_docker::state::show_port;
use node_docker::task::{AttachedIpam, AttachedNetwork, AttachedNetworkSpec, NetworkAttachment};
use node_docker::{Timestamp, container_id, network};

use super::Words;
use crate::snapshot::Snapshot;

/// The networks that every fleet has. Their ids are their names, the same on every node.
pub(super) fn predefined() -> [Network; 3] {
    let of = |name: &str, driver: &str| Network {
        name: name.to_owned(),
        id: name.to_owned(),
        scope: "swarm".to_owned(),
        driver: driver.to_owned(),
        enable_ipv4: true,
        ipam: Ipam { driver: "default".to_owned(), ..Ipam::default() },
        ingress: name == "ingress",
        ..Network::default()
    };
    [of("host", "host"), of("none", "null"), of("ingress", OVERLAY)]
}

/// A network of the fleet, as a listing shows it.
pub(super) fn of_fleet(row: &NetworkRow) -> Network {
    let (network, settled) = (&row.network, &row.settled);
    let has = |is_family: fn(&IpAddr) -> bool| settled.ranges.iter().any(|r| is_family(&r.gateway));
    let mut options: Words = network.spec.options.clone();
    options.insert(VNI.to_owned(), settled.vni.to_string());
    Network {
        name: network.name.clone(),
        id: network.id.to_string(),
        created: Timestamp(network.created_wall_ms),
        scope: "swarm".to_owned(),
        driver: OVERLAY.to_owned(),
        enable_ipv4: has(IpAddr::is_ipv4),
        enable_ipv6: has(IpAddr::is_ipv6),
        ipam: Ipam {
            driver: "default".to_owned(),
            options: None,
            config: settled.ranges.iter().map(range).collect(),
        },
        internal: network.spec.internal,
        attachable: network.spec.attachable,
        options,
        labels: network.labels.clone(),
        ..Network::default()
    }
}

fn range(range: &AddressRange) -> IpamConfig {
    let reserved = range.reserved.iter();
    IpamConfig {
        subnet: range.subnet.to_string(),
        ip_range: range.range.map(|range| range.to_string()).unwrap_or_default(),
        gateway: range.gateway.to_string(),
        auxiliary_addresses: reserved.map(|(name, ip)| (name.clone(), ip.to_string())).collect(),
    }
}

/// The networks that a task is on, with its addresses.
pub fn attachments(snapshot: &Snapshot, task: TaskId) -> Vec<NetworkAttachment> {
    let Some(networks) = snapshot.task_addresses.get(&task) else { return Vec::new() };
    let attachment = |(id, addresses): (&NetworkId, &Vec<IpAddr>)| {
        let row = snapshot.networks.iter().find(|row| row.network.id == *id)?;
        let whole = |ip: &IpAddr| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 });
        Some(NetworkAttachment {
            network: AttachedNetwork {
                id: id.to_string(),
                spec: AttachedNetworkSpec {
                    name: row.network.name.clone(),
                    labels: row.network.labels.clone(),
                },
                ipam_options: AttachedIpam {
                    configs: row.settled.ranges.iter().map(range).collect(),
                },
            },
            addresses: addresses.iter().map(whole).collect(),
        })
    };
    networks.iter().filter_map(attachment).collect()
}

/// How much of a network is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What it is, and this node's containers on it.
    Brief,
    /// Also its services, with all their tasks.
    WithServices,
}

/// A network with who is on it.
pub(super) fn inspected(
    snapshot: &Snapshot,
    row: &NetworkRow,
    detail: &NetworkDetail,
    shown_parts: Shown,
) -> Network {
    let mut shown = of_fleet(row);
    for service in &detail.services {
        for task in service.tasks.iter().filter(|task| task.node == snapshot.me) {
            let run = crdt_state::task::Run { task: task.task, attempt: task.attempt };
            shown.containers.insert(container_id(run), endpoint(service, task));
        }
        if shown_parts == Shown::WithServices {
            let name = service.service.name.clone();
            shown.services.insert(name, service_info(snapshot, service));
        }
    }
    let peers = detail.peers.iter().map(|(node, address)| PeerInfo {
        name: snapshot.hostname(*node),
        ip: address.map(|ip| ip.to_string()).unwrap_or_default(),
    });
    shown.peers = peers.collect();
    shown.status = Some(status(row, detail));
    shown
}

/// How many addresses are in use, and left.
fn status(row: &NetworkRow, detail: &NetworkDetail) -> NetworkStatus {
    let given = |service: &NetworkService| {
        let tasks = service.tasks.iter().flat_map(|task| task.addresses.clone());
        tasks.chain(service.virtual_addresses.clone()).collect::<Vec<_>>()
    };
    let given: Vec<IpAddr> = detail.services.iter().flat_map(given).collect();
    let of = |range: &AddressRange| {
        // The subnet's own address, the gateway, and with IPv4 that of all.
        let never = if range.gateway.is_ipv4() { 3 } else { 2 };
        let from = range.range.unwrap_or(range.subnet);
        let taken = given.iter().filter(|ip| range.subnet.contains(*ip)).count();
        let taken = (taken + range.reserved.len()) as u64;
        let left = size(from).saturating_sub(taken + if from == range.subnet { never } else { 0 });
        let status = SubnetStatus { in_use: taken + never, available: left };
        (range.subnet.to_string(), status)
    };
    NetworkStatus { ipam: IpamStatus { subnets: row.settled.ranges.iter().map(of).collect() } }
}

/// How many addresses a subnet has; what is more than fits is the largest number.
fn size(subnet: IpNet) -> u64 {
    let bits = subnet.max_prefix_len() - subnet.prefix_len();
    1_u64.checked_shl(u32::from(bits)).unwrap_or(u64::MAX)
}

/// What Docker has no word for; `failures` are those of the answering node, and what the fleet knows.
pub(super) fn edge(
    snapshot: &Snapshot,
    row: &NetworkRow,
    (detail, shown_parts): (&NetworkDetail, Shown),
    failures: Vec<String>,
) -> Option<NetworkEdge> {
    let displaced_by = row.settled.displaced_by.map(|id| id.to_string()).unwrap_or_default();
    let refusal = snapshot.refusal(&row.network.spec).to_owned();
    let services = detail.services.iter().filter(|_| shown_parts == Shown::WithServices);
    let dual = services.filter(|service| service.virtual_addresses.len() > 1).map(|service| {
        let addresses = service.virtual_addresses.iter().map(ToString::to_string);
        (service.service.name.clone(), addresses.collect())
    });
    let edge = NetworkEdge { displaced_by, refusal, failures, virtual_ips: dual.collect() };
    (edge != NetworkEdge::default()).then_some(edge)
}

fn endpoint(service: &NetworkService, task: &NetworkTask) -> EndpointResource {
    let address = |is_family: fn(&IpAddr) -> bool, len: u8| {
        let found = task.addresses.iter().find(|ip| is_family(ip));
        found.map(|ip| format!("{ip}/{len}")).unwrap_or_default()
    };
    let mac = node_core::addressing::mac(&task.addresses);
    let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    EndpointResource {
        name: container_name(service, task),
        endpoint_id: task.task.to_string(),
        mac_address: mac.join(":"),
        ipv4_address: address(IpAddr::is_ipv4, 32),
        ipv6_address: address(IpAddr::is_ipv6, 128),
    }
}

/// Docker has a place for one address; a second one is among the words.
fn task_words(snapshot: &Snapshot, task: &NetworkTask) -> Words {
    let mut words = Words::from([
        ("Host".to_owned(), snapshot.hostname(task.node)),
        ("Ready".to_owned(), task.is_ready.to_string()),
    ]);
    let further = task.addresses.get(1);
    words.extend(further.map(|address| ("IPv6".to_owned(), address.to_string())));
    words
}

fn service_info(snapshot: &Snapshot, service: &NetworkService) -> ServiceInfo {
    let ports = service.service.endpoint.ports.iter();
    let tasks = service.tasks.iter().map(|task| network::NetworkTask {
        name: container_name(service, task),
        endpoint_id: task.task.to_string(),
        endpoint_ip: task.addresses.first().map(ToString::to_string).unwrap_or_default(),
        info: task_words(snapshot, task),
    });
    ServiceInfo {
        vip: service.virtual_addresses.first().map(ToString::to_string).unwrap_or_default(),
        ports: ports.map(|port| port_words(&show_port(port))).collect(),
        local_lb_index: 0,
        tasks: tasks.collect(),
    }
}

fn container_name(service: &NetworkService, task: &NetworkTask) -> String {
    format!("{}.{}", task_name(&service.service.name, task.slot), task.task)
}
