//! The records that no node reads, for operators: their names, what is wrong, and who wrote them.

use crdt_state::spec::Life;
use crdt_state::{Digest, Kind, NodeId, Record, RecordKey, Unfit};

use super::NodeReport;

/// A record that is held and passed on, but not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfitRow {
    /// Its key.
    pub key: RecordKey,
    /// The digest of its content: equal on all nodes that hold the same content.
    pub digest: Digest,
    /// What is wrong with it.
    pub why: Unfit,
    /// Its name, if that can be read.
    pub name: String,
    /// Who wrote it last.
    pub writer: Option<NodeId>,
}

impl UnfitRow {
    /// The kind of object that it describes.
    pub fn kind(&self) -> &'static str {
        match self.key.kind {
            Kind::SERVICE => "service",
            Kind::NODE => "node",
            Kind::NODE_SETTINGS => "node settings",
            Kind::TASK => "task",
            Kind::VOLUMES => "volumes",
            Kind::IMAGE => "image",
            Kind::EVICTION => "eviction",
            Kind::STACK => "stack",
            Kind::CLIENT => "client",
            Kind::FLEET_KEY => "key of the fleet",
            Kind::UNLOCK_KEY => "unlock key",
            Kind::FLEET_SETTINGS => "fleet settings",
            _ => "record",
        }
    }
}

impl NodeReport<'_> {
    /// The records that are held and not read, by key.
    pub fn unfit(&self) -> Vec<UnfitRow> {
        let row = |(key, digest, why)| UnfitRow {
            key,
            digest,
            why,
            name: match self.replica.life(&key) {
                Some(Life::Present { name, .. } | Life::Removed { name }) => name,
                None => String::new(),
            },
            writer: self.replica.record(&key).and_then(writer_of),
        };
        self.replica.unfit().map(row).collect()
    }
}

fn writer_of(record: &Record) -> Option<NodeId> {
    match record {
        Record::Owned(record) => Some(record.owner()),
        Record::Shared(record) => record.stamp().map(|stamp| stamp.writer.node),
    }
}
