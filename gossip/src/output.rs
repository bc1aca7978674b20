//! What the machine wants done, and why bytes from outside were dropped.

use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey};

use crate::MemberEvent;

/// The largest reliable message; larger things are sent in parts.
pub const MESSAGE_BYTES_MAX: usize = crdt_state::wire::MESSAGE_BYTES_MAX;

/// The largest datagram before sealing. The path is only sure to carry 1,280 bytes (IPv6); less 40
/// IP, 8 UDP and 32 of the seal leaves 1,200, rounded down.
pub const DATAGRAM_BYTES_MAX: usize = 1_180;

/// What the machine asks of its host. The order is meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A datagram that depends on no stored state: sent at once, always.
    Swim {
        /// For whom.
        to: NodeId,
        /// Where.
        addr: SocketAddr,
        /// Not yet sealed, at most [`DATAGRAM_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A datagram that carries state: held back until the writes before it are on disk.
    Datagram {
        /// For whom.
        to: NodeId,
        /// Where.
        addr: SocketAddr,
        /// Not yet sealed, at most [`DATAGRAM_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A reliable message; likewise held back.
    Message {
        /// For whom.
        to: NodeId,
        /// Where.
        addr: SocketAddr,
        /// At most [`MESSAGE_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A handshake is wanted; answered by `handle_connected` or silence.
    Connect {
        /// With whoever listens here.
        addr: SocketAddr,
    },
    /// The membership changed.
    Member(MemberEvent),
    /// These records changed by what others sent. The host passes them to `on_changed` when it has
    /// them, so that they travel on.
    Merged(Vec<RecordKey>),
    /// Something from outside was dropped.
    Junk(JunkReason),
}

/// Why bytes from outside were dropped. Each is counted, none is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JunkReason {
    /// No message of this version.
    Undecodable,
    /// More bytes than any sender may send.
    Oversize,
    /// It claims to come from this node.
    FromMyself,
    /// It came over a connection of another node than it says.
    WrongSender,
    /// The failure detector could not make sense of it.
    Swim,
    /// The sender was removed from the fleet's view and has not come back as new.
    Forgotten,
    /// A record that could not be merged: undecodable or not signed by its writer.
    Record,
}

impl JunkReason {
    /// One word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            JunkReason::Undecodable => "undecodable",
            JunkReason::Oversize => "oversize",
            JunkReason::FromMyself => "from_myself",
            JunkReason::WrongSender => "wrong_sender",
            JunkReason::Swim => "swim",
            JunkReason::Forgotten => "forgotten",
            JunkReason::Record => "record",
        }
    }
}
