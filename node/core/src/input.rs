//! What a node is told, and what it orders.
//!
//! Inputs are facts of the past, actions are imperatives. The agent performs actions in the order
//! in which they are given: a `Persist` comes before everything that depends on it, and what
//! depends on it is held back by the node until `Persisted` says that it is on disk.

use std::net::SocketAddr;

use crdt_state::condition::NodeConditions;
use crdt_state::task::{Run, RunEvent, TaskStart};
use crdt_state::volume::NodeVolumes;
use crdt_state::{NodeId, RecordKey};
use serde::{Deserialize, Serialize};

use crate::edit::{Edit, Edited, Refusal};
use crate::event::Event;

/// A fact.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Input {
    /// A sealed datagram was opened.
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// What was in it.
        bytes: Vec<u8>,
    },
    /// A reliable message arrived from an authenticated peer.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it said.
        bytes: Vec<u8>,
    },
    /// A handshake succeeded, begun by either side.
    Connected {
        /// With whom.
        node: NodeId,
        /// Where.
        addr: SocketAddr,
    },
    /// A reliable message could not be delivered.
    Undelivered {
        /// To whom.
        to: NodeId,
    },
    /// The deadline passed; late is as good as on time.
    TimerFired,
    /// An operator wants this node to join the fleet at an address.
    Join {
        /// Of any member.
        addr: SocketAddr,
    },
    /// An operator wants this node to leave the fleet: its tasks are stopped.
    Leave,
    /// An operator wants a change.
    Edit {
        /// Names the answer.
        ticket: u64,
        /// The change.
        edit: Box<Edit>,
    },
    /// Somebody waits until everything that changed so far is on disk.
    Flush {
        /// Names the answer.
        ticket: u64,
    },
    /// A runtime reports.
    Run {
        /// Of which run.
        run: Run,
        /// What happened.
        event: RunEvent,
    },
    /// The named volumes on this node's disk, all of them.
    VolumesFound(NodeVolumes),
    /// A volume was removed from this node's disk, as an operator wanted.
    VolumeRemoved {
        /// Its name.
        name: String,
    },
    /// The machine was looked at: everything that keeps it from starting tasks.
    ConditionsFound(NodeConditions),
    /// Everything up to this `Persist` is on disk.
    Persisted {
        /// Which.
        seq: u64,
    },
}

/// An order.
#[derive(Debug, Clone)]
pub enum Action {
    /// Seal and send; may be lost.
    SendDatagram {
        /// To whom.
        to: NodeId,
        /// Where.
        addr: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Send reliably; answered by `Undelivered` if it fails.
    SendMessage {
        /// To whom.
        to: NodeId,
        /// Where.
        addr: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Shake hands with whoever is there; answered by `Connected`, or not at all.
    Connect {
        /// Where.
        addr: SocketAddr,
    },
    /// Write in one transaction; answered by `Persisted`. Only one is under way at a time.
    Persist {
        /// Names the answer.
        seq: u64,
        /// Records as they now are.
        puts: Vec<(RecordKey, Vec<u8>)>,
        /// Records that are forgotten.
        drops: Vec<RecordKey>,
    },
    /// Run a task; answered by `Run` events.
    StartRun(Box<TaskStart>),
    /// Ask a run to end, and kill it after the grace.
    StopRun {
        /// Which.
        run: Run,
        /// `SIGTERM` unless given.
        signal: Option<String>,
        /// How long it may take.
        grace_ms: u64,
    },
    /// The files of an ended run are no longer wanted.
    ForgetRun {
        /// Which.
        run: Run,
    },
    /// The answer to an `Edit`; what it acknowledges is on disk.
    Answer {
        /// Which.
        ticket: u64,
        /// Done, or refused with nothing changed.
        result: Result<Edited, Refusal>,
    },
    /// Something an operator may want to know.
    Event(Event),
    /// The node has left the fleet: its tasks have ended, and it said goodbye.
    Departed,
}
