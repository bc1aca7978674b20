//! What a node reports of the conditions in which it cannot start tasks.
//!
//! The report is a record of its own, written when a condition begins and when it ends. A node that
//! never had a condition has no such record. The text of a condition must not change while the
//! condition lasts, because every change is a write.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};

/// The most conditions of one node at a time; readers ignore any beyond that.
pub const CONDITIONS_MAX: usize = 8;

/// The most bytes of a condition's word or sentence; readers cut the rest.
pub const TEXT_BYTES_MAX: usize = 256;

/// The value of a node's record of conditions: for each condition a stable word and a sentence for
/// people. Empty: the node can start tasks.
pub type NodeConditions = BTreeMap<String, String>;

impl RecordKey {
    /// The key of a node's record of conditions.
    pub fn conditions(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::CONDITIONS, id, &[])
    }
}
