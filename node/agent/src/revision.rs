//! The revision of what the node knows: a number that grows when a settling changed something.
//!
//! The node's thread compares and counts, and copies nothing: whoever wants to see what changed
//! reads it. What changes with the time alone (for how long a node has been silent, the end of a
//! monitor time) raises no revision.

use crdt_state::NodeId;
use crdt_state::digest::Digest;
use gossip::{MemberState, Now};
use node_core::Node;
use tokio::sync::{mpsc, watch};

use super::command::{Command, Unanswered};

/// What one revision is told from the next by. Small beside the state: one digest, and a line per
/// member.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Of all records: those of services, tasks, nodes and images.
    records: Digest,
    /// Records that are held and not read; one that is let in changes no digest.
    unread: usize,
    /// In the order of the membership.
    members: Vec<(NodeId, MemberState, Now)>,
}

impl Fingerprint {
    /// Takes the node's present one; whether it is another than before.
    pub(super) fn update(&mut self, node: &Node) -> bool {
        let (records, unread) = (node.replica().digest(), node.replica().unfit().count());
        let members =
            || node.gossip().members().map(|member| (member.id, member.state, member.since));
        let is_same = self.records == records
            && self.unread == unread
            && self.members.iter().copied().eq(members());
        if !is_same {
            *self = Fingerprint { records, unread, members: members().collect() };
        }
        !is_same
    }
}

/// Tells a reader that the node's state has another revision than the one it has seen.
pub struct Changes {
    revision: watch::Receiver<u64>,
    /// Closed when the node's thread has ended.
    commands: mpsc::Sender<Command>,
}

impl Changes {
    pub(super) fn new(revision: watch::Receiver<u64>, commands: mpsc::Sender<Command>) -> Changes {
        Changes { revision, commands }
    }

    /// The present revision. What is read after this call is at least as new.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Waits until the revision is another than at the last return of this, at first than when this
    /// was made. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<(), Unanswered> {
        tokio::select! {
            changed = self.revision.changed() => changed.map_err(|_| Unanswered::Ending),
            () = self.commands.closed() => Err(Unanswered::Ending),
        }
    }
}
