//! What the kernel of one node must hold, as a value.
//!
//! The plan is level-triggered: it says everything, and whoever applies it changes what differs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use crdt_state::{NetworkId, NodeId};
use ipnet::IpNet;

/// A link address.
pub type Mac = [u8; 6];

/// Everything that one node's kernel must hold for the fleet's networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverlayPlan {
    /// The networks that this node takes part in.
    pub networks: BTreeMap<NetworkId, LocalNetwork>,
    /// The ports that this node publishes.
    pub ports: BTreeMap<Port, PortTargets>,
    /// The tasks of this node that have networks.
    pub tasks: BTreeMap<Run, TaskPlan>,
    /// The paths to the other nodes that make networks; `None`: there is none.
    pub paths: Option<PathPlan>,
}

/// The port of VXLAN that IANA assigned. Without it Linux takes 8472.
pub const VXLAN_PORT: u16 = 4789;

/// The largest packet of the network below while this node's link to it is not known.
pub const UNDERLAY_MTU_DEFAULT: u32 = 1500;

/// The network by which nodes probe the paths between them: no operator sees it, and no task is on
/// it.
pub const PATH_NETWORK: NetworkId = NetworkId([0; 16]);

/// Its number in VXLAN. Those that are chosen begin at 4096; operators may not choose it.
pub const PATH_VNI: u32 = 2;

/// This node's ends of the paths to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPlan {
    /// The link address of this node's VXLAN device.
    pub mac: Mac,
    /// The address that VXLAN packets leave from.
    pub underlay: IpAddr,
    /// The largest packet of this node's link, in bytes; 0: not known.
    pub underlay_mtu: u32,
    /// The other nodes that make networks.
    pub peers: BTreeMap<NodeId, PathPeer>,
}

/// The other end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathPeer {
    /// Where VXLAN packets for it are sent.
    pub underlay: IpAddr,
    /// The link address of its VXLAN device.
    pub mac: Mac,
    /// The largest packet that it takes from the network below, in bytes; 0: not known.
    pub underlay_mtu: u32,
    /// Does membership hear it?
    pub is_heard: bool,
}

impl PathPlan {
    /// The network of probes, with every peer that has an address of this node's family.
    pub fn network(&self) -> LocalNetwork {
        let like = |peer: &PathPeer| peer.underlay.is_ipv4() == self.underlay.is_ipv4();
        let peers = self.peers.iter().filter(|(_, peer)| like(peer)).map(|(node, peer)| {
            let PathPeer { underlay, mac, underlay_mtu, .. } = *peer;
            let (blocks, tunnel, detour) = (Vec::new(), None, None);
            (*node, Peer { underlay, mac, blocks, underlay_mtu, tunnel, detour })
        });
        LocalNetwork {
            name: "of probes".to_owned(),
            vni: PATH_VNI,
            underlay_mtu: None,
            internal: true,
            multicast: false,
            subnets: Vec::new(),
            gateways: Vec::new(),
            mac: self.mac,
            underlay: self.underlay,
            tunnel: None,
            detour: None,
            node_addresses: Vec::new(),
            peers: peers.collect(),
            tasks: BTreeMap::new(),
            virtual_addresses: BTreeMap::new(),
        }
    }
}

/// What VXLAN adds to a packet: the headers of IP, UDP and VXLAN, and Ethernet's inside.
pub fn vxlan_overhead(underlay: IpAddr) -> u32 {
    if underlay.is_ipv4() { 20 + 8 + 8 + 14 } else { 40 + 8 + 8 + 14 }
}

/// The link-local address that belongs to a link address (RFC 4291, EUI-64).
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

/// One task of this node on its networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskPlan {
    /// Its interfaces.
    pub interfaces: Vec<TaskInterface>,
    /// The servers that are asked for names that are not the fleet's; none: the node's.
    pub name_servers: Vec<IpAddr>,
}

/// One network on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalNetwork {
    /// Its name, for messages.
    pub name: String,
    /// Its number in VXLAN.
    pub vni: u32,
    /// The largest packet of the network below, in bytes; `None`: what the node's link has.
    pub underlay_mtu: Option<u32>,
    /// There is no way out of it.
    pub internal: bool,
    /// What is sent to a group reaches every task.
    pub multicast: bool,
    /// Its subnets, at most one of each family.
    pub subnets: Vec<IpNet>,
    /// Its gateways, at most one of each family: the same on all nodes.
    pub gateways: Vec<IpAddr>,
    /// The link address of this node's VXLAN device.
    pub mac: Mac,
    /// The address that VXLAN packets leave from.
    pub underlay: IpAddr,
    /// The network is encrypted: `underlay` is this node's address in the tunnel, whose own packets
    /// leave from this address.
    pub tunnel: Option<IpAddr>,
    /// This node's address in the tunnel, if some peers are reached through it although the network
    /// is not encrypted.
    pub detour: Option<Ipv6Addr>,
    /// This node's own addresses on the network, at most one of each family: the source of what it
    /// sends to tasks itself.
    pub node_addresses: Vec<IpAddr>,
    /// The other nodes that take part.
    pub peers: BTreeMap<NodeId, Peer>,
    /// The addresses of this node's tasks.
    pub tasks: BTreeMap<Run, Vec<IpAddr>>,
    /// The tasks that each virtual address leads to, by address of the same family. Without tasks,
    /// connections are refused.
    pub virtual_addresses: BTreeMap<IpAddr, Vec<IpAddr>>,
}

/// Another node that takes part in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where VXLAN packets for it are sent: its address in the tunnel, if they go through that.
    pub underlay: IpAddr,
    /// The link address of its VXLAN device.
    pub mac: Mac,
    /// Its blocks of addresses.
    pub blocks: Vec<IpNet>,
    /// The largest packet that it takes from the network below, in bytes; 0: not known.
    pub underlay_mtu: u32,
    /// Its end of the tunnel, if packets for it go through that; the tunnel is above the network
    /// below.
    pub tunnel: Option<TunnelEnd>,
    /// Its end of the tunnel, for times in which nothing passes without: see [`crate::detour`].
    pub detour: Option<TunnelEnd>,
}

/// Another node's end of the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelEnd {
    /// Its public key.
    pub public_key: [u8; 32],
    /// Where it is reached.
    pub endpoint: SocketAddr,
    /// The number of its process; 0: not known.
    pub life: u64,
    /// Nothing else reaches the node, so its keys are held ready, and routers on the way are kept
    /// from forgetting it.
    pub is_only_way: bool,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its name, as specs write it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// The protocol of this name, as specs write it.
    pub fn named(name: &str) -> Option<Protocol> {
        match name {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            "sctp" => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

/// A port that a node publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// Where a published port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortTargets {
    /// The network by which the tasks are reached.
    pub network: NetworkId,
    /// The port of the tasks.
    pub target: u16,
    /// The addresses of the tasks, of both families.
    pub addresses: Vec<IpAddr>,
}

/// The link address of a node's VXLAN device: locally administered, the same on all networks.
pub fn node_mac(node: NodeId) -> Mac {
    let mut mac = [0x02; 6];
    mac[1..].copy_from_slice(&node.0[..5]);
    mac
}
