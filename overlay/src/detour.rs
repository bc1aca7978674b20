//! The detour through the tunnel, to nodes that VXLAN does not reach.
//!
//! ```text
//! node behind a router ─ VXLAN ─▶ router ─▶ other node     answers find nobody: each packet of
//!                      ◀╳──────────────── VXLAN ┘          VXLAN begins a flow of its own
//! node behind a router ═ tunnel ═▶ router ═▶ other node    answers come back the same way, and
//!                      ◀══════════════════ tunnel ┘        where a peer is heard, there it is
//! ```
//! It is taken to a node that membership hears and that no probe comes back from: one behind a
//! router that translates addresses, or behind a filter that drops UDP 4789. Each end decides for
//! itself and takes what arrives on either way. An end that goes back leaves the detour open until
//! the other one has surely gone back too.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crdt_state::NodeId;

use crate::plan::{LocalNetwork, Peer, TunnelEnd};
use crate::tunnel::{tunnel_address, tunnel_subnet};

/// The detours of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detours {
    /// The nodes that packets are sent to through the tunnel.
    pub taken: BTreeSet<NodeId>,
    /// Further nodes, of which packets are still taken from there.
    pub open: BTreeSet<NodeId>,
}

impl LocalNetwork {
    /// Takes these detours, by this node's address in the tunnel.
    pub fn detour(&mut self, own: Ipv6Addr, detours: &Detours) {
        for (node, peer) in &mut self.peers {
            let is_taken = detours.taken.contains(node);
            if !is_taken && !detours.open.contains(node) {
                continue;
            }
            if let Some(end) = &mut peer.tunnel {
                end.is_only_way = true;
            } else if let Some(end) = peer.detour {
                peer.tunnel = Some(TunnelEnd { is_only_way: true, ..end });
                self.detour = Some(own);
                if is_taken {
                    peer.underlay = tunnel_address(*node).into();
                }
            }
        }
    }
}

impl LocalNetwork {
    /// Are packets for this peer sent through the tunnel although the network is not encrypted?
    pub fn is_detoured(&self, peer: &Peer) -> bool {
        self.tunnel.is_none() && peer.is_in_tunnel()
    }
}

impl Peer {
    /// Are packets for it sent through the tunnel?
    pub fn is_in_tunnel(&self) -> bool {
        matches!(self.underlay, IpAddr::V6(address) if tunnel_subnet().contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::plan::{OverlayPlan, PATH_NETWORK, PathPeer, PathPlan, node_mac};

    fn node(number: u8) -> NodeId {
        NodeId([number; 16])
    }

    fn end(number: u8) -> TunnelEnd {
        let endpoint = SocketAddr::from(([192, 0, 2, number], 7947));
        TunnelEnd { public_key: [number; 32], endpoint, life: 1, is_only_way: false }
    }

    fn taken(numbers: &[u8]) -> Detours {
        let taken = numbers.iter().map(|number| node(*number)).collect();
        Detours { taken, ..Detours::default() }
    }

    /// Of node 1, with the nodes 2 to 4; 4 has no tunnel.
    fn network() -> LocalNetwork {
        let peer = |number: u8| PathPeer {
            underlay: IpAddr::from([192, 0, 2, number]),
            mac: node_mac(node(number)),
            underlay_mtu: 1500,
            is_heard: true,
        };
        let peers = (2..5).map(|number| (node(number), peer(number))).collect();
        let (mac, underlay) = (node_mac(node(1)), IpAddr::from([192, 0, 2, 1]));
        let mut network = PathPlan { mac, underlay, underlay_mtu: 1500, peers }.network();
        for number in 2..4 {
            network.peers.get_mut(&node(number)).unwrap().detour = Some(end(number));
        }
        network
    }

    fn tunnel_of(network: LocalNetwork) -> Option<crate::tunnel::TunnelPlan> {
        OverlayPlan { networks: [(PATH_NETWORK, network)].into(), ..OverlayPlan::default() }
            .tunnel()
    }

    #[test]
    fn only_the_nodes_that_are_named_and_have_a_tunnel_are_reached_through_it() {
        let own = tunnel_address(node(1));
        assert_eq!(tunnel_of(network()), None);
        let mut detoured = network();
        detoured.detour(own, &taken(&[2, 4, 9]));
        assert_eq!(detoured.peers[&node(2)].underlay, IpAddr::from(tunnel_address(node(2))));
        assert!(detoured.peers[&node(2)].is_in_tunnel());
        for number in 3..5 {
            assert_eq!(detoured.peers[&node(number)], network().peers[&node(number)]);
        }
        let tunnel = tunnel_of(detoured).unwrap();
        let only = TunnelEnd { is_only_way: true, ..end(2) };
        assert_eq!(tunnel.peers, [(tunnel_address(node(2)), only)].into());
        assert_eq!((tunnel.address, tunnel.outer), (own, IpAddr::from([192, 0, 2, 1])));
        assert!(tunnel.vnis.is_empty(), "nothing has to stay inside");
    }

    #[test]
    fn what_is_left_open_is_in_the_tunnel_and_sent_directly() {
        let (own, mut network) = (tunnel_address(node(1)), network());
        let open = Detours { open: [node(2)].into(), ..Detours::default() };
        network.detour(own, &open);
        assert!(!network.peers[&node(2)].is_in_tunnel());
        let tunnel = tunnel_of(network).unwrap();
        assert_eq!(tunnel.peers.keys().collect::<Vec<_>>(), [&tunnel_address(node(2))]);
    }

    #[test]
    fn an_encrypted_network_stays_in_the_tunnel_and_is_held_ready() {
        let own = tunnel_address(node(1));
        let mut encrypted = network();
        encrypted.tunnel = Some(encrypted.underlay);
        encrypted.underlay = own.into();
        for (id, peer) in &mut encrypted.peers {
            (peer.underlay, peer.tunnel) = (tunnel_address(*id).into(), peer.detour.take());
        }
        let mut detoured = encrypted.clone();
        detoured.detour(own, &taken(&[2]));
        let is_only_way = |number: u8| detoured.peers[&node(number)].tunnel.unwrap().is_only_way;
        assert!(is_only_way(2) && !is_only_way(3) && detoured.detour.is_none());
        assert_eq!(tunnel_of(detoured).unwrap().vnis, [crate::plan::PATH_VNI].into());
    }
}
