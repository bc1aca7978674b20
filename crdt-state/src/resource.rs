//! The names of a node's generic resources that have names: `camera` with `back` and `front`.
//!
//! How many there are of each is in the node's description, as for resources without names, and is
//! all that placement counts. The names are a record of their own, written when the agent starts
//! with other ones; a node without such resources has none.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};

/// The most names of one node, over all kinds.
pub const RESOURCE_NAMES_MAX: usize = 1_024;

/// The value of a node's record of named resources: their names by kind.
pub type NamedResources = BTreeMap<String, BTreeSet<String>>;

impl RecordKey {
    /// The key of a node's record of named resources.
    pub fn named_resources(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::NAMED_RESOURCES, id, &[])
    }
}
