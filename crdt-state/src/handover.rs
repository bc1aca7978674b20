//! Handovers: the copies of tasks that a node would end in favour of another node's copy, and the
//! copies that it keeps.
//!
//! While news still travels, two nodes can each hear that the other one runs a slot, and each take
//! the other for its owner. So no node ends a healthy copy because of its own view alone: it asks
//! the keeper, and waits until the keeper has written that it keeps its copy. The module
//! `handover.rs` of `node-core` says how this is used, and why it suffices. A node never writes
//! about another node's copies here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId, StoreId};
use crate::key::{Kind, RecordKey};
use crate::task::Slot;

/// Slots, each with the number of the question. The asking node uses each number once.
pub type Asked = BTreeMap<Slot, u64>;

/// The value of a node's record of handovers. Empty at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handovers {
    /// The store of the node that wrote the record: its questions are numbered per store.
    pub store: StoreId,
    /// Copies that this node would end, by service and the node that should keep the slot.
    pub asks: BTreeMap<(ServiceId, NodeId), Asked>,
    /// Copies that this node keeps, by service and asking node, with the store and the numbers that
    /// the asking node gave.
    pub keeps: BTreeMap<(ServiceId, NodeId), (StoreId, Asked)>,
}

impl Handovers {
    /// Nothing asked and nothing kept.
    pub fn none(store: StoreId) -> Handovers {
        Handovers { store, asks: BTreeMap::new(), keeps: BTreeMap::new() }
    }

    /// The services of its questions and answers.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        self.asks.keys().chain(self.keeps.keys()).map(|(service, _)| *service)
    }
}

impl RecordKey {
    /// The key of a node's record of handovers.
    pub fn handovers(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::HANDOVERS, id, &[])
    }
}
