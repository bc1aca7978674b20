//! A node as the planner sees it.
//!
//! A plain value without any constraint or service in it: both are compared with it elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::NodeId;
use crdt_state::node::Availability;
use crdt_state::spec::{Labels, Resources};
use crdt_state::volume::Holding;

/// May a node's tasks be given to others?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Alive, suspect, or unreachable for less than the failover delay.
    Here,
    /// Unreachable for longer.
    Gone,
}

/// A node as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Which.
    pub id: NodeId,
    /// Is it there?
    pub presence: Presence,
    /// What operators allow.
    pub availability: Availability,
    /// Host name.
    pub hostname: String,
    /// `linux`.
    pub os: String,
    /// Docker's spelling.
    pub arch: String,
    /// Set by operators.
    pub labels: Labels,
    /// From the config file.
    pub engine_labels: Labels,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// What it has; an amount of 0 is unknown and never the reason to refuse a task.
    pub resources: Resources,
    /// The named volumes that it holds.
    pub volumes: BTreeMap<String, Holding>,
    /// Why it cannot start tasks, as it says itself; `None`: it can.
    pub unable: Option<String>,
}

impl NodeView {
    /// A node of which nothing is known but that it is here.
    pub fn new(id: NodeId) -> NodeView {
        NodeView {
            id,
            presence: Presence::Here,
            availability: Availability::Active,
            hostname: String::new(),
            os: String::new(),
            arch: String::new(),
            labels: Labels::new(),
            engine_labels: Labels::new(),
            ips: Vec::new(),
            resources: Resources::default(),
            volumes: BTreeMap::new(),
            unable: None,
        }
    }
}
