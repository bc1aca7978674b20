//! Networks that span nodes: what operators wrote, what nodes claim, and the addresses of tasks.
//!
//! A network is a shared record; its configuration is one facet, written once. What a node says of
//! itself on networks, and the addresses of its tasks, are records that only this node writes: a
//! node that is unreachable keeps its addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::{NetworkId, NodeId, ServiceId, TaskId, first_16};
use crate::key::{Kind, RecordKey, task_subject};
use crate::task::Slot;

/// The name of the network of services that name none.
pub const DEFAULT_NETWORK: &str = "default";

/// A range of addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRange {
    /// All addresses of the network, of one family.
    pub subnet: IpNet,
    /// The address of every node's router on this network.
    pub gateway: IpAddr,
    /// Automatic addresses are taken from this part; absent: the whole subnet.
    pub range: Option<IpNet>,
    /// Addresses that are never given out, by the name that the operator gave them.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// The configuration of a network: the value of [`crate::spec::Facet::NETWORK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct NetworkSpec {
    /// At most one range of each family. Ranges that the operator left open are chosen when the
    /// network is created.
    pub ranges: Vec<AddressRange>,
    /// The number of the network in VXLAN, 4096 to 2^24 - 1.
    pub vni: u32,
    /// There is no way out of the network.
    pub internal: bool,
    /// Containers that belong to no service may use it.
    pub attachable: bool,
    /// What travels between nodes is encrypted.
    pub encrypted: bool,
    /// The largest packet of the network below, in bytes, from which the overhead is taken; absent:
    /// found by each node.
    pub mtu: Option<u32>,
    /// The options of the driver as they were given.
    pub options: BTreeMap<String, String>,
}

/// The option that has multicast carried.
pub const MULTICAST_OPTION: &str = "edge.multicast";

impl NetworkSpec {
    /// Does what is sent to a group, or to everybody, reach all tasks of the network?
    pub fn is_multicast(&self) -> bool {
        // An option without a value is switched on.
        let value = self.options.get(MULTICAST_OPTION);
        value.is_some_and(|value| matches!(value.as_str(), "" | "true" | "1"))
    }
}

/// A service's use of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network.
    pub network: NetworkId,
    /// Further names of the service on this network.
    pub aliases: Vec<String>,
    /// Options of the interface as they were given.
    pub options: BTreeMap<String, String>,
}

/// The networks of a service: the value of [`crate::spec::Facet::NETWORKS`].
pub type Attachments = Vec<Attachment>;

/// How a service's name is answered on its networks: the value of
/// [`crate::spec::Facet::BALANCING`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Balancing {
    /// Names lead to the tasks; there is no virtual address.
    pub by_name: bool,
    /// The virtual addresses that were chosen, by network.
    pub virtual_addresses: BTreeMap<NetworkId, Vec<IpAddr>>,
}

/// A block of addresses that a node claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Block {
    /// The addresses.
    pub subnet: IpNet,
    /// The claimer's Lamport counter at that time: of two claims of one block the lower one holds.
    pub claimed: u64,
}

/// A node's own record of what it is on networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct NodeNetworks {
    /// Why it takes part in no network: what is missing, and what to do. Empty: it can.
    pub refusal: String,
    /// The address that it sends from and is reached at by VXLAN, if it differs from the address of
    /// its agent.
    pub data_address: Option<IpAddr>,
    /// The largest packet that leaves it whole, in bytes; 0: not known.
    pub mtu: u32,
    /// The routes of its site, without default routes and without those of the fleet's networks.
    pub routes: Vec<IpNet>,
    /// Its blocks by network.
    pub blocks: BTreeMap<NetworkId, Vec<Block>>,
}

/// A node's own record of its end of the tunnel that encrypted networks go through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTunnel {
    /// Why it has none: what is missing, and what to do. Empty: it has one when it needs it.
    pub refusal: String,
    /// Its public key, an x25519 point.
    pub public_key: [u8; 32],
    /// The UDP port that it is reached at.
    pub port: u16,
    /// A random number of the process that held it last: another process has forgotten the keys of
    /// all sessions. 0: none is known.
    pub life: u64,
}

/// The addresses of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAddresses {
    /// The task.
    pub task: TaskId,
    /// Its addresses by network.
    pub networks: BTreeMap<NetworkId, Vec<IpAddr>>,
    /// It takes no new connections: it is about to be stopped.
    pub withdrawn: bool,
}

/// The value of a node's record of the addresses in one slot of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotAddresses {
    /// The service.
    pub service: ServiceId,
    /// The slot of the service.
    pub slot: Slot,
    /// The node that reports.
    pub node: NodeId,
    /// The tasks that have not ended.
    pub tasks: Vec<TaskAddresses>,
}

/// A number that a node picked, for a port that is published by the nodes that run a task, and
/// without a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickedPort {
    /// The port of the task.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The port of the node.
    pub published: u16,
}

/// The most ports that a node picks: a record of them fits into a value.
pub const PICKED_PORTS_MAX: usize = 1_024;

/// A node's own record of the ports that it picked, by task.
pub type PickedPorts = BTreeMap<TaskId, Vec<PickedPort>>;

impl NetworkId {
    /// The id of the fleet's default network: the same wherever it is first used.
    pub fn default_network() -> NetworkId {
        let hash = blake3::Hasher::new_derive_key("edgectl default network 1").finalize();
        NetworkId(first_16(&hash))
    }
}

impl RecordKey {
    /// The key of a network.
    pub fn network(id: NetworkId) -> RecordKey {
        RecordKey { kind: Kind::NETWORK, id: id.0 }
    }

    /// The key of a node's record of itself on networks.
    pub fn node_networks(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::NODE_NETWORKS, id, &[])
    }

    /// The key of a node's record of its end of the tunnel.
    pub fn tunnel(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::TUNNEL, id, &[])
    }

    /// The key of a node's record of the ports that it picked.
    pub fn picked_ports(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::PICKED_PORTS, id, &[])
    }

    /// The key of `node`'s report of the addresses in one slot.
    pub fn addresses(node: NodeId, service: ServiceId, slot: Slot) -> RecordKey {
        RecordKey::owned(Kind::ADDRESSES, node, &task_subject(service, slot))
    }
}
