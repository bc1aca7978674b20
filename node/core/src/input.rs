//! The inputs that a node is given, and the actions that it orders.
//!
//! Inputs are facts of the past, actions are imperatives. The agent performs actions in the order
//! in which they are given. A `Persist` comes before every action that depends on it. The node
//! holds those actions back until `Persisted` reports that the records are on disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crdt_state::condition::NodeConditions;
use crdt_state::network::NodeTunnel;
use crdt_state::task::{Run, RunEvent, TaskStart};
use crdt_state::volume::NodeVolumes;
use crdt_state::{NodeId, PublicKey, RecordKey};
use gossip::Now;
use serde::{Deserialize, Serialize};

use crate::addressing::NetworkFacts;
use crate::autoscale::RunUse;
use crate::devices::FoundDevices;
use crate::edit::file::WrappedKeys;
use crate::edit::{Edit, Edited, Refusal};
use crate::event::Event;
use crate::fleet_keys::{FleetKeyNews, FleetKeyOffer};
use crate::secrets::KeyShare;

/// A fact.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Input {
    /// A sealed datagram was opened.
    Datagram {
        /// Who sealed it.
        sender: NodeId,
        /// Where it came from.
        from: SocketAddr,
        /// What was in it.
        bytes: Vec<u8>,
    },
    /// A reliable message arrived from an authenticated peer.
    Message {
        /// Who sent it.
        from: NodeId,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// A handshake succeeded, begun by either side.
    Connected {
        /// The peer.
        node: NodeId,
        /// Its address.
        addr: SocketAddr,
    },
    /// A reliable message could not be delivered.
    Undelivered {
        /// The receiver.
        to: NodeId,
    },
    /// The deadline passed. A late `TimerFired` has the same effect as one on time.
    TimerFired,
    /// An operator wants this node to join the fleet at an address.
    Join {
        /// The address of any member.
        addr: SocketAddr,
    },
    /// An operator wants this node to leave the fleet: it hands its tasks over and stops the rest.
    Leave,
    /// An operator wants a change.
    Edit {
        /// Identifies the answer.
        ticket: u64,
        /// The change.
        edit: Box<Edit>,
    },
    /// A caller waits until everything that changed so far is on disk.
    Flush {
        /// Identifies the answer.
        ticket: u64,
    },
    /// A runtime reports what happened to a run.
    Run {
        /// Of which run.
        run: Run,
        /// What happened.
        event: RunEvent,
    },
    /// All named volumes on this node's disk.
    VolumesFound(NodeVolumes),
    /// A volume was removed from this node's disk, as an operator wanted.
    VolumeRemoved {
        /// Its name.
        name: String,
    },
    /// The machine's part in networks was looked at.
    NetworksFound(NetworkFacts),
    /// The machine was checked: everything that keeps it from starting tasks.
    ConditionsFound(NodeConditions),
    /// Everything up to this `Persist` is on disk.
    Persisted {
        /// The number of that `Persist`.
        seq: u64,
    },
    /// This node's end of the tunnel was looked at.
    TunnelFound(NodeTunnel),
    /// The addresses by which other nodes reach the machine were looked at: best first.
    AddressesFound(Vec<String>),
    /// Other nodes were asked what their clocks show: milliseconds since 1970, as they are now. Only
    /// schedules go by it.
    ClocksFound(BTreeMap<NodeId, u64>),
    /// What runs of services that are scaled by their load used lately: all that could be measured.
    UseFound(BTreeMap<Run, RunUse>),
    /// The machine was looked at: all devices that are there, of the kinds that are looked for.
    DevicesFound(FoundDevices),
    /// The agent wrapped a secret's key for other nodes, as [`Action::ShareKey`] asked.
    KeysWrapped(WrappedKeys),
}

/// An order.
#[derive(Debug, Clone)]
pub enum Action {
    /// Datagrams are exchanged with the node that has this key from now on.
    Acquaint(PublicKey),
    /// This is the key of the fleet from now on.
    TakeFleetKey(FleetKeyOffer),
    /// What this node keeps on its disk is to be sealed by this key from now on, or by none.
    Seal(FleetKeyNews),
    /// Seal a datagram and send it; it may be lost.
    SendDatagram {
        /// The node that the message was for.
        to: NodeId,
        /// Its address.
        addr: SocketAddr,
        /// The content.
        bytes: Vec<u8>,
    },
    /// Send reliably; answered by `Undelivered` if it fails.
    SendMessage {
        /// The receiver.
        to: NodeId,
        /// Its address.
        addr: SocketAddr,
        /// The content.
        bytes: Vec<u8>,
    },
    /// Begin a handshake with the peer at an address; answered by `Connected`, or not at all.
    Connect {
        /// Its address.
        addr: SocketAddr,
    },
    /// Two machines have the key of a node: tell each of the other one's address.
    TellCopies {
        /// The node.
        node: NodeId,
        /// Where it is heard, in turn.
        addrs: [SocketAddr; 2],
    },
    /// Write in one transaction; answered by `Persisted`. Only one is under way at a time.
    Persist {
        /// Identifies the answer.
        seq: u64,
        /// Records with their current values.
        puts: Vec<(RecordKey, Vec<u8>)>,
        /// Records to delete from the store.
        drops: Vec<RecordKey>,
    },
    /// Run a task; answered by `Run` events.
    StartRun(Box<TaskStart>),
    /// Ask a run to end, and kill it after the grace period.
    StopRun {
        /// The run.
        run: Run,
        /// The signal; `None`: `SIGTERM`.
        signal: Option<String>,
        /// The grace period.
        grace_ms: u64,
    },
    /// A run may live until this time and no longer, whatever becomes of the agent; the last such
    /// order counts, and one that comes before the start counts for the start. [`Now::NEVER`]: as
    /// long as it likes.
    ExpireRun {
        /// The run.
        run: Run,
        /// Until when.
        at: Now,
    },
    /// The files of an ended run are no longer wanted.
    ForgetRun {
        /// The run.
        run: Run,
    },
    /// The answer to an `Edit` or a `Flush`; what it acknowledges is on disk.
    Answer {
        /// The ticket of that input.
        ticket: u64,
        /// Done, or refused with nothing changed.
        result: Result<Edited, Refusal>,
    },
    /// Open the key of a secret and wrap it for other nodes; answered by `KeysWrapped`, or not at all.
    ShareKey(KeyShare),
    /// Something an operator may want to know.
    Event(Event),
    /// The node has left the fleet: its tasks have ended, and it has told the other members.
    Departed,
}
