//! Stamps: who wrote, and after which writes. The order of stamps decides between concurrent
//! writes.
//!
//! A stamp never holds a time of day; the wall clock is stored beside it, for display only.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, StoreId};

/// The actor of a causal clock: a node together with the store that its counters belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Writer {
    /// The node that writes.
    pub node: NodeId,
    /// The store it writes from.
    pub store: StoreId,
}

/// The order of writes: the highest Lamport counter wins, then the highest node id, then the
/// store. The same on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Greater than the counter of every write that the writer had seen.
    pub lamport: u64,
    /// Who wrote.
    pub writer: Writer,
}
