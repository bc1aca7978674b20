//! Networks some of whose addresses a member's site has as well: a route appeared after the network
//! was made, or on the other side of a partition.
//!
//! That is told, and no network is moved: a move ends every connection on the network, and the route
//! may be gone a minute later.

use crdt_state::{NetworkId, NodeId};
use ipnet::IpNet;
use overlay::pool;

use super::Catalog;

/// A route of a member's site that meets a subnet of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetRoute {
    /// The network.
    pub network: NetworkId,
    /// Its subnet.
    pub subnet: IpNet,
    /// The member.
    pub node: NodeId,
    /// The route.
    pub route: IpNet,
}

impl Catalog {
    /// The routes of the members' sites.
    pub fn site_routes(&self) -> impl Iterator<Item = (NodeId, IpNet)> {
        let members = self.nodes.iter().filter(|(_, entry)| entry.is_member());
        let said = members.filter_map(|(id, _)| Some((*id, self.networks.claims.get(id)?)));
        said.flat_map(|(id, said)| said.routes.iter().map(move |route| (id, *route)))
    }

    /// Where these routes meet networks.
    pub fn met_routes(
        &self,
        routes: impl IntoIterator<Item = (NodeId, IpNet)>,
    ) -> impl Iterator<Item = MetRoute> {
        routes.into_iter().flat_map(|(node, route)| {
            let settled = self.networks.settled.iter();
            let subnets = settled
                .flat_map(|(id, settled)| settled.ranges.iter().map(|range| (*id, range.subnet)));
            let met = subnets.filter(move |(_, subnet)| pool::overlap(subnet, &route));
            met.map(move |(network, subnet)| MetRoute { network, subnet, node, route })
        })
    }

    /// What such a route means, and what to do.
    pub fn tell_met_route(&self, met: &MetRoute) -> String {
        let MetRoute { network, subnet, node, route } = met;
        let named = self.networks.networks.get(network);
        let name = named.map_or_else(|| network.to_string(), |network| network.name.clone());
        format!(
            "subnet {subnet} of the network {name} meets the route {route} of node {}: there these \
             addresses lead to the network or to the site, not to both, and containers on the \
             network do not reach the site's; put its services on another network: edgectl network \
             create OTHER, then edgectl service update --network-rm {name} --network-add OTHER SERVICE",
            self.hostname(*node)
        )
    }
}
