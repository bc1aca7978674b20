//! The revision of the node's state: how often the node has settled, which it does only when
//! something changed or was due.
//!
//! The node's thread copies nothing for it: a reader who wants the changes reads the state. That
//! time passes is no change and raises no revision.

use tokio::sync::{mpsc, watch};

use super::command::{Command, Unanswered};

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

    /// The current revision. Everything that is read after this call is at least as new.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Waits until the revision differs from that at its last return (at first: from that when this
    /// value was made). Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<(), Unanswered> {
        tokio::select! {
            changed = self.revision.changed() => changed.map_err(|_| Unanswered::Ending),
            () = self.commands.closed() => Err(Unanswered::Ending),
        }
    }
}
