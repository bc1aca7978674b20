//! What the links of networks take from the paths between nodes: the network of probes, and routes
//! on which no packet is larger than its path takes. It tells the prober who there is to probe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Instant;

use crdt_state::NodeId;
use overlay::detour::Detours;
use overlay::paths::ends::Ends;
use overlay::paths::fault::{Narrow, PathFault, PathFindings};
use overlay::plan::{OverlayPlan, PATH_NETWORK, vxlan_overhead};
use overlay::tunnel::tunnel_address;
use overlay_linux::links::Links;
use tokio::sync::mpsc::UnboundedSender;

use super::detours::DetourHolder;
use super::paths::PathOrder;
use super::tunnel::NodeTunnelHolder;
use crate::path_failure::PathFailure;

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
    silent_since: BTreeMap<NodeId, Instant>,
    /// The nodes whose path loses much.
    pub(super) lossy: BTreeSet<NodeId>,
    /// What was found last.
    failed: Vec<PathFailure>,
    /// This node's address in the tunnel.
    address: Ipv6Addr,
}

impl PathLinks {
    pub(super) fn new(
        orders: UnboundedSender<PathOrder>,
        me: NodeId,
        detours: DetourHolder,
    ) -> PathLinks {
        PathLinks {
            orders,
            ends: Ends::default(),
            device: None,
            limits: BTreeMap::new(),
            detours,
            silent_since: BTreeMap::new(),
            lossy: BTreeSet::new(),
            failed: Vec::new(),
            address: tunnel_address(me),
        }
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

    /// Sends packets for these nodes through the tunnel, of which nothing came back since then, and
    /// for no others.
    pub(super) fn take_detours(&mut self, nodes: BTreeMap<NodeId, Instant>) {
        let taken: BTreeSet<NodeId> = nodes.keys().copied().collect();
        for node in taken.difference(self.detours.taken()) {
            tracing::warn!("networks: packets for node {node} take the detour through the tunnel");
        }
        for node in self.detours.taken().difference(&taken) {
            tracing::info!("networks: packets for node {node} need no detour any more");
        }
        self.silent_since = nodes;
        self.detours.take(taken);
    }

    /// The paths of which tasks notice something.
    pub(super) fn failures(
        &mut self,
        plan: &OverlayPlan,
        tunnel: &NodeTunnelHolder,
    ) -> Vec<PathFailure> {
        let overhead = self.ends.underlay.map_or(0, vxlan_overhead);
        let narrow = self.limits.iter().filter_map(|(node, below)| {
            let target = self.ends.peers.get(node)?.target;
            let bytes = below.saturating_sub(overhead);
            let is_narrow = target.is_used && bytes < target.bytes_max;
            is_narrow.then_some((*node, Narrow { bytes, bytes_max: target.bytes_max }))
        });
        let found = PathFindings {
            given_up: self.detours.taken().clone(),
            is_tunnel_refused: tunnel.is_refused(),
            silent: tunnel.silent().clone(),
            lossy: self.lossy.clone(),
            narrow: narrow.collect(),
        };
        let now = Instant::now();
        let failures = plan.faulty_paths(&found).into_iter().map(|path| {
            let is_silent = path.fault.loses_all() && path.fault != PathFault::SilentTunnel;
            let since = self.silent_since.get(&path.node).filter(|_| is_silent);
            let mut failure = PathFailure { path, since: since.copied().unwrap_or(now) };
            if let Some(before) = self.failed.iter().find(|before| before.is_like(&failure)) {
                failure.since = before.since;
            }
            failure
        });
        self.failed = failures.collect();
        self.failed.clone()
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
