//! Record keys: a kind and 16 bytes.
//!
//! The top bit of a kind tells *owned* records (one writer, a version) from *shared* ones (any
//! writer, facets). So a version that does not know a kind still merges it correctly.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId, first_16};
use crate::task::Slot;

/// What a record describes. A number, so that unknown kinds are kept and passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind(pub u8);

impl Kind {
    /// What operators set on a node: availability, labels. Shared; the id is the node's.
    pub const NODE_SETTINGS: Kind = Kind(0x01);
    /// A service. Shared.
    pub const SERVICE: Kind = Kind(0x02);
    /// A network. Shared.
    pub const NETWORK: Kind = Kind(0x03);
    /// A secret. Shared.
    pub const SECRET: Kind = Kind(0x04);
    /// A config. Shared.
    pub const CONFIG: Kind = Kind(0x05);
    /// A volume. Shared.
    pub const VOLUME: Kind = Kind(0x06);
    /// A join token. Shared.
    pub const TOKEN: Kind = Kind(0x07);
    /// The fact that a node was removed from the fleet. Shared; the id is the node's.
    pub const EVICTION: Kind = Kind(0x08);
    /// An image that the fleet has without a registry. Shared; the id is a hash of its name.
    pub const IMAGE: Kind = Kind(0x09);
    /// The settings of the whole fleet. Shared; there is one record.
    pub const FLEET_SETTINGS: Kind = Kind(0x0a);
    /// A part of a config's data. Shared; the id is a hash of the config and the number of the part.
    pub const CONFIG_PART: Kind = Kind(0x0b);
    /// Which version of a stack's file the fleet has. Shared; the id is a hash of the stack's name.
    pub const STACK: Kind = Kind(0x0c);
    /// A certificate that a client of the API was given. Shared; the id is a hash of it.
    pub const CLIENT: Kind = Kind(0x10);
    /// A key of the fleet that took the place of another one. Shared; the id is of a hash of it.
    pub const FLEET_KEY: Kind = Kind(0x11);
    /// A key by which members seal what they keep on their disks. Shared; the id is of a hash of it.
    pub const UNLOCK_KEY: Kind = Kind(0x12);
    /// A part of a secret's sealed data. Shared; the id is a hash of the secret and the number of
    /// the part.
    pub const SECRET_PART: Kind = Kind(0x0d);
    /// A node's own description. Owned; the id is the node's.
    pub const NODE: Kind = Kind(0x81);
    /// A node's report of its tasks in one slot of one service. Owned.
    pub const TASK: Kind = Kind(0x82);
    /// A node's report of the volumes that it holds. Owned; the id is the node's.
    pub const VOLUMES: Kind = Kind(0x83);
    /// Copies of tasks that a node asks others to keep, or keeps. Owned; the id is the node's.
    pub const HANDOVERS: Kind = Kind(0x84);
    /// A node's report of conditions in which it cannot start tasks. Owned; the id is the node's.
    pub const CONDITIONS: Kind = Kind(0x85);
    /// A node's report of itself on networks: its blocks of addresses. Owned; the id is the node's.
    pub const NODE_NETWORKS: Kind = Kind(0x86);
    /// A node's report of the addresses of its tasks in one slot of one service. Owned.
    pub const ADDRESSES: Kind = Kind(0x87);
    /// A node's report of its end of the tunnel between nodes. Owned; the id is the node's.
    pub const TUNNEL: Kind = Kind(0x88);
    /// A node's report of the ports that it picked for its tasks. Owned; the id is the node's.
    pub const PICKED_PORTS: Kind = Kind(0x89);
    /// A node's report of what it completed of one job. Owned.
    pub const COMPLETIONS: Kind = Kind(0x8b);
    /// A node's report of slots that failed with a new template. Owned; the id is the node's.
    pub const ROLLOUTS: Kind = Kind(0x8a);
    /// A node's report of the names of its generic resources. Owned; the id is the node's.
    pub const NAMED_RESOURCES: Kind = Kind(0x8c);
    /// A node's report of the leases that it gave out as a witness. Owned; the id is the node's.
    pub const GRANTS: Kind = Kind(0x8e);

    /// A node's report of services that are scaled by their load. Owned; the id is the node's.
    pub const SCALING: Kind = Kind(0x8f);

    /// A node's report of the scheduled runs of one job that it declared. Owned.
    pub const SCHEDULED_RUNS: Kind = Kind(0x8d);

    /// A node's report of the join tokens that it took from joiners. Owned; the id is the node's.
    pub const TOKEN_USES: Kind = Kind(0x91);

    /// The keys of one secret that a node wrapped for others and itself. Owned.
    pub const SECRET_KEYS: Kind = Kind(0x90);

    /// The kinds of keys that every member is given ([`crate::fleet_key`]).
    pub const FOR_EVERY_MEMBER: [Kind; 2] = [Kind::FLEET_KEY, Kind::UNLOCK_KEY];

    /// Does one node alone write records of this kind?
    pub fn is_owned(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// The name of a record in the replica, in the store and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// What it describes.
    pub kind: Kind,
    /// Identifies the record among those of its kind.
    pub id: [u8; 16],
}

impl RecordKey {
    /// The first of all keys.
    pub const LEAST: RecordKey = RecordKey { kind: Kind(0), id: [0; 16] };
    /// The last of all keys.
    pub const GREATEST: RecordKey = RecordKey { kind: Kind(255), id: [255; 16] };

    /// The key of a service.
    pub fn service(id: ServiceId) -> RecordKey {
        RecordKey { kind: Kind::SERVICE, id: id.0 }
    }

    /// The key of a node's own description.
    pub fn node(id: NodeId) -> RecordKey {
        RecordKey { kind: Kind::NODE, id: id.0 }
    }

    /// The key of what operators set on a node.
    pub fn node_settings(id: NodeId) -> RecordKey {
        RecordKey { kind: Kind::NODE_SETTINGS, id: id.0 }
    }

    /// The key of the fact that a node was removed from the fleet.
    pub fn eviction(id: NodeId) -> RecordKey {
        RecordKey { kind: Kind::EVICTION, id: id.0 }
    }

    /// The key of an image of the fleet by its full name: one name pushed on both sides of a
    /// partition is one record.
    pub fn image(name: &str) -> RecordKey {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl image name 1");
        hasher.update(name.as_bytes());
        RecordKey { kind: Kind::IMAGE, id: first_16(&hasher.finalize()) }
    }

    /// The key of `node`'s report of its tasks for one slot. It does not depend on the template:
    /// the number of records is bounded by nodes times slots, however often a service is updated.
    pub fn task(node: NodeId, service: ServiceId, slot: Slot) -> RecordKey {
        RecordKey::owned(Kind::TASK, node, &task_subject(service, slot))
    }

    /// The key of a record that only `owner` writes. Without a subject there is one record per
    /// node, and its id is the node's. With a subject the id is a hash of owner and subject, so
    /// that everybody who holds the record can verify its owner.
    pub fn owned(kind: Kind, owner: NodeId, subject: &[u8]) -> RecordKey {
        if subject.is_empty() {
            return RecordKey { kind, id: owner.0 };
        }
        let mut hasher = blake3::Hasher::new_derive_key("edgectl owned record 1");
        hasher.update(&[kind.0]);
        hasher.update(&owner.0);
        hasher.update(subject);
        RecordKey { kind, id: first_16(&hasher.finalize()) }
    }

    /// The kind's number and the id, 17 bytes: the key in the store, and what is hashed.
    pub fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[0] = self.kind.0;
        bytes[1..].copy_from_slice(&self.id);
        bytes
    }

    /// The inverse of [`RecordKey::to_bytes`]; `None` unless there are 17 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<RecordKey> {
        let (kind, id) = bytes.split_first()?;
        Some(RecordKey { kind: Kind(*kind), id: id.try_into().ok()? })
    }
}

/// What a task record is about, besides its node: service and slot.
pub(crate) fn task_subject(service: ServiceId, slot: Slot) -> [u8; 33] {
    let mut subject = [0; 33];
    subject[..16].copy_from_slice(&service.0);
    subject[16..].copy_from_slice(&slot.to_bytes());
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_bytes() {
        let key = RecordKey::service(ServiceId([7; 16]));
        assert_eq!(RecordKey::from_bytes(&key.to_bytes()), Some(key));
        assert_eq!(RecordKey::from_bytes(&key.to_bytes()[..16]), None);
        assert_eq!(RecordKey::from_bytes(&[0; 18]), None);
    }

    #[test]
    fn every_node_service_and_slot_has_a_task_record_of_its_own() {
        let (node, service) = (NodeId([1; 16]), ServiceId([2; 16]));
        let keys = [
            RecordKey::task(node, service, Slot::Number(1)),
            RecordKey::task(node, service, Slot::Number(2)),
            RecordKey::task(node, service, Slot::Node(node)),
            RecordKey::task(node, ServiceId([3; 16]), Slot::Number(1)),
            RecordKey::task(NodeId([3; 16]), service, Slot::Number(1)),
            RecordKey::owned(Kind(0xf2), node, &task_subject(service, Slot::Number(1))),
        ];
        let distinct = std::collections::BTreeSet::from(keys);
        assert_eq!(distinct.len(), keys.len());
    }
}
