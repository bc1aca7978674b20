//! What a node asks that has a version of a stack's file, below `/edge/stacks/NAME`.

use serde::{Deserialize, Serialize};

/// The request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StackAsk {
    /// The version, 64 hexadecimal digits.
    pub version: String,
    /// The version that the node had when it asked last; empty: none.
    pub before: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StackAnswer {
    /// `make`, `finish` (if nobody else does so in a while), `nothing`, or `late` (the fleet has
    /// another version).
    pub task: String,
    /// How often a version was taken.
    pub turn: u64,
    /// Objects are created below `/edge/from-file/ORIGIN`: 32 hexadecimal digits.
    pub origin: String,
}
