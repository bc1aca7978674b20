//! What a node says of itself, and what operators set on it.
//!
//! Nothing here says whether a node is alive: that is no record, and a verdict never changes one.

use serde::{Deserialize, Serialize};

use crate::spec::{Labels, Resources};
use crate::stamp::Stamp;

/// The value of a node's own record. Nothing that changes by itself belongs here: an idle fleet
/// writes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Host name.
    pub hostname: String,
    /// `linux`.
    pub os: String,
    /// As Docker spells it: `x86_64`, `aarch64`, `armv7l`.
    pub arch: String,
    /// What the machine has.
    pub resources: Resources,
    /// Labels from the config file (`engine.labels.*`).
    pub engine_labels: Labels,
    /// Version of the agent.
    pub engine_version: String,
    /// Where it listens, best first (`ip:port`); hints, the address of a node roams.
    pub addresses: Vec<String>,
    /// When it first wrote this record.
    pub joined: Stamp,
    /// It left of its own accord and runs nothing.
    pub left: bool,
}

/// May a node take tasks?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Availability {
    /// Yes.
    #[default]
    Active,
    /// It keeps those it has and takes no others.
    Pause,
    /// Its tasks go elsewhere.
    Drain,
}
