//! What a node says of conditions in which it cannot start tasks.
//!
//! A record of its own, written when a condition begins and when it ends: a node that never had one
//! has no such record. What is said must not change while a condition lasts.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};

/// Conditions of one node at a time, at most; what is more is not read.
pub const CONDITIONS_MAX: usize = 8;

/// Bytes of a word or a sentence, at most; the rest is not read.
pub const TEXT_BYTES_MAX: usize = 256;

/// The value of a node's record of conditions: a stable word for each, and a sentence for people.
/// Empty: it can start tasks.
pub type NodeConditions = BTreeMap<String, String>;

impl RecordKey {
    /// The key of what a node says of its conditions.
    pub fn conditions(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::CONDITIONS, id, &[])
    }
}
