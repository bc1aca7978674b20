//! A node's report of the named volumes that it holds, and which of them operators gave up.
//!
//! A volume belongs to its node: no other node writes about it. It stays in the node's report even
//! if its disk disappears; only the removal of the volume ends it. Giving up a volume is a setting
//! of the node that operators write, so it takes effect also while the node is silent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};

/// One volume of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFact {
    /// Distinguishes it from an earlier volume of the same name on this node.
    pub id: u64,
    /// The node's time of day when it was created, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
    /// It was on the node's disk before and is not now: not mounted, or lost.
    pub missing: bool,
}

/// The value of a node's record of volumes: by name.
pub type NodeVolumes = BTreeMap<String, VolumeFact>;

/// Ids of volumes of one node that operators gave up: the value of
/// [`crate::spec::Facet::VOLUMES_GIVEN_UP`].
pub type GivenUp = BTreeSet<u64>;

/// Whether a volume that a node reports can be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// It can be mounted.
    Here,
    /// It is not on the node's disk.
    Missing,
    /// Operators gave it up: other nodes may start with an empty volume.
    GivenUp,
}

impl RecordKey {
    /// The key of a node's record of volumes.
    pub fn volumes(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::VOLUMES, id, &[])
    }
}

/// The report of a node after it has looked at its disk: all volumes found there. Volumes that it
/// reported before and that are not there any more are reported as missing.
pub fn merge_found(said: &NodeVolumes, found: &NodeVolumes) -> NodeVolumes {
    let missing = |fact: &VolumeFact| VolumeFact { missing: true, ..fact.clone() };
    let mut merged: NodeVolumes =
        said.iter().map(|(name, fact)| (name.clone(), missing(fact))).collect();
    merged.extend(found.clone());
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(names: &[(&str, u64)]) -> NodeVolumes {
        let fact = |id| VolumeFact { id, created_wall_ms: 7, missing: false };
        names.iter().map(|(name, id)| ((*name).to_owned(), fact(*id))).collect()
    }

    #[test]
    fn what_was_said_and_is_not_found_is_missing_and_not_forgotten() {
        let said = volumes(&[("logs", 1), ("pgdata", 2)]);
        let merged = merge_found(&said, &volumes(&[("logs", 9), ("cache", 3)]));
        assert!(merged["pgdata"].missing && merged["pgdata"].id == 2);
        assert_eq!((merged["logs"].id, merged["logs"].missing), (9, false));
        assert_eq!(merged.len(), 3);
        let back = merge_found(&merged, &said);
        assert!(!back["pgdata"].missing && back["cache"].missing);
    }
}
