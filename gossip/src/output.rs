//! What the machine asks its host to do, and why bytes from outside were dropped.

use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey};

use crate::MemberEvent;

/// The largest reliable message; larger contents are sent in parts.
pub const MESSAGE_BYTES_MAX: usize = crdt_state::wire::MESSAGE_BYTES_MAX;

/// The largest datagram before sealing. The path is only sure to carry 1,280 bytes (IPv6). Without
/// 40 IP, 8 UDP and 32 of the seal that leaves 1,200; a little less is used.
pub const DATAGRAM_BYTES_MAX: usize = 1_180;

/// What the machine asks its host to do. The host must keep the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A datagram that need not wait for the disk: sent at once, always.
    Swim {
        /// The receiver.
        to: NodeId,
        /// The address of the receiver.
        addr: SocketAddr,
        /// Not yet sealed, at most [`DATAGRAM_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A datagram that carries state: held back until the writes before it are on disk.
    Datagram {
        /// The receiver.
        to: NodeId,
        /// The address of the receiver.
        addr: SocketAddr,
        /// Not yet sealed, at most [`DATAGRAM_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A reliable message; held back in the same way.
    Message {
        /// The receiver.
        to: NodeId,
        /// The address of the receiver.
        addr: SocketAddr,
        /// At most [`MESSAGE_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A handshake is requested. The host answers with `handle_connected`, or not at all if it
    /// fails.
    Connect {
        /// The address of the peer.
        addr: SocketAddr,
    },
    /// The membership changed.
    Member(MemberEvent),
    /// These records changed by a merge of records from others. The host passes them to
    /// `on_changed` when it has stored them, so that they spread further.
    Merged(Vec<RecordKey>),
    /// Something from outside was dropped.
    Junk(JunkReason),
}

/// Why bytes from outside were dropped. Each is counted, none is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JunkReason {
    /// Not a message of this version.
    Undecodable,
    /// More bytes than a sender may send.
    Oversize,
    /// It claims to come from this node.
    FromMyself,
    /// It names another sender than the node that it came from, which has proved who it is.
    WrongSender,
    /// The failure detector rejected it.
    Swim,
    /// The sender was removed from the fleet's view and has not come back with a new generation.
    Forgotten,
    /// The sender was removed from the fleet, for ever.
    Evicted,
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
            JunkReason::Evicted => "evicted",
            JunkReason::Record => "record",
        }
    }
}
