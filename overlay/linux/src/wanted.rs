//! What each namespace must hold, as items: the plan in the words of the kernel. Pure.
//!
//! ```text
//!  task                  network's namespace                 host
//!  eth0 10.9.0.5/32 ---- t7f3a        uplink fe80::1 ------- ec51d0 fe80::2
//!   via 10.9.0.1          10.9.0.5/32   default via fe80::2    10.9.0.0/16 via fe80::1
//!                        vxlan0  10.9.1.0/24 via fe80::(peer)
//!                        lo      10.9.0.1/32, this node's addresses
//! ```
//!
//! Next hops are IPv6 link-local addresses, for IPv4 routes too: one neighbour serves both
//! families, and no IPv4 addresses are used up by links.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::NetworkId;
use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use ipnet::IpNet;
use overlay::plan::{LocalNetwork, Mac, PATH_NETWORK, Peer, vxlan_overhead};
use overlay::tunnel::{RELAY_OVERHEAD, TunnelPlan, tunnel_overhead};

pub use overlay::plan::link_local;

use crate::error::Subject;
use crate::item::{ANY_MAC, Item, LinkIndex, Route, Way};
use crate::names::{HOST_END, NETWORK_END};

/// What a namespace must hold, each item with whom it serves.
pub type Wanted = BTreeMap<Item, Subject>;

/// The smallest MTU with which a link has IPv6 (RFC 8200), whose addresses all next hops are.
const INNER_MTU_MIN: u32 = 1280;

/// The smallest packet that every link takes (RFC 791).
const ROUTE_MTU_MIN: u32 = 68;

/// The largest packet inside, when the largest packet of the network below is `underlay_mtu`. On a
/// path with less than an inner 1280, VXLAN packets are split below.
pub fn inner_mtu(underlay_mtu: u32, underlay: IpAddr) -> u32 {
    underlay_mtu.saturating_sub(vxlan_overhead(underlay)).max(INNER_MTU_MIN)
}

/// The same for the routes to one peer. IPv4 follows the path to the byte; a packet of IPv6 may
/// always have 1280 bytes, and is then split below.
fn path_mtu(underlay_mtu: u32, underlay: IpAddr, block: &IpNet) -> u32 {
    match block {
        IpNet::V4(_) => underlay_mtu.saturating_sub(vxlan_overhead(underlay)).max(ROUTE_MTU_MIN),
        IpNet::V6(_) => inner_mtu(underlay_mtu, underlay),
    }
}

/// The links of a network's namespace. A link that could not be made is absent.
#[derive(Debug, Clone, Copy)]
pub struct NetworkLinks {
    /// The loopback link.
    pub lo: LinkIndex,
    /// The VXLAN device.
    pub vxlan: Option<LinkIndex>,
    /// The VXLAN device of peers that are reached through the tunnel.
    pub detour: Option<LinkIndex>,
    /// The pair that leads to the host.
    pub uplink: Option<LinkIndex>,
    /// The largest packet of the network.
    pub mtu: u32,
}

fn single(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn link_local_address(link: LinkIndex, mac: Mac) -> Item {
    let address = IpNet::new_assert(link_local(mac).into(), 64);
    Item::Address { link, address }
}

fn route(to: IpNet, link: LinkIndex, via: Option<IpAddr>, source: Option<IpAddr>) -> Item {
    Item::Route(Route { to, way: Some(Way { link, via, source, mtu: None }) })
}

/// The address among these of the same family: the source for packets to it.
fn of_family(addresses: &[IpAddr], of: IpAddr) -> Option<IpAddr> {
    addresses.iter().copied().find(|address| address.is_ipv4() == of.is_ipv4())
}

/// What a network's namespace holds apart from its tasks.
pub fn network(id: NetworkId, network: &LocalNetwork, links: &NetworkLinks) -> Wanted {
    let own = Subject::Network(id);
    let mut wanted = Wanted::new();
    for address in &network.gateways {
        wanted.insert(Item::Address { link: links.lo, address: single(*address) }, own);
    }
    for subnet in &network.subnets {
        wanted.insert(Item::Route(Route { to: subnet.trunc(), way: None }), own);
    }
    if let Some(vxlan) = links.vxlan {
        wanted.insert(link_local_address(vxlan, network.mac), own);
        if id == PATH_NETWORK {
            let all = IpNet::new_assert(link_local(network.mac).into(), 64).trunc();
            wanted.insert(route(all, vxlan, None, None), own);
        }
    }
    if let Some(detour) = links.detour {
        wanted.insert(link_local_address(detour, network.mac), own);
    }
    for (node, peer) in &network.peers {
        let device = if network.is_detoured(peer) { links.detour } else { links.vxlan };
        let items = device.map(|device| peer_items(network, peer, device, links.mtu));
        let items = items.into_iter().flatten();
        wanted.extend(items.map(|item| (item, Subject::Peer(id, *node))));
    }
    if let Some(uplink) = links.uplink {
        wanted.insert(link_local_address(uplink, NETWORK_END), own);
        wanted.extend(next_hop(uplink, HOST_END).map(|item| (item, own)));
        let via = Some(link_local(HOST_END).into());
        // The node's own addresses are the host's: what it sends to tasks is answered there.
        for address in &network.node_addresses {
            wanted.insert(route(single(*address), uplink, via, None), own);
        }
        if !network.internal {
            for subnet in &network.subnets {
                wanted.insert(route(default_of(subnet), uplink, via, None), own);
            }
        }
    }
    wanted
}

fn default_of(subnet: &IpNet) -> IpNet {
    match subnet {
        IpNet::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

/// The neighbour behind a link that has only one.
fn next_hop(link: LinkIndex, mac: Mac) -> [Item; 1] {
    [Item::Neighbour { link, address: link_local(mac).into(), mac }]
}

fn peer_items(network: &LocalNetwork, peer: &Peer, vxlan: LinkIndex, mtu: u32) -> Vec<Item> {
    let is_detoured = network.is_detoured(peer);
    let via = IpAddr::from(link_local(peer.mac));
    let mut items = vec![
        Item::Neighbour { link: vxlan, address: via, mac: peer.mac },
        Item::Forward { link: vxlan, mac: peer.mac, underlay: peer.underlay },
    ];
    if network.multicast {
        items.push(Item::Forward { link: vxlan, mac: ANY_MAC, underlay: peer.underlay });
    }
    let tunnel = peer.tunnel.filter(|_| peer.is_in_tunnel());
    let tunnel = tunnel.map_or(0, |end| tunnel_overhead(end.endpoint.ip()));
    // Routers drop the parts of split packets.
    let relay = if is_detoured { RELAY_OVERHEAD } else { 0 };
    let below = peer.underlay_mtu.saturating_sub(tunnel + relay);
    for block in &peer.blocks {
        let path = path_mtu(below, peer.underlay, block);
        let path = (peer.underlay_mtu != 0 && path < mtu).then_some(path);
        let way = Way { link: vxlan, via: Some(via), source: None, mtu: path };
        items.push(Item::Route(Route { to: block.trunc(), way: Some(way) }));
    }
    items
}

/// What a network's namespace holds for one task.
pub fn task_in_network(run: Run, interface: &TaskInterface, link: LinkIndex) -> Wanted {
    let mut wanted = Wanted::new();
    let own = Subject::Interface(interface.network, run);
    for address in &interface.addresses {
        wanted.insert(route(single(*address), link, None, None), own);
        wanted.insert(Item::Neighbour { link, address: *address, mac: interface.mac }, own);
    }
    wanted
}

/// What a task's namespace holds for one interface.
pub fn task(run: Run, interface: &TaskInterface, link: LinkIndex) -> Wanted {
    let mut wanted = Wanted::new();
    let own = Subject::Interface(interface.network, run);
    // With a prefix of all bits, glibc keeps the order of addresses that a name server gave.
    for address in &interface.addresses {
        wanted.insert(Item::Address { link, address: single(*address) }, own);
    }
    let has_family = |of: IpAddr| of_family(&interface.addresses, of).is_some();
    for gateway in interface.gateways.iter().copied().filter(|gateway| has_family(*gateway)) {
        wanted.insert(Item::Neighbour { link, address: gateway, mac: NETWORK_END }, own);
        let same = |subnet: &&IpNet| subnet.addr().is_ipv4() == gateway.is_ipv4();
        for subnet in interface.subnets.iter().filter(same) {
            // To a group there is no next hop: its link address follows from the group.
            let via = Some(gateway).filter(|_| !subnet.addr().is_multicast());
            wanted.insert(route(subnet.trunc(), link, via, None), own);
        }
        if interface.is_default {
            wanted.insert(route(default_of(&single(gateway)), link, Some(gateway), None), own);
        }
    }
    wanted
}

/// What the host holds for a network.
pub fn host(id: NetworkId, network: &LocalNetwork, link: LinkIndex) -> Wanted {
    let own = Subject::Network(id);
    let mut wanted = Wanted::from([(link_local_address(link, HOST_END), own)]);
    wanted.extend(next_hop(link, NETWORK_END).map(|item| (item, own)));
    let via = Some(link_local(NETWORK_END).into());
    for address in &network.node_addresses {
        wanted.insert(Item::Address { link, address: single(*address) }, own);
    }
    for subnet in &network.subnets {
        let source = of_family(&network.node_addresses, subnet.addr());
        wanted.insert(route(subnet.trunc(), link, via, source), own);
    }
    wanted
}

/// What the host holds for the tunnel; without its device, packets for other nodes are refused.
pub fn tunnel(plan: &TunnelPlan, link: Option<LinkIndex>) -> Wanted {
    let mut wanted = Wanted::from([(Item::no_way_out_of_tunnel(), Subject::Host)]);
    let Some(link) = link else { return wanted };
    let address = single(plan.address.into());
    wanted.insert(Item::Address { link, address }, Subject::Host);
    for peer in plan.peers.keys() {
        wanted.insert(route(single((*peer).into()), link, None, None), Subject::Host);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_link_local_address_of_a_link_address_follows_rfc_4291() {
        let address = link_local([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]);
        assert_eq!(address, "fe80::3656:78ff:fe9a:bcde".parse::<std::net::Ipv6Addr>().unwrap());
    }

    #[test]
    fn the_overhead_is_50_bytes_over_ipv4_and_70_over_ipv6_and_ipv6_always_fits_inside() {
        let (ipv4, ipv6) = (ip("192.0.2.1"), ip("2001:db8::1"));
        assert_eq!((inner_mtu(1500, ipv4), inner_mtu(1500, ipv6)), (1450, 1430));
        assert_eq!((inner_mtu(1280, ipv4), inner_mtu(0, ipv6)), (1280, 1280));
    }

    fn interface(addresses: &[&str]) -> TaskInterface {
        TaskInterface {
            network: NetworkId([1; 16]),
            name: "eth0".into(),
            addresses: addresses.iter().map(|text| ip(text)).collect(),
            mac: [2; 6],
            gateways: vec![ip("10.9.0.1"), ip("fd09::1")],
            subnets: vec!["10.9.0.0/16".parse().unwrap(), "fd09::/48".parse().unwrap()],
            is_default: true,
            settings: Vec::new(),
        }
    }

    #[test]
    fn a_task_gets_routes_only_of_families_that_it_has_an_address_of() {
        let run = Run { task: crdt_state::TaskId([7; 16]), attempt: 1 };
        let routes = |addresses: &[&str]| -> Vec<String> {
            let wanted = task(run, &interface(addresses), 2);
            let is_route = |item: &&Item| matches!(item, Item::Route(_));
            wanted.keys().filter(is_route).map(Item::describe).collect()
        };
        assert_eq!(routes(&["10.9.1.5"]), ["route to 0.0.0.0/0", "route to 10.9.0.0/16"]);
        assert_eq!(routes(&["fd09::5"]), ["route to ::/0", "route to fd09::/48"]);
        assert!(routes(&[]).is_empty());
    }
}
