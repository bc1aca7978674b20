//! Networks, who is on them, and with which addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crdt_state::network::PickedPorts;
use crdt_state::read::Network;
use crdt_state::service::Service;
use crdt_state::task::Slot;
use crdt_state::{NetworkId, NodeId, RecordKey, ServiceId, TaskId};
use overlay::settled::SettledNetwork;

use crate::addressing::is_on_networks;
use crate::node::Node;

/// A network and what it really has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRow {
    /// As operators wrote it.
    pub network: Network,
    /// Its subnets and its number.
    pub settled: SettledNetwork,
    /// The services that name it.
    pub services: Vec<ServiceId>,
}

/// Who is on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkDetail {
    /// The nodes that take part, each with the address of its VXLAN packets.
    pub peers: Vec<(NodeId, Option<IpAddr>)>,
    /// The services, by name.
    pub services: Vec<NetworkService>,
}

/// A service on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkService {
    /// The service.
    pub service: Service,
    /// Its virtual addresses, at most one of each family.
    pub virtual_addresses: Vec<IpAddr>,
    /// Its tasks with addresses.
    pub tasks: Vec<NetworkTask>,
}

/// A task on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkTask {
    /// Which slot.
    pub slot: Slot,
    /// The node that runs it.
    pub node: NodeId,
    /// The task.
    pub task: TaskId,
    /// The number of its attempt.
    pub attempt: u32,
    /// At most one of each family.
    pub addresses: Vec<IpAddr>,
    /// Does it take connections now, as this node sees it?
    pub is_ready: bool,
}

/// What two sides of a partition did to networks, and what does not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConflict {
    /// The key of the service or network that lost.
    pub key: RecordKey,
    /// How it is called.
    pub name: String,
    /// What it lost, or what does not fit: `networks`, `name`, `ports` or `subnet`.
    pub what: &'static str,
    /// To whom, and what to do.
    pub detail: String,
}

impl Node {
    /// What the two sides of a partition did to networks, and what does not fit together: a network
    /// that was removed under a service, a name that two networks have, a port of two services, a
    /// subnet that a member's site has as well.
    pub fn network_conflicts(&self) -> Vec<NetworkConflict> {
        let catalog = self.catalog();
        let mut found = Vec::new();
        let mut holders = BTreeMap::new();
        let mut services: Vec<&Arc<Service>> = catalog.services.values().collect();
        services.sort_unstable_by_key(|service| (service.created, service.id));
        for service in services {
            let (key, name) = (RecordKey::service(service.id), service.name.clone());
            if let Some(detail) = catalog.networks.removed_of(service) {
                found.push(NetworkConflict { key, name: name.clone(), what: "networks", detail });
            }
            let ports = service.endpoint.ports.iter().filter(|p| !p.host && p.published != 0);
            for port in ports.filter(|_| is_on_networks(service)) {
                let (number, protocol) = (port.published, port.protocol.as_str());
                let holder = *holders.entry((number, protocol)).or_insert(service);
                if holder.id != service.id {
                    let detail = format!(
                        "port {number}/{protocol} leads to {}, which is older: edgectl service \
                         update --publish-rm {} {}",
                        holder.name, port.target, service.id
                    );
                    let name = name.clone();
                    found.push(NetworkConflict { key, name, what: "ports", detail });
                }
            }
        }
        for network in catalog.networks.networks.values() {
            let owner = catalog.networks.named(&network.name);
            if let Some(owner) = owner.filter(|owner| owner.id != network.id) {
                let (key, name) = (RecordKey::network(network.id), network.name.clone());
                let detail = format!(
                    "the name means {}, which is older; this one is named by its id {}",
                    owner.id, network.id
                );
                found.push(NetworkConflict { key, name, what: "name", detail });
            }
        }
        for met in catalog.met_routes(catalog.site_routes()) {
            let Some(network) = catalog.networks.networks.get(&met.network) else { continue };
            let (key, name) = (RecordKey::network(network.id), network.name.clone());
            let detail = catalog.tell_met_route(&met);
            found.push(NetworkConflict { key, name, what: "subnet", detail });
        }
        found
    }

    /// What is to be said of routes of members' sites that meet one of these networks.
    pub fn met_routes(&self, networks: &[NetworkId]) -> Vec<String> {
        let catalog = self.catalog();
        let met = catalog.met_routes(catalog.site_routes());
        let of_these = met.filter(|met| networks.contains(&met.network));
        of_these.map(|met| catalog.tell_met_route(&met)).collect()
    }

    /// All networks of the fleet, by id.
    pub fn network_rows(&self) -> Vec<NetworkRow> {
        let networks = &self.catalog().networks;
        let rows = networks.networks.values().filter_map(|network| {
            let is_on_it = |service: &&Service| {
                service.networks.iter().any(|attachment| attachment.network == network.id)
            };
            Some(NetworkRow {
                network: network.clone(),
                settled: networks.settled.get(&network.id)?.clone(),
                services: self.services().filter(is_on_it).map(|service| service.id).collect(),
            })
        });
        rows.collect()
    }

    /// The addresses of all tasks, by network, as their nodes report them.
    pub fn task_addresses(&self) -> BTreeMap<TaskId, BTreeMap<NetworkId, Vec<IpAddr>>> {
        let records = self.catalog().networks.addresses.values().flat_map(BTreeMap::values);
        let tasks = records.flat_map(|record| &record.tasks);
        tasks.map(|said| (said.task, said.networks.clone())).collect()
    }

    /// The ports that nodes picked for their tasks.
    pub fn picked_ports_of_all(&self) -> PickedPorts {
        let said = self.catalog().networks.picked_ports.values();
        said.flatten().map(|(task, ports)| (*task, ports.clone())).collect()
    }

    /// The virtual addresses of all services, by network.
    pub fn service_addresses(&self) -> BTreeMap<ServiceId, Vec<(NetworkId, IpAddr)>> {
        let catalog = self.catalog();
        let mut found: BTreeMap<ServiceId, Vec<(NetworkId, IpAddr)>> = BTreeMap::new();
        for network in catalog.networks.networks.keys() {
            let given = catalog.networks.virtual_addresses(&catalog.services, *network);
            for (service, addresses) in given {
                let addresses = addresses.into_iter().map(|ip| (*network, ip));
                found.entry(service).or_default().extend(addresses);
            }
        }
        found
    }

    /// Who is on a network.
    pub fn network_detail(&self, id: NetworkId) -> NetworkDetail {
        let catalog = self.catalog();
        let claims = catalog.networks.held_claims();
        let peers = claims.filter(|(_, said)| said.blocks.contains_key(&id));
        let peers = peers.map(|(node, said)| (node, said.data_address)).collect();
        let virtual_addresses = catalog.networks.virtual_addresses(&catalog.services, id);
        let on_it = |service: &&Service| service.networks.iter().any(|a| a.network == id);
        let services = self.services().filter(on_it).map(|service| NetworkService {
            service: service.clone(),
            virtual_addresses: virtual_addresses.get(&service.id).cloned().unwrap_or_default(),
            tasks: self.network_tasks(service.id, id),
        });
        let mut services: Vec<NetworkService> = services.collect();
        services.sort_by(|one, other| one.service.name.cmp(&other.service.name));
        NetworkDetail { peers, services }
    }

    fn network_tasks(&self, service: ServiceId, id: NetworkId) -> Vec<NetworkTask> {
        let tasks = self
            .placed_tasks(service, id)
            .filter(|placed| !placed.status.current.state.is_terminal());
        let ready = self.ready_tasks(service, id);
        let is_ready = |task| ready.iter().any(|placed| placed.status.id == task);
        let tasks = tasks.map(|placed| NetworkTask {
            slot: placed.slot,
            node: placed.node,
            task: placed.status.id,
            attempt: placed.status.current.number,
            addresses: placed.addresses.to_vec(),
            is_ready: is_ready(placed.status.id) && self.is_reachable(placed.node),
        });
        tasks.collect()
    }
}
