//! What plans and names of networks are made from.

use super::Node;
use crate::addressing::{Addressing, LiveTask};
use crate::catalog::Catalog;

impl Node {
    /// Why this node takes part in no encrypted network; empty: it can.
    pub fn tunnel_refusal(&self) -> String {
        self.catalog().networks.no_tunnel(self.me()).unwrap_or_default().to_owned()
    }

    /// The records, decoded.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.planner.catalog()
    }

    /// How often something changed on which the plan for networks, or a name, may depend.
    pub fn network_changes(&self) -> u64 {
        self.network_changes
    }

    /// The addresses of this node's tasks.
    pub fn addressing(&self) -> &Addressing {
        &self.addressing
    }

    /// The tasks of this node that have not ended.
    pub fn live_tasks(&self) -> Vec<LiveTask> {
        self.reconciler.live_tasks()
    }
}
