//! What the node's thread is asked by everybody else, and why there may be no answer.

use crdt_state::condition::NodeConditions;
use gossip::Now;
use node_core::{Edit, Edited, Node, Refusal};
use runtime::volume::VolumeError;
use tokio::sync::oneshot;

use crate::config::JoinAddr;

/// Why there is no answer from the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing was changed.
    #[error("the agent is ending; start it again: edgectl agent")]
    Ending,
    /// The change is made in memory alone; it is written and spread when the disk takes it.
    #[error(
        "the change cannot be written: {error}\n  it waits in memory and is tried again; see that \
         the disk is mounted, writable and not full"
    )]
    Disk {
        /// What the disk said.
        error: String,
    },
}

/// A closure that reads the node.
pub(super) type Query = Box<dyn FnOnce(&Node, Now) + Send>;

/// What the node's thread is asked.
pub(super) enum Command {
    /// To run a query.
    Read(Query),
    /// To change something.
    Edit { edit: Box<Edit>, answer: oneshot::Sender<Result<Edited, Refusal>> },
    /// To get to know whoever is there.
    Join(JoinAddr),
    /// To remove a volume of this node.
    RemoveVolume { name: String, answer: oneshot::Sender<Result<(), VolumeError>> },
    /// The machine was looked at.
    Conditions(NodeConditions),
    /// To leave the fleet; answered when it has.
    Leave { done: oneshot::Sender<()> },
    /// To end, with all tasks running.
    Stop,
}
