//! What a node says of copies of tasks that it would end for the sake of another node's copy, and
//! of those that it keeps.
//!
//! Two nodes can each hear that the other one runs a slot and each take the other for its owner
//! while news still travels. So nobody ends a healthy copy because of what it believes: it asks the
//! keeper, and waits until the keeper has written that it keeps. How that is used, and why it
//! suffices, stands in `node-core`'s `handover.rs`. Nobody writes of another node's copies here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId, StoreId};
use crate::key::{Kind, RecordKey};
use crate::task::Slot;

/// Slots, each with the number of the question, which its asker uses once.
pub type Asked = BTreeMap<Slot, u64>;

/// The value of a node's record of handovers. Empty at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handovers {
    /// The store of the node that wrote it: its questions are counted per store.
    pub store: StoreId,
    /// Copies that this node would end, by service and the node that should keep the slot.
    pub asks: BTreeMap<(ServiceId, NodeId), Asked>,
    /// Copies that this node keeps, by service and the node that asked, as that numbered it.
    pub keeps: BTreeMap<(ServiceId, NodeId), (StoreId, Asked)>,
}

impl Handovers {
    /// Nothing asked and nothing kept.
    pub fn none(store: StoreId) -> Handovers {
        Handovers { store, asks: BTreeMap::new(), keeps: BTreeMap::new() }
    }

    /// The services that it speaks of.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        self.asks.keys().chain(self.keeps.keys()).map(|(service, _)| *service)
    }
}

impl RecordKey {
    /// The key of what a node says of handovers.
    pub fn handovers(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::HANDOVERS, id, &[])
    }
}
