//! What a node says of itself, and what operators set on it.
//!
//! Nothing here says whether a node is alive: that is no record, and a verdict never changes one.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};
use crate::replica::Replica;
use crate::service::value_or_default;
use crate::spec::{Facet, Labels, Life, Resources};
use crate::stamp::Stamp;

/// The value of a node's own record. Nothing that changes by itself belongs here: an idle fleet
/// writes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Host name.
    pub hostname: String,
    /// `linux`.
    pub os: String,
    /// As Docker spells it: `x86_64`, `aarch64`, `armv7l`.
    pub arch: String,
    /// What the machine has.
    pub resources: Resources,
    /// Labels from the config file (`engine.labels.*`).
    pub engine_labels: Labels,
    /// Version of the agent.
    pub engine_version: String,
    /// Where it listens, best first (`ip:port`); hints, the address of a node roams.
    pub addresses: Vec<String>,
    /// When it first wrote this record.
    pub joined: Stamp,
    /// It left of its own accord and runs nothing.
    pub left: bool,
}

/// May a node take tasks?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Availability {
    /// Yes.
    #[default]
    Active,
    /// It keeps those it has and takes no others.
    Pause,
    /// Its tasks go elsewhere.
    Drain,
}

/// A node as its records tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// What it says of itself; `None` while that has not arrived, or if this version cannot read it.
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
    /// Reads a node; everything unknown reads as its default.
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
            labels: value_or_default(replica, &settings, Facet::LABELS),
            availability: value_or_default(replica, &settings, Facet::AVAILABILITY),
            evicted: is_evicted(replica, id),
            version,
            updated_wall_ms,
        }
    }
}

/// Was this node removed from the fleet? So says its eviction record, unless that was taken back.
pub fn is_evicted(replica: &Replica, id: NodeId) -> bool {
    let key = RecordKey::eviction(id);
    replica.record(&key).is_some() && !matches!(replica.life(&key), Some(Life::Removed { .. }))
}

/// All nodes that ever described themselves, evicted ones too, by id.
pub fn nodes(replica: &Replica) -> Vec<NodeView> {
    replica.keys(Kind::NODE).map(|key| NodeView::read(replica, NodeId(key.id))).collect()
}
