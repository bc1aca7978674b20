//! A node's own description, and what operators set on a node.
//!
//! Nothing here says whether a node is alive: liveness is not a record, and a verdict never changes
//! a record.

use serde::{Deserialize, Serialize};

use crate::spec::{Labels, Resources};
use crate::stamp::Stamp;

/// The value of a node's own record. It must hold nothing that changes by itself, because an idle
/// fleet writes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Host name.
    pub hostname: String,
    /// `linux`.
    pub os: String,
    /// As Docker spells it: `x86_64`, `aarch64`, `armv7l`.
    pub arch: String,
    /// The resources of the machine.
    pub resources: Resources,
    /// Labels from the config file (`engine.labels.*`).
    pub engine_labels: Labels,
    /// Version of the agent.
    pub engine_version: String,
    /// The addresses that it listens on, best first (`ip:port`). They are hints, because a node's
    /// address may change.
    pub addresses: Vec<String>,
    /// When it first wrote this record.
    pub joined: Stamp,
    /// It left the fleet by its own decision and runs nothing.
    pub left: bool,
}

/// May a node take tasks?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Availability {
    /// Yes.
    #[default]
    Active,
    /// It keeps the tasks it has and takes no others.
    Pause,
    /// Its tasks are moved to other nodes.
    Drain,
}
