//! A plan as a value: which node has which slot, and why other nodes do not.
//!
//! This file plans nothing: [`crate::plan::plan`] makes the value, in steps that share only it.

use std::collections::BTreeMap;

use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};

use crate::reason::{Choice, NodeReason, Unplaced};

/// Where one slot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// To this node.
    On(NodeId, Choice),
    /// Nowhere.
    Nowhere(Unplaced),
}

/// The plan of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePlan {
    /// Every wanted slot.
    pub slots: BTreeMap<Slot, Placed>,
    /// The nodes that cannot take tasks of it, or no more, and why.
    pub excluded: BTreeMap<NodeId, NodeReason>,
    /// Did it depend on where tasks of lower priority are?
    pub looked_below: bool,
}

impl ServicePlan {
    /// How many slots each node has, of those that have any.
    pub fn counts(&self) -> BTreeMap<NodeId, u32> {
        let mut counts = BTreeMap::new();
        for placed in self.slots.values() {
            if let Placed::On(node, _) = placed {
                *counts.entry(*node).or_default() += 1;
            }
        }
        counts
    }
}

/// The plan of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every wanted service.
    pub services: BTreeMap<ServiceId, ServicePlan>,
}

impl Plan {
    /// The node that should run this slot.
    pub fn owner(&self, service: ServiceId, slot: Slot) -> Option<NodeId> {
        match self.services.get(&service)?.slots.get(&slot)? {
            Placed::On(node, _) => Some(*node),
            Placed::Nowhere(_) => None,
        }
    }

    /// Should anybody run this slot?
    pub fn wants(&self, service: ServiceId, slot: Slot) -> bool {
        self.services.get(&service).is_some_and(|plan| plan.slots.contains_key(&slot))
    }
}
