//! What changed on which plans and names of networks may depend.

use std::collections::BTreeSet;

use crdt_state::{NetworkId, ServiceId};

/// What changed since networks were last brought up to date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkNews {
    /// Anything may have changed.
    pub everything: bool,
    /// The networks that this node takes part in may have changed, or peers.
    pub links: bool,
    /// The networks on which blocks of nodes changed.
    pub claims: BTreeSet<NetworkId>,
    /// The services that may have changed: what they are, their tasks, or the addresses of these.
    pub services: BTreeSet<ServiceId>,
}

impl NetworkNews {
    /// Anything may have changed.
    pub fn everything() -> NetworkNews {
        NetworkNews { everything: true, ..NetworkNews::default() }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        *self == NetworkNews::default()
    }
}
