//! Events: what happened, for `events` and for the log.
//!
//! Events are derived from state that every node has: no fact is known from an event alone. The
//! exception is what a node repaired on its own machine, which is over when it is told.

use crdt_state::{FileId, NetworkId, NodeId, ServiceId, TaskId};

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A service.
    Service {
        /// Its id.
        id: ServiceId,
        /// Its name.
        name: String,
    },
    /// A network of the fleet.
    Network {
        /// Its id.
        id: NetworkId,
        /// Its name.
        name: String,
    },
    /// A config or a secret.
    File {
        /// Its id.
        id: FileId,
        /// Its name.
        name: String,
    },
    /// A node.
    Node {
        /// Its id.
        id: NodeId,
        /// Its host name, if known.
        name: String,
    },
    /// A task of this node.
    Task {
        /// Its id.
        id: TaskId,
        /// Its name: `web.1`.
        name: String,
    },
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What the event is about.
    pub subject: Subject,
    /// Docker's name of the action, where Docker has one: `create`, `update`, `remove`, `start`,
    /// `die`.
    pub action: &'static str,
    /// Further facts, name and value.
    pub attributes: Vec<(&'static str, String)>,
    /// This node's time of day, milliseconds since 1970. Display only.
    pub wall_ms: u64,
}
