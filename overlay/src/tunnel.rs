//! The tunnel between nodes, as a network needs it: addresses, sizes, and the part of a plan that is
//! about it.
//!
//! ```text
//! packet of a task ─▶ VXLAN over IPv6 between addresses of the tunnel ─▶ WireGuard between nodes
//! ```
//! A node has one tunnel for all its encrypted networks, and for the nodes that nothing else reaches
//! ([`crate::detour`]). Its address in it follows from its id, so that nobody has to say it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use crdt_state::NodeId;
use ipnet::Ipv6Net;

use crate::plan::{OverlayPlan, TunnelEnd};

/// The UDP port of every tunnel.
pub const TUNNEL_PORT: u16 = 7947;

/// The UDP port of VXLAN inside the tunnel, for networks that are not encrypted: the kernel takes no
/// two devices of one number, one port and one family, and nothing else may arrive there.
pub const DETOUR_PORT: u16 = 7948;

/// What the datagrams of a third node add, which passes packets on: headers of IPv6 and UDP, and
/// WireGuard's.
pub const RELAY_OVERHEAD: u32 = 40 + 8 + WIREGUARD;

/// Where the addresses of all tunnels are: a random part of the private addresses (RFC 4193).
const PREFIX: [u8; 6] = [0xfd, 0x8d, 0x5d, 0xbf, 0x12, 0xc4];

/// The smallest MTU of a tunnel: VXLAN over IPv6 adds 70 bytes to an inner 1280, without which there
/// is no IPv6. On a smaller path the tunnel's own packets are split.
const MTU_MIN: u32 = 1280 + 70;

/// What WireGuard adds: a header and a tag of 16 bytes each.
const WIREGUARD: u32 = 32;

/// All addresses of tunnels.
pub fn tunnel_subnet() -> Ipv6Net {
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&PREFIX);
    Ipv6Net::new_assert(octets.into(), 48)
}

/// The address of a node in the tunnel: 80 bits of its id.
pub fn tunnel_address(node: NodeId) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&PREFIX);
    octets[6..].copy_from_slice(&node.0[..10]);
    octets.into()
}

/// What the tunnel adds to a packet that leaves to this address.
pub fn tunnel_overhead(outer: IpAddr) -> u32 {
    let ip = if outer.is_ipv4() { 20 } else { 40 };
    ip + 8 + WIREGUARD
}

/// The largest packet inside the tunnel, when the largest packet of the network below is `below`.
pub fn tunnel_mtu(below: u32, outer: IpAddr) -> u32 {
    below.saturating_sub(tunnel_overhead(outer)).max(MTU_MIN)
}

/// What a plan needs of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelPlan {
    /// This node's address in it.
    pub address: Ipv6Addr,
    /// The address that its packets leave from.
    pub outer: IpAddr,
    /// The other nodes, by their addresses in it.
    pub peers: BTreeMap<Ipv6Addr, TunnelEnd>,
    /// The numbers of the networks that must not leave or arrive outside of it.
    pub vnis: BTreeSet<u32>,
}

impl OverlayPlan {
    /// What this plan needs of the tunnel; `None`: nothing goes through it.
    pub fn tunnel(&self) -> Option<TunnelPlan> {
        let mut plan: Option<TunnelPlan> = None;
        for network in self.networks.values() {
            let (outer, address) = match (network.tunnel, network.underlay, network.detour) {
                (Some(outer), IpAddr::V6(address), _) => (outer, address),
                (None, outer, Some(address)) => (outer, address),
                _ => continue,
            };
            let (peers, vnis) = (BTreeMap::new(), BTreeSet::new());
            let plan = plan.get_or_insert(TunnelPlan { address, outer, peers, vnis });
            if network.tunnel.is_some() {
                plan.vnis.insert(network.vni);
            }
            for (node, peer) in &network.peers {
                if let Some(end) = peer.tunnel {
                    plan.peers.insert(tunnel_address(*node), end);
                }
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tunnel_adds_60_bytes_over_ipv4_and_80_over_ipv6() {
        let (ipv4, ipv6) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!((tunnel_mtu(1500, ipv4), tunnel_mtu(1500, ipv6)), (1440, 1420));
        assert_eq!((tunnel_mtu(1400, ipv4), tunnel_mtu(0, ipv6)), (1350, 1350));
    }

    #[test]
    fn every_node_has_its_address_in_the_subnet_of_all() {
        let (one, two) = (tunnel_address(NodeId([1; 16])), tunnel_address(NodeId([2; 16])));
        assert_ne!(one, two);
        assert!(tunnel_subnet().contains(&one) && tunnel_subnet().contains(&two));
        assert_eq!(one.segments()[0] >> 9, 0xfd >> 1, "a private address");
    }
}
