//! A path to another node of which tasks notice something, and since when.

use std::time::{Duration, Instant};

use overlay::paths::fault::FaultyPath;

/// A faulty path of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFailure {
    /// What is wrong, with whom, and the networks that notice it.
    pub path: FaultyPath,
    /// Since when.
    pub since: Instant,
}

impl PathFailure {
    /// For how long it has been so.
    pub fn lasts(&self) -> Duration {
        self.since.elapsed()
    }

    /// Is it the same fault of the same path?
    pub(crate) fn is_like(&self, other: &PathFailure) -> bool {
        self.path.node == other.path.node && self.path.fault.is_like(other.path.fault)
    }

    /// What is wrong, with the other node's id.
    pub(crate) fn what(&self) -> String {
        self.path.fault.sentence(&self.path.node.to_string(), "")
    }
}
