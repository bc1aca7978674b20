//! Events: what happened, for `events` and for the log.
//!
//! Derived from state that every node has; an event is never the only way to learn something.

use crdt_state::{NodeId, ServiceId, TaskId};

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A service.
    Service {
        /// Which.
        id: ServiceId,
        /// Its name.
        name: String,
    },
    /// A node.
    Node {
        /// Which.
        id: NodeId,
        /// Its host name, if known.
        name: String,
    },
    /// A task of this node.
    Task {
        /// Which.
        id: TaskId,
        /// `web.1`.
        name: String,
    },
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// About what.
    pub subject: Subject,
    /// Docker's word where it has one: `create`, `update`, `remove`, `start`, `die`.
    pub action: &'static str,
    /// Further facts, name and value.
    pub attributes: Vec<(&'static str, String)>,
    /// This node's time of day, milliseconds since 1970. Display only.
    pub wall_ms: u64,
}
