//! What becomes of a service's tasks when the fleet is split: the policy that operators choose, and
//! what witnesses of `at-most-one` report.
//!
//! A policy never makes a record of a task: it says where a slot may begin. Decision 0024 has the
//! rules of leases. `node-core` applies them; here are only their words.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId, StoreId};
use crate::key::{Kind, RecordKey};
use crate::task::Slot;

/// What becomes of a service's tasks when nodes do not hear each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum PartitionPolicy {
    /// Each side runs all of them; the surplus ends after the heal.
    #[default]
    RunEverywhere,
    /// A slot stays with the node that has it, and begins nowhere else by itself.
    Stay,
    /// A slot runs at most once in the whole fleet: only with leases of a majority of the anchors.
    AtMostOne,
}

/// The value of [`crate::spec::Facet::PARTITION`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Partition {
    /// The policy.
    pub policy: PartitionPolicy,
    /// A node that hears no majority of the anchors for this long stops its tasks; only of
    /// `at-most-one`.
    pub fence_after_ms: u64,
    /// The nodes that grant leases, an odd number; only of `at-most-one`.
    pub anchors: BTreeSet<NodeId>,
}

impl Partition {
    /// Does a task run only with leases?
    pub fn is_at_most_one(&self) -> bool {
        self.policy == PartitionPolicy::AtMostOne
    }

    /// So many anchors are a majority.
    pub fn majority(&self) -> usize {
        self.anchors.len() / 2 + 1
    }
}

/// The most anchors of one service: each lease is asked of all of them.
pub const ANCHORS_MAX: usize = 7;

/// The shortest time after which tasks are stopped: an agent that restarts needs less.
pub const FENCE_AFTER_MS_MIN: u64 = 2_000;

/// The longest one, a day: nobody else runs the task for that long after its node was lost.
pub const FENCE_AFTER_MS_MAX: u64 = 86_400_000;

/// A slot's lease, as one witness gave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The node that may run the slot.
    pub node: NodeId,
    /// How long after it asked the node may run the slot, at most, in milliseconds.
    pub lease_ms: u64,
}

/// The value of a witness's record: who has which lease. When a lease was renewed is not written:
/// a witness that starts counts every lease from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// The store of the witness. A witness that lost its store does not know what it gave out.
    pub store: StoreId,
    /// By service and slot. At most [`GRANTS_MAX`].
    pub given: BTreeMap<(ServiceId, Slot), Grant>,
}

impl Grants {
    /// Nothing given out.
    pub fn none(store: StoreId) -> Grants {
        Grants { store, given: BTreeMap::new() }
    }
}

/// The most leases that one witness gives out: at most 60 bytes each, 60 KB of the 64 KiB of a
/// value. Beyond them nothing is granted.
pub const GRANTS_MAX: usize = 1_000;

impl RecordKey {
    /// The key of a witness's record of leases.
    pub fn grants(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::GRANTS, id, &[])
    }
}
