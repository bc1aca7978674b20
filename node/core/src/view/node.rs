//! A node as the planner sees it.
//!
//! A plain value that knows no constraint and no service: both are compared with it elsewhere.

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
    /// Its id.
    pub id: NodeId,
    /// Is it present?
    pub presence: Presence,
    /// What operators allow.
    pub availability: Availability,
    /// Host name.
    pub hostname: String,
    /// Operating system: `linux`.
    pub os: String,
    /// Architecture, in Docker's spelling.
    pub arch: String,
    /// Labels set by operators.
    pub labels: Labels,
    /// Labels from the config file.
    pub engine_labels: Labels,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Its resources. 0 bytes of memory or 0 cores mean unknown and are never the reason to refuse
    /// a task.
    pub resources: Resources,
    /// The named volumes that it holds.
    pub volumes: BTreeMap<String, Holding>,
    /// Why it cannot start tasks, as the node itself reports; `None`: it can.
    pub unable: Option<String>,
    /// Why it takes part in no network of the fleet; `None`: it does.
    pub no_networks: Option<String>,
    /// Why it takes part in no encrypted network; `None`: it does.
    pub no_tunnel: Option<String>,
}

impl NodeView {
    /// A node of which only its presence is known.
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
            no_networks: None,
            no_tunnel: None,
        }
    }
}
