//! What the links of networks take from the paths between nodes: the network of probes, and routes
//! on which no packet is larger than its path takes. It tells the prober who there is to probe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use crdt_state::NodeId;
use overlay::detour::Detours;
use overlay::paths::ends::Ends;
use overlay::plan::{OverlayPlan, PATH_NETWORK};
use overlay::tunnel::tunnel_address;
use overlay_linux::links::Links;
use tokio::sync::mpsc::UnboundedSender;

use super::detours::DetourHolder;
use super::paths::PathOrder;
use super::tunnel::NodeTunnelHolder;

/// What was told to the prober, and what it found.
pub(super) struct PathLinks {
    orders: UnboundedSender<PathOrder>,
    ends: Ends,
    /// The device of the prober's socket.
    device: Option<u32>,
    /// The largest packet of the network below, on paths that take less than their ends.
    pub(super) limits: BTreeMap<NodeId, u32>,
    /// The nodes that are reached through the tunnel.
    pub(super) detours: DetourHolder,
    /// This node's address in the tunnel.
    address: Ipv6Addr,
}

impl PathLinks {
    pub(super) fn new(
        orders: UnboundedSender<PathOrder>,
        me: NodeId,
        detours: DetourHolder,
    ) -> PathLinks {
        let (ends, limits, address) = (Ends::default(), BTreeMap::new(), tunnel_address(me));
        PathLinks { orders, ends, device: None, limits, detours, address }
    }

    /// The networks as their links are. What an encrypted network sends goes through the tunnel,
    /// which is above the same path.
    pub(super) fn linked(&self, plan: &OverlayPlan, tunnel: &NodeTunnelHolder) -> OverlayPlan {
        let mut networks = plan.networks.clone();
        // A node without a tunnel goes on as well as it can.
        let detours = match tunnel.is_refused() {
            true => Detours::default(),
            false => self.detours.now(),
        };
        networks.values_mut().for_each(|network| network.detour(self.address, &detours));
        // Nobody asks a node for keys again and again that is switched off.
        let unheard = |node: &NodeId| {
            let paths = plan.paths.as_ref();
            paths.is_some_and(|p| p.peers.get(node).is_some_and(|peer| !peer.is_heard))
        };
        let peers = networks.values_mut().flat_map(|network| &mut network.peers);
        for (_, peer) in peers.filter(|(node, _)| unheard(node)) {
            if let Some(end) = &mut peer.tunnel {
                end.is_only_way = false;
            }
        }
        for (node, peer) in networks.values_mut().flat_map(|network| &mut network.peers) {
            if let Some(limit) = self.limits.get(node) {
                let is_smaller = peer.underlay_mtu == 0 || *limit < peer.underlay_mtu;
                peer.underlay_mtu = if is_smaller { *limit } else { peer.underlay_mtu };
            }
        }
        networks.extend(plan.paths.as_ref().map(|paths| (PATH_NETWORK, paths.network())));
        OverlayPlan { networks, ..OverlayPlan::default() }
    }

    /// The nodes that only the tunnel reaches, and that are heard.
    pub(super) fn held(&self, plan: &OverlayPlan) -> BTreeSet<NodeId> {
        let peers = plan.paths.iter().flat_map(|paths| &paths.peers);
        let taken = self.detours.taken();
        let held = peers.filter(|(node, peer)| peer.is_heard && taken.contains(node));
        held.map(|(node, _)| *node).collect()
    }

    /// The nodes that no packet reaches: VXLAN does not, and one of both ends has no tunnel.
    pub(super) fn unreached(&self, plan: &OverlayPlan, tunnel: &NodeTunnelHolder) -> Vec<String> {
        let found = plan.detours_to(self.detours.taken());
        let in_vain = found.into_iter().filter_map(|(at, end)| match (tunnel.is_refused(), end) {
            (true, _) => Some((at, "this node")),
            (false, None) => Some((at, "it")),
            (false, Some(_)) => None,
        });
        let told = in_vain.map(|(at, who)| {
            format!(
                "no packet of a network comes back from {at}, and {who} has no tunnel for a detour; \
                 let UDP 4789 through between the two"
            )
        });
        told.collect()
    }

    /// Returns whether there is one: if not, it is tried again with the next plan or comparison.
    fn open_socket(&self, links: &Links) -> bool {
        let mut secret = [0; 8];
        let opened = getrandom::fill(&mut secret)
            .map_err(std::io::Error::from)
            .and_then(|()| links.open_echo(secret));
        match opened {
            // The prober ends with the agent.
            Ok(socket) => self.orders.send(PathOrder::Socket(socket)).is_ok(),
            Err(error) => {
                tracing::warn!("networks: no probes of paths: {error}");
                false
            }
        }
    }

    pub(super) fn tell_prober(
        &mut self,
        plan: &OverlayPlan,
        links: &Links,
        tunnel: &NodeTunnelHolder,
    ) {
        let device = links.path_device();
        if device != self.device {
            self.device = device.filter(|_| self.open_socket(links));
        }
        let mut ends = Ends::of(plan);
        if tunnel.is_refused() {
            ends.peers.values_mut().for_each(|end| end.has_tunnel = false);
        }
        if ends != self.ends {
            let _ = self.orders.send(PathOrder::Plan(Box::new(ends.clone())));
            self.ends = ends;
        }
    }
}
