//! Networks as the node reads them: what operators wrote, what nodes claim, the addresses of tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crdt_state::network::{Block, NodeNetworks, NodeTunnel, PickedPorts, SlotAddresses};
use crdt_state::read::{self, Network};
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::Life;
use crdt_state::stamp::Stamp;
use crdt_state::task::Slot;
use crdt_state::{Kind, NetworkId, NodeId, RecordKey, ServiceId};
use ipnet::IpNet;
use overlay::claims::Claims;
use overlay::settled::{self, SettledNetwork};
use overlay::virtual_address;

use super::{NodeEntry, Touched};

/// On what the virtual addresses of a service depend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its age.
    pub age: (Stamp, ServiceId),
    /// What is written of each network on which it has one.
    pub networks: BTreeMap<NetworkId, Vec<IpAddr>>,
}

impl Asked {
    /// What a service asks for.
    pub fn of(service: &Service) -> Asked {
        let written = |id: &NetworkId| service.balancing.virtual_addresses.get(id).cloned();
        let networks = service.networks.iter().filter(|_| !service.balancing.by_name);
        let networks =
            networks.map(|a| (a.network, written(&a.network).unwrap_or_default())).collect();
        Asked { age: (service.created, service.id), networks }
    }
}

/// All records of networks and addresses, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCatalog {
    /// Living networks.
    pub networks: BTreeMap<NetworkId, Network>,
    /// The names of the networks that were removed.
    pub removed: BTreeMap<NetworkId, String>,
    /// The subnets and the number that each of them really has.
    pub settled: BTreeMap<NetworkId, SettledNetwork>,
    /// What nodes say of themselves on networks, also those that operators removed.
    pub claims: Claims,
    /// The nodes that operators removed: what they claimed does not count. It is known by that record
    /// and not by age: who is merely absent keeps its blocks.
    evicted: BTreeSet<NodeId>,
    /// What nodes say of their ends of the tunnel.
    pub tunnels: BTreeMap<NodeId, NodeTunnel>,
    /// The ports that nodes picked for their tasks.
    pub picked_ports: BTreeMap<NodeId, PickedPorts>,
    /// The addresses of tasks, per service.
    pub addresses: BTreeMap<ServiceId, BTreeMap<(Slot, NodeId), SlotAddresses>>,
    address_keys: BTreeMap<RecordKey, (ServiceId, Slot, NodeId)>,
}

impl NetworkCatalog {
    /// Reads one record again.
    pub fn update(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        match key.kind {
            Kind::NETWORK => {
                let id = NetworkId(key.id);
                self.networks.remove(&id);
                self.networks.extend(Network::read(replica, id).map(|network| (id, network)));
                self.removed.remove(&id);
                if let Some(Life::Removed { name }) = replica.life(&key) {
                    self.removed.insert(id, name);
                }
                let networks = self.networks.values();
                self.settled = settled::settle(networks.map(|n| (n.id, n.created, &n.spec)));
            }
            Kind::NODE_NETWORKS => {
                touched.nodes = true;
                let id = NodeId(key.id);
                let before = self.claims.remove(&id);
                self.claims.extend(read::node_networks_of(replica, id).map(|said| (id, said)));
                let (before, after) = (before.unwrap_or_default(), self.claims.get(&id));
                let none = BTreeMap::new();
                let after = after.map_or(&none, |said| &said.blocks);
                let both = before.blocks.keys().chain(after.keys());
                touched.claims.extend(both.filter(|id| before.blocks.get(*id) != after.get(*id)));
            }
            Kind::TUNNEL => {
                touched.nodes = true;
                let id = NodeId(key.id);
                self.tunnels.remove(&id);
                self.tunnels.extend(read::tunnel_of(replica, id).map(|said| (id, said)));
            }
            Kind::PICKED_PORTS => {
                let id = NodeId(key.id);
                self.picked_ports.remove(&id);
                self.picked_ports.extend(read::picked_ports_of(replica, id).map(|said| (id, said)));
            }
            Kind::ADDRESSES => self.update_addresses(replica, key, touched),
            _ => {}
        }
    }

    /// The node whose addresses a record tells.
    pub fn addresses_owner(&self, key: &RecordKey) -> Option<NodeId> {
        self.address_keys.get(key).map(|(_, _, node)| *node)
    }

    fn update_addresses(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        if let Some((service, slot, node)) = self.address_keys.remove(&key) {
            touched.named.insert(service);
            touched.givers.insert(node);
            if let Some(records) = self.addresses.get_mut(&service) {
                records.remove(&(slot, node));
                if records.is_empty() {
                    self.addresses.remove(&service);
                }
            }
        }
        if let Some(said) = read::slot_addresses(replica, &key) {
            let SlotAddresses { service, slot, node, .. } = said;
            touched.named.insert(service);
            touched.givers.insert(node);
            self.address_keys.insert(key, (service, slot, node));
            self.addresses.entry(service).or_default().insert((slot, node), said);
        }
    }

    /// Notes whether operators removed a node: then it holds nothing any more.
    pub(super) fn note_evicted(&mut self, node: NodeId, entry: &NodeEntry, touched: &mut Touched) {
        let is_news = match entry.evicted {
            true => self.evicted.insert(node),
            false => self.evicted.remove(&node),
        };
        if let Some(said) = self.claims.get(&node).filter(|_| is_news) {
            touched.claims.extend(said.blocks.keys());
        }
    }

    /// What the nodes say of themselves that operators have not removed.
    pub fn held_claims(&self) -> impl Iterator<Item = (NodeId, &NodeNetworks)> {
        let held = self.claims.iter().filter(|(node, _)| !self.evicted.contains(node));
        held.map(|(node, said)| (*node, said))
    }

    /// The blocks that all nodes but this one hold on a network.
    pub fn blocks_of_others(
        &self,
        me: NodeId,
        network: NetworkId,
    ) -> impl Iterator<Item = (NodeId, &Block)> {
        let others = self.held_claims().filter(move |(node, _)| *node != me);
        others.flat_map(move |(node, said)| {
            said.blocks.get(&network).into_iter().flatten().map(move |block| (node, block))
        })
    }

    /// The blocks on a network of nodes that operators removed. They are given last: who has not
    /// heard of the removal still takes them for that node's.
    pub fn freed_blocks(&self, network: NetworkId) -> Vec<IpNet> {
        let evicted = self.evicted.iter().filter_map(|node| self.claims.get(node));
        let blocks = evicted.filter_map(|said| said.blocks.get(&network)).flatten();
        blocks.map(|block| block.subnet).collect()
    }

    /// What is to be said of a service that names a network which was removed; `None`: it names none.
    pub fn removed_of(&self, service: &Service) -> Option<String> {
        let mut named = service.networks.iter().map(|attachment| attachment.network);
        let (id, network) = named.find_map(|id| Some((id, self.removed.get(&id)?)))?;
        let (name, command) = (&service.name, "edgectl service update --network-rm");
        Some(format!("its network {network} was removed: {command} {id} {name}"))
    }

    /// The first network of a service that is encrypted.
    pub fn encrypted_of(&self, service: &Service) -> Option<&Network> {
        let mut networks = service.networks.iter().filter_map(|a| self.networks.get(&a.network));
        networks.find(|network| network.spec.encrypted)
    }

    /// Why a node takes part in no encrypted network; `None`: it does.
    pub fn no_tunnel(&self, node: NodeId) -> Option<&str> {
        let silent = "it has not said that it can encrypt, so its agent may be of an older version";
        let refusal = self.tunnels.get(&node).map_or(silent, |said| said.refusal.as_str());
        (!refusal.is_empty()).then_some(refusal)
    }

    /// The living network that owns a name: the one created first, by stamp, then by id.
    pub fn named(&self, name: &str) -> Option<&Network> {
        let named = self.networks.values().filter(|network| network.name == name);
        named.min_by_key(|network| (network.created, network.id))
    }

    /// The virtual addresses of the services on a network. A service whose name leads to its tasks
    /// has none.
    pub fn virtual_addresses(
        &self,
        services: &BTreeMap<ServiceId, Arc<Service>>,
        network: NetworkId,
    ) -> BTreeMap<ServiceId, Vec<IpAddr>> {
        let Some(settled) = self.settled.get(&network) else { return BTreeMap::new() };
        let on_it = services.values().filter(|service| {
            !service.balancing.by_name && service.networks.iter().any(|a| a.network == network)
        });
        let asked = on_it.map(|service| virtual_address::Asked {
            service: service.id,
            created: service.created,
            written: service.balancing.virtual_addresses.get(&network).cloned().unwrap_or_default(),
        });
        virtual_address::settle(&settled.ranges, asked.collect(), |ip| self.is_claimed(network, ip))
    }

    /// Is the address in a block that a node holds?
    pub fn is_claimed(&self, network: NetworkId, ip: IpAddr) -> bool {
        let blocks = self.held_claims().filter_map(|(_, said)| said.blocks.get(&network)).flatten();
        blocks.into_iter().any(|block| block.subnet.contains(&ip))
    }
}
