//! The ends of all paths, as a plan has them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use crdt_state::NodeId;

use crate::paths::{SMALL_BYTES, Target};
use crate::plan::{
    OverlayPlan, PathPeer, PathPlan, UNDERLAY_MTU_DEFAULT, link_local, vxlan_overhead,
};

/// The ends of this node's paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// This node's address; `None`: it has no path.
    pub underlay: Option<IpAddr>,
    /// The other ends.
    pub peers: BTreeMap<NodeId, End>,
}

/// The other end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Where VXLAN packets for it are sent.
    pub underlay: IpAddr,
    /// Who answers probes.
    pub address: Ipv6Addr,
    /// What is probed.
    pub target: Target,
    /// Does membership hear the node?
    pub is_heard: bool,
    /// Could it be reached through the tunnel?
    pub has_tunnel: bool,
}

impl Ends {
    /// A path is used if its node is heard and takes part in a network that this node is on.
    pub fn of(plan: &OverlayPlan) -> Ends {
        let Some(paths) = &plan.paths else { return Ends::default() };
        let peers = || plan.networks.values().flat_map(|network| &network.peers);
        let used: BTreeSet<NodeId> = peers().map(|(node, _)| *node).collect();
        let with_tunnel: BTreeSet<NodeId> =
            peers().filter(|(_, peer)| peer.detour.is_some()).map(|(node, _)| *node).collect();
        let end = |(node, peer): (&NodeId, &PathPeer)| {
            let bytes_max = bytes_max(paths, peer.underlay_mtu);
            let target = Target { bytes_max, is_used: peer.is_heard && used.contains(node) };
            let (underlay, address) = (peer.underlay, link_local(peer.mac));
            let (is_heard, has_tunnel) = (peer.is_heard, with_tunnel.contains(node));
            (*node, End { underlay, address, target, is_heard, has_tunnel })
        };
        Ends { underlay: Some(paths.underlay), peers: paths.peers.iter().map(end).collect() }
    }

    /// Two nodes with addresses of different families have no path.
    pub fn is_unlike(&self, end: &End) -> bool {
        self.underlay.is_some_and(|own| own.is_ipv4() != end.underlay.is_ipv4())
    }
}

fn bytes_max(paths: &PathPlan, peer_mtu: u32) -> u32 {
    let known = [paths.underlay_mtu, peer_mtu].into_iter().filter(|mtu| *mtu != 0);
    let smaller = known.min().unwrap_or(UNDERLAY_MTU_DEFAULT);
    smaller.saturating_sub(vxlan_overhead(paths.underlay)).max(SMALL_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_as_large_as_its_smaller_end_and_used_if_its_node_is_heard_on_a_network() {
        let (near, far) = (NodeId([1; 16]), NodeId([2; 16]));
        let peer = |underlay: &str, underlay_mtu, is_heard| PathPeer {
            underlay: underlay.parse().unwrap(),
            mac: [2, 0, 0, 0, 0, 1],
            underlay_mtu,
            is_heard,
        };
        let mut paths = PathPlan {
            mac: [2, 0, 0, 0, 0, 2],
            underlay: "192.0.2.1".parse().unwrap(),
            underlay_mtu: 1500,
            peers: BTreeMap::from([
                (near, peer("192.0.2.2", 1400, true)),
                (far, peer("2001:db8::2", 0, true)),
            ]),
        };
        let of = |paths: &PathPlan| {
            let mut plan = OverlayPlan { paths: Some(paths.clone()), ..OverlayPlan::default() };
            plan.networks.insert(crate::plan::PATH_NETWORK, paths.network());
            Ends::of(&plan)
        };
        let ends = of(&paths);
        assert_eq!(ends.peers[&near].target, Target { bytes_max: 1350, is_used: true });
        assert_eq!(ends.peers[&far].target.bytes_max, 1450);
        assert!(ends.is_unlike(&ends.peers[&far]) && !ends.is_unlike(&ends.peers[&near]));
        paths.peers.insert(near, peer("192.0.2.2", 80, false));
        let ends = of(&paths);
        assert_eq!(ends.peers[&near].target, Target { bytes_max: SMALL_BYTES, is_used: false });
        assert_eq!(Ends::of(&OverlayPlan::default()), Ends::default());
    }
}
