//! What a node says of the named volumes that it holds, and which of them operators gave up.
//!
//! A volume is a node's own: nobody else writes of it. It never disappears from what a node says
//! because its disk does; only its removal ends it. What operators give up is a setting of the
//! node, which takes effect also while that is silent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};

/// One volume of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFact {
    /// Tells it from another one that had its name on this node before.
    pub id: u64,
    /// The node's time of day when it was made, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
    /// It was on the node's disk once and is not now: not mounted, or lost.
    pub missing: bool,
}

/// The value of a node's record of volumes: by name.
pub type NodeVolumes = BTreeMap<String, VolumeFact>;

/// Ids of volumes of one node that operators gave up: the value of [`crate::spec::Facet::VOLUMES_GIVEN_UP`].
pub type GivenUp = BTreeSet<u64>;

/// What stands between a node and a volume that it says it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// Nothing: it can be mounted.
    Here,
    /// It is not on the node's disk.
    Missing,
    /// Operators gave it up: others may begin anew.
    GivenUp,
}

impl RecordKey {
    /// The key of what a node says of its volumes.
    pub fn volumes(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::VOLUMES, id, &[])
    }
}

/// What a node says after it has looked at its disk: all that is there, and what it said before and
/// is not there any more, as missing.
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
