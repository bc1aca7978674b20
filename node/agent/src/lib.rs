//! The agent: one pure node and everything that it needs from the machine. It decides nothing, and
//! contains neither HTTP nor a command line: those use its [`Handle`].
//!
//! ```text
//!  thread "main": API, signals, logs ──Handle──▶ thread "node": the node, its timer, all sockets
//!                                                  │ batches        ▲ run events
//!                                                  ▼                │
//!                                  thread "store": the disk   the runtime's own thread
//! ```
//! The node's thread never waits for a disk, a peer or a request, so that its failure detector is
//! on time. When the agent ends, tasks continue; the next agent finds them.

mod applying;
mod audit;
mod audit_log;
pub mod capabilities;
mod clock;
mod collector;
mod command;
mod conditions;
pub mod config;
mod devices;
mod discovery;
mod facts;
mod file_data;
mod file_templates;
mod fleet_key;
mod handle;
mod history;
pub mod identity;
pub mod images;
pub mod join_token;
mod joining;
mod local_runs;
pub mod lock;
mod logs;
mod machine;
pub mod memory;
mod name_said;
mod names;
mod neighbours;
mod networks;
mod node;
mod opening;
mod own_addresses;
mod path_failure;
mod path_row;
mod peer_clocks;
mod peer_requests;
pub mod quarantine;
mod refused;
pub mod rekey;
mod revision;
mod route;
mod run_request;
mod run_use;
mod sealing;
pub mod secrets;
mod sessions;
mod shared;
mod start;
pub mod store;
mod token_join;
mod token_service;
pub mod transport;
mod volumes;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use audit::AuditUnsaid;
pub use audit_log::{AuditEntry, AuditLog};
pub use collector::users;
pub use command::Unanswered;
pub use discovery::NotFound;
pub use handle::{Handle, NotTakenOver, Traffic};
pub use images::{ImagePuller, Pinned};
pub use joining::Unresolved;
pub use logs::{LogNews, LogStream, LogsGone};
pub use name_said::NameSaid;
pub use names::{NAME_ADDRESSES_MAX, NamesUnsaid};
pub use opening::AgentStartError;
pub use overlay::paths::fault::{FaultyPath, Narrow, PathFault};
pub use path_failure::PathFailure;
pub use path_row::{PathReach, PathRow};
pub use revision::Changes;
pub use sessions::{RunSession, SessionGone, SessionWriter};
pub use volumes::{NotRemoved, VolumeRemoval};

use config::Config;
use lock::Unlocked;

/// A running agent without its API; dropping it ends the agent, and no task.
pub struct Agent {
    handle: Handle,
    ended: oneshot::Receiver<ExitReason>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Background work beside the node; ends with it.
    upkeep: JoinSet<()>,
}

/// Why an agent ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// It got an order to stop.
    Stopped,
    /// It has left the fleet.
    Departed,
    /// Operators removed it from the fleet.
    Removed {
        /// The host name of the node where the operators did it, or its id.
        by: String,
    },
    /// Another machine has the key of this node, and began earlier.
    Quarantined,
    /// An assertion failed; a supervisor should start it again.
    Crashed,
}

impl Agent {
    /// Opens everything and starts, with the keys of the node if they were sealed. To be called in the
    /// runtime that is to read logs.
    pub async fn start(
        config: Config,
        unlocked: Option<Unlocked>,
    ) -> Result<Agent, AgentStartError> {
        start::start(config, unlocked).await
    }

    /// Access to the node.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the agent ends by itself, or has to.
    pub async fn ended(&mut self) -> ExitReason {
        let mut quarantined = self.handle.shared.quarantined.clone();
        tokio::select! {
            reason = &mut self.ended => reason.unwrap_or(ExitReason::Crashed),
            Ok(_) = quarantined.wait_for(|is| *is) => ExitReason::Quarantined,
        }
    }

    /// Ends the agent: waiting writes are done, peers are notified, tasks continue.
    pub async fn stop(mut self) {
        self.upkeep.abort_all();
        self.handle.stop().await;
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
