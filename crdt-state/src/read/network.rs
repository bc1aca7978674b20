//! Networks, read from their records, and what nodes say of addresses.

use crate::id::{NetworkId, NodeId};
use crate::key::{Kind, RecordKey};
use crate::labels::labels;
use crate::network::{NetworkSpec, NodeNetworks, NodeTunnel, PickedPorts, SlotAddresses};
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::{Facet, Labels, Life};
use crate::stamp::Stamp;

/// A living network, as operators wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its name; two sides of a partition may have created the same one.
    pub name: String,
    /// When it was created: defines its age among networks.
    pub created: Stamp,
    /// The writer's time of day at that time, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
    /// Its configuration.
    pub spec: NetworkSpec,
    /// Labels.
    pub labels: Labels,
    /// The highest Lamport counter over all facets: Docker's `Version.Index`.
    pub version: u64,
}

impl Network {
    /// Reads a network; `None` if there is none, it was removed, a part of it has not arrived yet,
    /// or it is unfit.
    pub fn read(replica: &Replica, id: NetworkId) -> Option<Network> {
        let key = RecordKey::network(id);
        if replica.is_unfit(&key) {
            return None;
        }
        let record = replica.record(&key).and_then(Record::as_shared)?;
        let Some(Life::Present { name, created }) = replica.life(&key) else { return None };
        let (_, spec) = replica.facet::<NetworkSpec>(&key, Facet::NETWORK)?;
        let life = record.winner(Facet::LIFE)?;
        let last = record.writes().map(|(_, write)| write).max_by_key(|write| write.stamp)?;
        Some(Network {
            id,
            name,
            created,
            created_wall_ms: life.wall_ms,
            spec,
            labels: labels(replica, &key),
            version: last.stamp.lamport,
        })
    }
}

/// All living networks, by id.
pub fn networks(replica: &Replica) -> Vec<Network> {
    let ids = replica.keys(Kind::NETWORK).map(|key| NetworkId(key.id));
    ids.filter_map(|id| Network::read(replica, id)).collect()
}

/// What a node says of itself on networks; `None` if it said nothing: its version is older.
pub fn node_networks_of(replica: &Replica, id: NodeId) -> Option<NodeNetworks> {
    let said = replica.owned::<NodeNetworks>(&RecordKey::node_networks(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, said)| said)
}

/// The ports that a node picked; `None` if it picked none.
pub fn picked_ports_of(replica: &Replica, id: NodeId) -> Option<PickedPorts> {
    let said = replica.owned::<PickedPorts>(&RecordKey::picked_ports(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, said)| said)
}

/// What a node says of its end of the tunnel; `None` if it said nothing.
pub fn tunnel_of(replica: &Replica, id: NodeId) -> Option<NodeTunnel> {
    let said = replica.owned::<NodeTunnel>(&RecordKey::tunnel(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, said)| said)
}

/// The addresses in one record of a node's slot.
pub fn slot_addresses(replica: &Replica, key: &RecordKey) -> Option<SlotAddresses> {
    let said = replica.owned::<SlotAddresses>(key);
    said.filter(|(owner, said)| *owner == said.node).map(|(_, said)| said)
}
