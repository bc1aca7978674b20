//! Commands from other threads to the node's thread, and why one may stay without an answer.

use std::collections::BTreeMap;

use crdt_state::NodeId;
use crdt_state::condition::NodeConditions;
use crdt_state::network::NodeTunnel;
use crdt_state::task::Run;
use gossip::Now;
use node_core::autoscale::RunUse;
use node_core::{Edit, Edited, FoundDevices, NetworkFacts, Node, Refusal};
use runtime::volume::VolumeError;
use tokio::sync::oneshot;

use crate::config::JoinAddr;
use crate::networks::NetworkNews;

/// Why there is no answer from the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing was changed.
    #[error("the agent is ending; start it again: edgectl agent")]
    Ending,
    /// The change is in memory only; it is written and spread when the disk accepts writes again.
    #[error(
        "the change cannot be written: {error}\n  it waits in memory and is tried again; see that \
         the disk is mounted, writable and not full"
    )]
    Disk {
        /// The disk's error.
        error: String,
    },
}

/// Answered when what was asked is refused, or on this node's disk.
pub(super) type Written = oneshot::Sender<Result<Edited, Refusal>>;

/// A closure that reads the node.
pub(super) type Query = Box<dyn FnOnce(&Node, Now) + Send>;

/// A command to the node's thread.
pub(super) enum Command {
    /// To run a query.
    Read(Query),
    /// To change something.
    Edit { edit: Box<Edit>, written: Written },
    /// To contact the node at this address.
    Join(JoinAddr),
    /// To read which volumes are on the disk; answered when the record of them is written.
    ReportVolumes { written: Written },
    /// To remove a volume of this node. `written` is answered when its record is, unless the removal
    /// fails.
    RemoveVolume {
        name: String,
        removed: oneshot::Sender<Result<(), VolumeError>>,
        written: Written,
    },
    /// The conditions of the machine were checked.
    Conditions(NodeConditions),
    /// The machine's own network changed.
    Networks(NetworkFacts),
    /// The addresses by which other nodes reach it changed.
    Addresses(Vec<String>),
    /// Other nodes said what their clocks show.
    Clocks(BTreeMap<NodeId, u64>),
    /// What runs used lately.
    Use(BTreeMap<Run, RunUse>),
    /// Devices of this machine were plugged in or unplugged: all that are there.
    Devices(FoundDevices),
    /// This node's end of the tunnel changed.
    Tunnel(NodeTunnel),
    /// Something happened to this node's networks that is to be told.
    NetworkNews(NetworkNews),
    /// To leave the fleet; answered when it has.
    Leave { done: oneshot::Sender<()> },
    /// To end, with all tasks running.
    Stop,
}
