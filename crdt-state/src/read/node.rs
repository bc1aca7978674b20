//! Nodes, read from their records: each node's own description, and what operators set on it.

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};
use crate::labels::labels;
use crate::node::{Availability, NodeDescription};
use crate::replica::Replica;
use crate::service::value_or_default;
use crate::spec::{Facet, Labels, Life};

/// A node as its records describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Its own description; `None` while that has not arrived, or if this version cannot read it.
    pub description: Option<NodeDescription>,
    /// Labels that operators set (`node.labels.*`).
    pub labels: Labels,
    /// May it take tasks?
    pub availability: Availability,
    /// It was removed from the fleet.
    pub evicted: bool,
    /// The highest counter over its records: Docker's `Version.Index`.
    pub version: u64,
    /// The writer's time of day at that write, milliseconds since 1970. Display only.
    pub updated_wall_ms: u64,
}

impl NodeView {
    /// Reads a node; everything unknown gets its default.
    pub fn read(replica: &Replica, id: NodeId) -> NodeView {
        let settings = RecordKey::node_settings(id);
        let own = replica.record(&RecordKey::node(id)).and_then(|record| record.as_owned());
        let set = replica.record(&settings).and_then(|record| record.as_shared());
        let own = own.map(|record| (record.version, record.wall_ms));
        let set =
            set.and_then(|record| record.writes().map(|(_, write)| write).max_by_key(|w| w.stamp));
        let set = set.map(|write| (write.stamp.lamport, write.wall_ms));
        let (version, updated_wall_ms) = own.max(set).unwrap_or_default();
        NodeView {
            id,
            description: replica.owned(&RecordKey::node(id)).map(|(_, description)| description),
            labels: labels(replica, &settings),
            availability: value_or_default(replica, &settings, Facet::AVAILABILITY),
            evicted: is_evicted(replica, id),
            version,
            updated_wall_ms,
        }
    }
}

/// Was this node removed from the fleet? Its eviction record says so, unless the eviction was
/// undone.
pub fn is_evicted(replica: &Replica, id: NodeId) -> bool {
    matches!(replica.life(&RecordKey::eviction(id)), Some(Life::Present { .. }))
}

/// All nodes that ever described themselves, evicted ones too, by id.
pub fn nodes(replica: &Replica) -> Vec<NodeView> {
    replica.keys(Kind::NODE).map(|key| NodeView::read(replica, NodeId(key.id))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::StoreId;
    use crate::signature::{HashSigner, HashVerifier, Signer};
    use crate::spec::Resources;
    use crate::stamp::{Stamp, Writer};

    fn replica() -> Replica {
        let signer = HashSigner::from_seed(1);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
        Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
    }

    fn description(joined: Stamp) -> NodeDescription {
        NodeDescription {
            hostname: "shop".into(),
            os: "linux".into(),
            arch: "aarch64".into(),
            resources: Resources::default(),
            engine_labels: Labels::new(),
            engine_version: "1".into(),
            addresses: vec!["10.0.0.1:7946".into()],
            joined,
            left: false,
        }
    }

    #[test]
    fn a_node_is_its_own_description_and_what_operators_set() {
        let mut replica = replica();
        let me = replica.me();
        let said = description(replica.next_stamp());
        replica.put_owned(RecordKey::node(me), &said, 1_000);
        let settings = RecordKey::node_settings(me);
        replica.edit(settings, Facet::AVAILABILITY, &Availability::Drain, 2_000);
        let node = NodeView::read(&replica, me);
        assert_eq!(node.description, Some(said));
        assert_eq!((node.availability, node.evicted), (Availability::Drain, false));
        assert_eq!((node.version, node.updated_wall_ms), (2, 2_000));
        assert_eq!(nodes(&replica), [node]);
    }

    #[test]
    fn an_unknown_node_reads_as_defaults() {
        let node = NodeView::read(&replica(), NodeId([3; 16]));
        assert_eq!((node.description, node.availability), (None, Availability::Active));
        assert_eq!((node.version, node.evicted), (0, false));
    }

    #[test]
    fn an_evicted_node_is_marked_until_that_is_taken_back() {
        let mut replica = replica();
        let key = RecordKey::eviction(NodeId([3; 16]));
        let life = Life::Present { name: String::new(), created: replica.next_stamp() };
        replica.edit(key, Facet::LIFE, &life, 0);
        assert!(is_evicted(&replica, NodeId([3; 16])));
        replica.edit(key, Facet::LIFE, &Life::Removed { name: String::new() }, 0);
        assert!(!is_evicted(&replica, NodeId([3; 16])));
    }
}
