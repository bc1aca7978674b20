//! What a node tells of its networks as events of its own.

use crdt_state::{NetworkId, NodeId};
use node_core::{Event, Subject};
use overlay::paths::fault::FaultyPath;
use overlay::plan::{LocalNetwork, OverlayPlan};

use super::repair::Repair;

/// A sentence of the kernel's side, which knows networks by their ids, for people.
pub(super) fn named(text: &str, plan: &OverlayPlan) -> String {
    let name = |text: String, (id, network): (&NetworkId, &LocalNetwork)| {
        text.replace(&format!("network {id}"), &format!("network {}", network.name))
    };
    plan.networks.iter().fold(text.to_owned(), name)
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum NetworkNews {
    /// What somebody else changed was made again.
    Repaired(Repair),
    /// Something is not as planned, as a sentence.
    FailureBegan(String),
    /// It is not so any more.
    FailureEnded(String),
    /// Tasks notice something of a path.
    PathFailureBegan(FaultyPath),
    /// They do not any more.
    PathFailureEnded(FaultyPath),
}

impl NetworkNews {
    /// The event that tells it. `name_of` says how a node is called.
    pub(in super::super) fn event(
        &self,
        subject: Subject,
        name_of: impl Fn(NodeId) -> String,
        wall_ms: u64,
    ) -> Event {
        let named = |path: &FaultyPath| path.fault.sentence(&name_of(path.node), "");
        let (action, what) = match self {
            NetworkNews::Repaired(repair) => return repair.event(subject, wall_ms),
            NetworkNews::FailureBegan(what) => ("failure", what.clone()),
            NetworkNews::FailureEnded(what) => ("recovery", what.clone()),
            NetworkNews::PathFailureBegan(path) => ("failure", named(path)),
            NetworkNews::PathFailureEnded(path) => ("recovery", named(path)),
        };
        Event { subject, action, attributes: vec![("what", what)], wall_ms }
    }
}
