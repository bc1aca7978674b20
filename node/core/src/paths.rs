//! The paths between nodes: to every node that this one shares a network with.
//!
//! Encrypted networks are left out: the tunnel knows by itself who answers.

use std::collections::BTreeMap;

use crdt_state::NetworkId;
use gossip::MemberState;
use overlay::plan::{LocalNetwork, PathPeer, PathPlan, node_mac};

use crate::node::Node;

impl Node {
    /// This node's ends of the paths to others; `None` while there is no other.
    pub(crate) fn path_plan(&self, links: &BTreeMap<NetworkId, LocalNetwork>) -> Option<PathPlan> {
        let facts = self.addressing().facts();
        let underlay = facts.data_address?;
        let plain = links.values().filter(|network| network.tunnel.is_none());
        let peers = plain.flat_map(|network| &network.peers).filter_map(|(node, peer)| {
            let member = self.gossip().member(*node)?;
            // Who has left has no end any more.
            if member.state == MemberState::Left {
                return None;
            }
            let peer = PathPeer {
                underlay: peer.underlay,
                mac: peer.mac,
                underlay_mtu: peer.underlay_mtu,
                is_heard: self.is_reachable(*node),
            };
            Some((*node, peer))
        });
        let (mac, underlay_mtu) = (node_mac(self.me()), facts.mtu);
        let plan = PathPlan { mac, underlay, underlay_mtu, peers: peers.collect() };
        (!plan.peers.is_empty()).then_some(plan)
    }
}
