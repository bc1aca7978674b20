//! What tasks notice of a path: nothing passes, much is lost, or large packets do not pass.
//!
//! One rule for all who tell it. A detour that works is no fault. Of a node that membership does not
//! hear, that is what is told, and no fault of its path.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use crdt_state::{NetworkId, NodeId};

use crate::plan::{LocalNetwork, OverlayPlan, VXLAN_PORT};
use crate::tunnel::{TUNNEL_PORT, tunnel_address};

/// What is known of this node's paths.
#[derive(Debug, Clone, Default)]
pub struct PathFindings {
    /// The nodes that no packet of VXLAN comes back from.
    pub given_up: BTreeSet<NodeId>,
    /// This node can have no tunnel.
    pub is_tunnel_refused: bool,
    /// The addresses in the tunnel that packets wait for in vain.
    pub silent: BTreeSet<Ipv6Addr>,
    /// The nodes whose path loses much.
    pub lossy: BTreeSet<NodeId>,
    /// The largest packet of paths that take less than both of their ends, and what these take.
    pub narrow: BTreeMap<NodeId, Narrow>,
}

/// A path that takes less than its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Narrow {
    /// The largest packet of a task that passes, in bytes.
    pub bytes: u32,
    /// The largest one that both ends take.
    pub bytes_max: u32,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// Nothing comes back, neither directly nor through the tunnel.
    Silent,
    /// Nothing comes back directly, and this node can have no tunnel.
    NoTunnelHere,
    /// Nothing comes back directly, and the other node has no tunnel.
    NoTunnelThere,
    /// Nothing comes back through the tunnel, which encrypted networks need.
    SilentTunnel,
    /// Much is lost.
    Lossy,
    /// Large packets do not pass.
    Narrow(Narrow),
}

/// A fault of the path to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyPath {
    /// The node.
    pub node: NodeId,
    /// What is wrong.
    pub fault: PathFault,
    /// The networks whose tasks notice it.
    pub networks: BTreeSet<NetworkId>,
}

impl PathFault {
    /// Is no task there reached?
    pub fn loses_all(self) -> bool {
        !matches!(self, PathFault::Lossy | PathFault::Narrow(_))
    }

    /// Is it the same, perhaps with other figures?
    pub fn is_like(self, other: PathFault) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// One sentence: what, for how long (` (for 3 min)`, or nothing), and what to do. `node` is how
    /// the other node is called.
    pub fn sentence(self, node: &str, lasts: &str) -> String {
        let unreached = "tasks there are not reached from here: edgectl net check";
        let no_answer = format!("no packet comes back from node {node} by UDP {VXLAN_PORT}");
        match self {
            PathFault::Silent => format!(
                "{no_answer}, nor through the tunnel by UDP {TUNNEL_PORT}{lasts}; {unreached}"
            ),
            PathFault::NoTunnelHere => {
                format!("{no_answer}, and this node has no tunnel for a detour{lasts}; {unreached}")
            }
            PathFault::NoTunnelThere => {
                format!("{no_answer}, and it has no tunnel for a detour{lasts}; {unreached}")
            }
            PathFault::SilentTunnel => format!(
                "node {node} does not answer through the tunnel{lasts}, and packets for its tasks on \
                 encrypted networks are lost; see that the node is up, and that UDP {TUNNEL_PORT} is \
                 open between the two"
            ),
            PathFault::Lossy => format!(
                "a quarter of the probes of the path to node {node} is lost, or more{lasts}; tasks \
                 there are slow to reach: edgectl net check"
            ),
            PathFault::Narrow(Narrow { bytes, bytes_max }) => format!(
                "packets to node {node} have at most {bytes} bytes, and its link and ours take \
                 {bytes_max}{lasts}; larger ones are refused or split: edgectl net check"
            ),
        }
    }
}

impl OverlayPlan {
    /// The paths that tasks notice something of.
    pub fn faulty_paths(&self, found: &PathFindings) -> Vec<FaultyPath> {
        let known = found.given_up.iter().chain(&found.lossy).chain(found.narrow.keys());
        let mut nodes: BTreeSet<NodeId> = known.copied().collect();
        if !found.silent.is_empty() {
            let peers = self.networks.values().flat_map(|network| network.peers.keys());
            nodes.extend(peers.filter(|node| found.is_silent(**node)));
        }
        nodes.into_iter().flat_map(|node| self.faults_of(node, found)).collect()
    }

    fn faults_of(&self, node: NodeId, found: &PathFindings) -> Vec<FaultyPath> {
        let end = self.paths.as_ref().and_then(|paths| paths.peers.get(&node));
        if end.is_some_and(|end| !end.is_heard) {
            return Vec::new();
        }
        let with = || self.networks.iter().filter(|(_, network)| network.peers.contains_key(&node));
        let faulty = |fault, is_concerned: &dyn Fn(&LocalNetwork) -> bool| {
            let networks = with().filter(|(_, network)| is_concerned(network));
            FaultyPath { node, fault, networks: networks.map(|(id, _)| *id).collect() }
        };
        let (is_silent, is_plain) =
            (found.is_silent(node), |network: &LocalNetwork| network.tunnel.is_none());
        let mut all = Vec::new();
        if found.given_up.contains(&node) {
            let has_end = with().any(|(_, network)| network.peers[&node].detour.is_some());
            match (found.is_tunnel_refused, has_end, is_silent) {
                (true, ..) => all.push(faulty(PathFault::NoTunnelHere, &is_plain)),
                (false, false, _) => all.push(faulty(PathFault::NoTunnelThere, &is_plain)),
                (false, true, true) => all.push(faulty(PathFault::Silent, &|_| true)),
                (false, true, false) => {}
            }
        } else {
            if is_silent {
                all.push(faulty(PathFault::SilentTunnel, &|network| !is_plain(network)));
            }
            if found.lossy.contains(&node) {
                all.push(faulty(PathFault::Lossy, &|_| true));
            }
            if let Some(narrow) = found.narrow.get(&node) {
                all.push(faulty(PathFault::Narrow(*narrow), &|_| true));
            }
        }
        all.retain(|faulty| !faulty.networks.is_empty());
        all
    }
}

impl PathFindings {
    fn is_silent(&self, node: NodeId) -> bool {
        self.silent.contains(&tunnel_address(node))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::plan::{PathPeer, PathPlan, TunnelEnd, node_mac};

    const PLAIN: NetworkId = NetworkId([1; 16]);
    const ENCRYPTED: NetworkId = NetworkId([2; 16]);

    fn node(number: u8) -> NodeId {
        NodeId([number; 16])
    }

    /// Node 1, which shares a network in clear with the nodes 2 to 4 and an encrypted one with 2 and
    /// 3; node 4 has no tunnel.
    fn plan() -> OverlayPlan {
        let peer = |number: u8| PathPeer {
            underlay: IpAddr::from([192, 0, 2, number]),
            mac: node_mac(node(number)),
            underlay_mtu: 1500,
            is_heard: true,
        };
        let peers = (2..5).map(|number| (node(number), peer(number))).collect();
        let (mac, underlay) = (node_mac(node(1)), IpAddr::from([192, 0, 2, 1]));
        let paths = PathPlan { mac, underlay, underlay_mtu: 1500, peers };
        let (mut plain, mut encrypted) = (paths.network(), paths.network());
        encrypted.tunnel = Some(underlay);
        encrypted.peers.remove(&node(4));
        for number in 2..4 {
            let endpoint = SocketAddr::from(([192, 0, 2, number], TUNNEL_PORT));
            let public_key = [number; 32];
            let end = TunnelEnd { public_key, endpoint, life: 1, is_only_way: false };
            plain.peers.get_mut(&node(number)).unwrap().detour = Some(end);
            encrypted.peers.get_mut(&node(number)).unwrap().tunnel = Some(end);
        }
        let networks = [(PLAIN, plain), (ENCRYPTED, encrypted)].into();
        OverlayPlan { networks, paths: Some(paths), ..OverlayPlan::default() }
    }

    fn faults(found: &PathFindings) -> Vec<(NodeId, PathFault, Vec<NetworkId>)> {
        let row =
            |faulty: FaultyPath| (faulty.node, faulty.fault, faulty.networks.into_iter().collect());
        plan().faulty_paths(found).into_iter().map(row).collect()
    }

    fn all(numbers: &[u8]) -> BTreeSet<NodeId> {
        numbers.iter().map(|number| node(*number)).collect()
    }

    fn in_tunnel(number: u8) -> BTreeSet<Ipv6Addr> {
        [tunnel_address(node(number))].into()
    }

    #[test]
    fn a_detour_is_a_fault_where_it_does_not_answer_or_one_end_has_none() {
        let given_up = PathFindings { given_up: all(&[2, 4, 9]), ..PathFindings::default() };
        let no_tunnel = (node(4), PathFault::NoTunnelThere, vec![PLAIN]);
        assert_eq!(faults(&given_up), std::slice::from_ref(&no_tunnel));
        let silent = PathFindings { silent: in_tunnel(2), ..given_up.clone() };
        let lost = (node(2), PathFault::Silent, vec![PLAIN, ENCRYPTED]);
        assert_eq!(faults(&silent), [lost, no_tunnel]);
        let refused = PathFindings { is_tunnel_refused: true, ..given_up };
        let here = |number| (node(number), PathFault::NoTunnelHere, vec![PLAIN]);
        assert_eq!(faults(&refused), [here(2), here(4)]);
    }

    #[test]
    fn a_silent_tunnel_concerns_encrypted_networks_alone_while_the_direct_way_answers() {
        let found = PathFindings { silent: in_tunnel(3), ..PathFindings::default() };
        assert_eq!(faults(&found), [(node(3), PathFault::SilentTunnel, vec![ENCRYPTED])]);
    }

    #[test]
    fn loss_and_small_packets_are_told_of_paths_that_are_taken() {
        let narrow = Narrow { bytes: 1400, bytes_max: 1450 };
        let found = PathFindings {
            lossy: all(&[3]),
            narrow: [(node(3), narrow), (node(2), narrow)].into(),
            given_up: all(&[2]),
            ..PathFindings::default()
        };
        let row = |fault| (node(3), fault, vec![PLAIN, ENCRYPTED]);
        assert_eq!(faults(&found), [row(PathFault::Lossy), row(PathFault::Narrow(narrow))]);
        assert!(!PathFault::Lossy.loses_all() && PathFault::SilentTunnel.loses_all());
    }

    #[test]
    fn a_node_that_is_not_heard_has_no_faulty_path() {
        let mut plan = plan();
        plan.paths.as_mut().unwrap().peers.get_mut(&node(4)).unwrap().is_heard = false;
        let found =
            PathFindings { given_up: all(&[4]), lossy: all(&[4]), ..PathFindings::default() };
        assert_eq!(plan.faulty_paths(&found), []);
    }

    #[test]
    fn every_sentence_names_the_node_and_says_for_how_long_and_what_to_do() {
        let narrow = PathFault::Narrow(Narrow { bytes: 1400, bytes_max: 1450 });
        let all = [PathFault::Silent, PathFault::NoTunnelHere, PathFault::NoTunnelThere];
        for fault in all.into_iter().chain([PathFault::SilentTunnel, PathFault::Lossy, narrow]) {
            let told = fault.sentence("n2", " (for 3 min)");
            let advice = ["edgectl net check", "UDP 7947 is open"];
            assert!(told.contains("node n2 ") && told.contains(" (for 3 min)"), "{told}");
            assert!(advice.iter().any(|advice| told.contains(advice)));
            assert!(fault.is_like(fault));
        }
    }
}
