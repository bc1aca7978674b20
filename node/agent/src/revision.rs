//! The revision of what the node knows: how often it has settled, which it does only when something
//! changed or was due.
//!
//! The node's thread copies nothing for it: whoever wants to see what changed reads it. How long ago
//! something was is no change and raises no revision.

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
