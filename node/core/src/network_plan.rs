//! What this node's kernel must hold for networks, from the records and the members in view: for all
//! networks, and for one service.
//!
//! Tasks of nodes that cannot be reached are left out of balancing; routes to them stay, because
//! nobody else has their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crdt_state::network::NodeTunnel;
use crdt_state::service::Service;
use crdt_state::task::{Run, Slot, TaskStatus};
use crdt_state::{NetworkId, NodeId, ServiceId, TaskId};
use gossip::MemberState;
use overlay::blocks::Division;
use overlay::plan::{
    LocalNetwork, OverlayPlan, Peer, Port, PortTargets, Protocol, TaskPlan, TunnelEnd, node_mac,
};
use overlay::tunnel::{tunnel_address, tunnel_mtu};

use crate::addressing::{Lease, LiveTask, gateway_network};
use crate::catalog::NetworkCatalog;
use crate::network_news::NetworkNews;
use crate::network_state::NetworkState;
use crate::node::Node;
use crate::tasks::is_healthy;

/// A task with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedTask<'a> {
    /// Which slot.
    pub slot: Slot,
    /// The node that runs it.
    pub node: NodeId,
    /// What its node says of it.
    pub status: &'a TaskStatus,
    /// Is it of the template to which connections go?
    pub serves: bool,
    /// Its addresses on the network, at most one of each family.
    pub addresses: &'a [IpAddr],
}

impl PlacedTask<'_> {
    /// Does the task take new connections, as far as its node says?
    pub fn is_ready(&self) -> bool {
        self.status.desired_running && is_healthy(self.status)
    }
}

impl Node {
    /// What this node's kernel must hold.
    pub fn overlay_plan(&self) -> OverlayPlan {
        let mut plan = OverlayPlan::default();
        plan.apply(NetworkState::new(|_| String::new()).update(self, NetworkNews::everything()));
        plan
    }

    /// The links of this node's networks, without tasks and virtual addresses.
    pub(crate) fn network_links(&self) -> BTreeMap<NetworkId, LocalNetwork> {
        // Without an address, tasks of this node still reach each other.
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let underlay = self.addressing().facts().data_address.unwrap_or(unknown);
        let networks = self.local_networks().into_iter();
        networks.filter_map(|id| Some((id, self.network_link(id, underlay)?))).collect()
    }

    /// Does this node know every network that its tasks are on? If not, its records were lost or
    /// have not all been read, and the plan lacks what tasks are using. A network that was removed is
    /// known: its tasks are without it, and all other networks go on.
    pub fn knows_its_networks(&self) -> bool {
        let mut leased = self.addressing().leases().networks();
        let NetworkCatalog { settled, removed, .. } = &self.catalog().networks;
        let is_known = |id: &NetworkId| settled.contains_key(id) || removed.contains_key(id);
        !self.replica().is_holding_back() && leased.all(|id| is_known(&id))
    }

    /// The tasks of a service on this node that have networks.
    pub(crate) fn task_plans(&self, service: ServiceId) -> BTreeMap<Run, TaskPlan> {
        let live = self.live_tasks_of(service);
        live.iter().filter_map(|live| self.task_plan(live)).collect()
    }

    fn task_plan(&self, live: &LiveTask) -> Option<(Run, TaskPlan)> {
        // Also a task whose only address went to somebody else, until there is another: a
        // namespace that was made anew would not be that of its process.
        // So also a task of which every network was removed.
        let is_made = |lease: &&Lease| live.has_begun || !lease.interfaces.is_empty();
        self.addressing().leases().get(live.task).filter(is_made)?;
        let interfaces = self.addressing().interfaces(live.task, self.catalog());
        let service = self.catalog().services.get(&live.service);
        let said = self.catalog().said(live.service, live.slot, self.me());
        let version = said.and_then(|record| {
            record.tasks.iter().find(|status| status.id == live.task).map(|s| s.template)
        });
        let template = service.zip(version).and_then(|(s, version)| s.template_of(version));
        let servers = template.map(|template| template.container.dns.nameservers.as_slice());
        let servers = servers.unwrap_or_default().iter();
        let plan = TaskPlan {
            interfaces,
            name_servers: servers.filter_map(|text| text.parse().ok()).collect(),
        };
        Some((Run { task: live.task, attempt: live.attempt }, plan))
    }

    /// The networks that this node takes part in: those of its tasks, and those by which it
    /// publishes ports.
    fn local_networks(&self) -> BTreeSet<NetworkId> {
        if !self.addressing().is_able() {
            return BTreeSet::new();
        }
        let leased = self.addressing().leases().networks();
        leased.chain(self.addressing().mesh_networks().iter().copied()).collect()
    }

    fn network_link(&self, id: NetworkId, underlay: IpAddr) -> Option<LocalNetwork> {
        let catalog = self.catalog();
        let network = catalog.networks.networks.get(&id)?;
        let settled = catalog.networks.settled.get(&id)?;
        let own = |range| self.addressing().own_address(id, &Division::of(range));
        let tunnel = network.spec.encrypted.then_some(underlay);
        let limit = |mtu| tunnel.map_or(mtu, |outer| tunnel_mtu(mtu, outer));
        Some(LocalNetwork {
            name: network.name.clone(),
            vni: settled.vni,
            underlay_mtu: network.spec.mtu.map(limit),
            internal: network.spec.internal,
            multicast: network.spec.is_multicast(),
            subnets: settled.ranges.iter().map(|range| range.subnet).collect(),
            gateways: settled.ranges.iter().map(|range| range.gateway).collect(),
            mac: node_mac(self.me()),
            underlay: tunnel.map_or(underlay, |_| tunnel_address(self.me()).into()),
            tunnel,
            detour: None,
            node_addresses: settled.ranges.iter().filter_map(own).collect(),
            peers: match tunnel {
                None => self.peers(id),
                Some(_) => self.tunnel_peers(id),
            },
            tasks: BTreeMap::new(),
            virtual_addresses: BTreeMap::new(),
        })
    }

    /// The other nodes on a network. Who is absent stays one, since nobody else has its addresses. Who
    /// has left gave its blocks back; who was removed from the fleet is told nothing more.
    fn peers(&self, id: NetworkId) -> BTreeMap<NodeId, Peer> {
        let claims = self.catalog().networks.held_claims();
        let others = claims.filter(|(node, _)| *node != self.me());
        let peer = |(node, said): (NodeId, &crdt_state::network::NodeNetworks)| {
            let blocks = said.blocks.get(&id)?;
            let member = self.gossip().member(node).map(|member| member.addr.ip());
            let peer = Peer {
                underlay: said.data_address.or(member)?,
                mac: node_mac(node),
                blocks: blocks.iter().map(|block| block.subnet).collect(),
                underlay_mtu: said.mtu,
                tunnel: None,
                detour: None,
            };
            let detour = self.tunnel_end(node, peer.underlay);
            Some((node, Peer { detour, ..peer }))
        };
        others.filter_map(peer).collect()
    }

    /// The end of the tunnel of a peer that has one.
    fn tunnel_end(&self, node: NodeId, reached_at: IpAddr) -> Option<TunnelEnd> {
        let NodeTunnel { refusal, public_key, port, life } =
            self.catalog().networks.tunnels.get(&node)?;
        let endpoint = SocketAddr::new(reached_at, *port);
        let end = TunnelEnd { public_key: *public_key, endpoint, life: *life, is_only_way: false };
        refusal.is_empty().then_some(end)
    }

    /// The other nodes on an encrypted network: the members that have a tunnel, by their addresses
    /// in it.
    fn tunnel_peers(&self, id: NetworkId) -> BTreeMap<NodeId, Peer> {
        let through = |(node, peer): (NodeId, Peer)| {
            let tunnel = Some(peer.detour?);
            let underlay = tunnel_address(node).into();
            Some((node, Peer { underlay, tunnel, detour: None, ..peer }))
        };
        self.peers(id).into_iter().filter_map(through).collect()
    }

    /// The addresses of the tasks of a service that take connections: running, healthy, and on a
    /// node that can be reached.
    pub fn ready_addresses(&self, service: ServiceId, network: NetworkId) -> Vec<IpAddr> {
        let ready = self.ready_tasks(service, network);
        let ready = ready.into_iter().filter(|task| self.is_reachable(task.node));
        ready.flat_map(|task| task.addresses.iter().copied()).collect()
    }

    /// The tasks of a service that take connections, also on nodes that cannot be reached. Those of
    /// the other template of a blue-green rollout only while there are no others.
    pub(crate) fn ready_tasks(
        &self,
        service: ServiceId,
        network: NetworkId,
    ) -> Vec<PlacedTask<'_>> {
        let ready = self.placed_tasks(service, network).filter(PlacedTask::is_ready);
        let mut ready: Vec<PlacedTask<'_>> = ready.collect();
        if ready.iter().any(|task| task.serves && self.is_reachable(task.node)) {
            ready.retain(|task| task.serves);
        }
        ready
    }

    /// The tasks of a service with addresses on a network, by slot and node.
    pub fn placed_tasks(
        &self,
        service: ServiceId,
        network: NetworkId,
    ) -> impl Iterator<Item = PlacedTask<'_>> {
        let records = self.catalog().tasks.get(&service).into_iter().flatten();
        let side_by_side = self.side_by_side(service);
        records.flat_map(move |((slot, node), record)| {
            record.tasks.iter().filter_map(move |status| {
                let addresses = self.addresses(service, (*slot, *node), status.id, network)?;
                let serves = side_by_side.is_none_or(|both| both.serves(status.template));
                Some(PlacedTask { slot: *slot, node: *node, status, serves, addresses })
            })
        })
    }

    fn addresses(
        &self,
        service: ServiceId,
        of: (Slot, NodeId),
        task: TaskId,
        network: NetworkId,
    ) -> Option<&[IpAddr]> {
        let record = self.catalog().networks.addresses.get(&service)?.get(&of)?;
        let said = record.tasks.iter().find(|said| said.task == task && !said.withdrawn)?;
        said.networks.get(&network).map(Vec::as_slice)
    }

    /// Can packets reach the node now, as far as this node knows? A node that just booted has heard
    /// of nobody yet: an agent that is restarted must not lead connections away from tasks that run.
    pub fn is_reachable(&self, node: NodeId) -> bool {
        node == self.me()
            || match self.gossip().member(node) {
                Some(member) => matches!(member.state, MemberState::Alive | MemberState::Suspect),
                None => self.is_here(node),
            }
    }

    /// The ports that a service publishes on this node.
    pub(crate) fn published_ports(&self, service: &Service) -> BTreeMap<Port, PortTargets> {
        let Some(network) = gateway_network(service, &self.catalog().networks) else {
            return BTreeMap::new();
        };
        let mut ports = BTreeMap::new();
        for port in service.endpoint.ports.iter().filter(|port| port.published != 0) {
            let Some(protocol) = Protocol::named(&port.protocol) else { continue };
            let tasks = self.ready_tasks(service.id, network).into_iter().filter(|task| {
                let is_here = task.node == self.me() || !port.host;
                is_here && self.is_reachable(task.node)
            });
            let addresses: Vec<IpAddr> =
                tasks.flat_map(|task| task.addresses.iter().copied()).collect();
            // A port in host mode answers only where a task is.
            if port.host && addresses.is_empty() {
                continue;
            }
            let targets = PortTargets { network, target: port.target, addresses };
            ports.entry(Port { protocol, number: port.published }).or_insert(targets);
        }
        for (port, targets) in self.picked_ports(service.id, network) {
            ports.entry(port).or_insert(targets);
        }
        ports
    }

    /// The ports that this node picked for its tasks of a service; each leads to one task.
    fn picked_ports(
        &self,
        service: ServiceId,
        network: NetworkId,
    ) -> impl Iterator<Item = (Port, PortTargets)> {
        let tasks = self.placed_tasks(service, network);
        let own = tasks.filter(|task| task.node == self.me() && task.is_ready());
        own.flat_map(move |task| {
            let picked = self.addressing().picked_ports(task.status.id).iter();
            picked.filter_map(move |picked| {
                let protocol = Protocol::named(&picked.protocol)?;
                let addresses = task.addresses.to_vec();
                let targets = PortTargets { network, target: picked.target, addresses };
                Some((Port { protocol, number: picked.published }, targets))
            })
        })
    }
}
