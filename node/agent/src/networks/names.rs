//! The names of the fleet as one container may resolve them.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crdt_state::NetworkId;
use crdt_state::task::Run;
use ipnet::IpNet;
use node_core::Node;
use node_core::names::{NamedAddress, Reach};
use node_core::network_news::NetworkNews;
use node_core::network_state::NetworkState;
use node_docker::container_id;
use overlay::change::PlanChange;
use overlay_dns::{Addresses, AskedName, Reverse, Zone};

use crate::name_said::NameSaid;

/// Digits of a container's id that are its short name, as in Docker.
const SHORT_ID_CHARS: usize = 12;

/// The networks of this node, of which containers see the names; clones share them.
#[derive(Clone)]
pub(super) struct FleetNames(Arc<RwLock<NetworkState>>);

impl Default for FleetNames {
    fn default() -> FleetNames {
        FleetNames(Arc::new(RwLock::new(NetworkState::new(short_id))))
    }
}

impl FleetNames {
    /// Brings the networks up to date with a node. Returns what its kernel must change.
    pub(super) fn update(&self, node: &Node, news: NetworkNews) -> PlanChange {
        self.0.write().unwrap_or_else(PoisonError::into_inner).update(node, news)
    }

    /// What the servers of this node answer about a name on one network.
    pub(super) fn say(&self, name: &str, network: NetworkId) -> NameSaid {
        let state = self.current();
        let names = state.names(network).filter(|_| state.has_tasks_on(network));
        let Some(names) = names else {
            return NameSaid { is_served: false, addresses: None };
        };
        let addresses =
            |found: Vec<NamedAddress>| found.iter().map(|found| found.address).collect();
        NameSaid { is_served: true, addresses: names.addresses(name).map(addresses) }
    }

    fn current(&self) -> RwLockReadGuard<'_, NetworkState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a container that is given none.
pub(crate) fn short_id(run: Run) -> String {
    container_id(run)[..SHORT_ID_CHARS].to_owned()
}

/// One network of a container, in the order of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ZoneNetwork {
    /// The network.
    pub(super) id: NetworkId,
    /// Its subnets.
    pub(super) subnets: Vec<IpNet>,
}

/// What one container may resolve: the names on its own networks.
pub(super) struct ContainerZone {
    names: FleetNames,
    networks: RwLock<Vec<ZoneNetwork>>,
}

impl ContainerZone {
    pub(super) fn new(names: FleetNames, networks: Vec<ZoneNetwork>) -> ContainerZone {
        ContainerZone { names, networks: RwLock::new(networks) }
    }

    /// The container was put on other networks.
    pub(super) fn move_to(&self, networks: Vec<ZoneNetwork>) {
        *self.networks.write().unwrap_or_else(PoisonError::into_inner) = networks;
    }

    fn networks(&self) -> Vec<ZoneNetwork> {
        self.networks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Zone for ContainerZone {
    fn addresses(&self, name: &AskedName) -> Option<Addresses> {
        let names = self.names.current();
        let networks = self.networks();
        let of = |network: &ZoneNetwork| names.names(network.id);
        let mut found = None;
        for names in networks.iter().filter_map(of) {
            // `name.network` asks that network only.
            let suffix = name.text().strip_suffix(names.network.as_str());
            let inner = suffix.and_then(|text| text.strip_suffix('.'));
            let asked = [Some(name.text()), inner];
            let addresses = asked.into_iter().flatten().find_map(|text| names.addresses(text));
            match addresses {
                Some(addresses) if !addresses.is_empty() => return Some(ranked(&addresses)),
                Some(_) => found = Some(Addresses::default()),
                None => {}
            }
        }
        found
    }

    fn reverse(&self, address: IpAddr) -> Reverse {
        let names = self.names.current();
        let networks = self.networks();
        let own = networks
            .iter()
            .find(|network| network.subnets.iter().any(|subnet| subnet.contains(&address)));
        let Some(own) = own else { return Reverse::Foreign };
        let names = names.names(own.id);
        let named = names.and_then(|names| Some((names.name_of(address)?, &names.network)));
        named
            .map_or(Reverse::Unnamed, |(name, network)| Reverse::Named(format!("{name}.{network}")))
    }
}

fn ranked(found: &[NamedAddress]) -> Addresses {
    let of = |reach| found.iter().filter(move |f| f.reach == reach).map(|f| f.address).collect();
    Addresses { reachable: of(Reach::Reachable), unreachable: of(Reach::Unreachable) }
}
