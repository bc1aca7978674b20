//! The messages between two machines: one enum, encoded by `crdt_state::wire` behind its version
//! byte, frozen per version.
//!
//! Every message names its sender, so that an answer needs no session state. No message may depend
//! on the arrival of an earlier one.

use std::net::SocketAddr;

use crdt_state::{Delta, Digest, NodeId, RecordKey, TreePath, wire};
use serde::{Deserialize, Serialize};

use crate::output::{DATAGRAM_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::{Identity, JunkReason, MemberState, Traffic};

/// A member as it is sent to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) identity: Identity,
    pub(crate) incarnation: u16,
    pub(crate) state: MemberState,
    /// The address at which the sender reaches it; `None` for the sender itself, or if unknown.
    pub(crate) addr: Option<SocketAddr>,
}

/// A place in the digest tree with the digests of its 16 branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) path: TreePath,
    pub(crate) digests: [Digest; 16],
}

/// A place in the digest tree with all records at or below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leaf {
    pub(crate) path: TreePath,
    pub(crate) records: Vec<(RecordKey, Digest)>,
}

/// A part of a place in the digest tree: a range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeafRange {
    pub(crate) path: TreePath,
    /// Excluded from the range; `None`: from the first key.
    pub(crate) after: Option<RecordKey>,
    /// Included in the range; `None`: to the last key.
    pub(crate) until: Option<RecordKey>,
}

impl LeafRange {
    pub(crate) fn has(&self, key: &RecordKey) -> bool {
        self.after.is_none_or(|after| *key > after) && self.until.is_none_or(|until| *key <= until)
    }
}

/// Does the sender of a member list want the receiver's?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Wanted,
    NotWanted,
}

/// One datagram or reliable message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// A packet of the failure detector, which names its sender itself. `addrs` has the addresses
    /// of the members in its updates, in the same order. If the packet relays an answer, the
    /// address of the member that gave it comes last.
    Swim {
        #[serde(with = "plain")]
        packet: Vec<u8>,
        addrs: Vec<Option<SocketAddr>>,
    },
    /// The good-bye of `who`, from `who` itself or passed on.
    Leaving { from: NodeId, who: Identity },
    /// The sender's digests of members and records, to be compared. No answer means that both are
    /// equal.
    Compare { from: NodeId, view: u64, root: Digest },
    /// Places in the digest tree where the sender found a difference.
    Tree { from: NodeId, levels: Vec<Level> },
    /// Places with few records where the sender found a difference.
    Leaves { from: NodeId, leaves: Vec<Leaf> },
    /// Records that differ, and the keys of those that the sender asks for.
    Records { from: NodeId, delta: Delta, wanted: Vec<RecordKey> },
    /// Records that just changed.
    Rumour { from: NodeId, delta: Delta },
    /// All members, or a part of them.
    Members { from: NodeId, entries: Vec<Entry>, answer: Answer },
    /// The records of one place between two keys, if the place has too many for one message.
    LeafPart { from: NodeId, range: LeafRange, records: Vec<(RecordKey, Digest)> },
}

/// The message by which `from` pushes records as a rumour: for code that plays a member, as the
/// simulator does.
pub fn encode_rumour(from: NodeId, delta: Delta) -> Vec<u8> {
    Message::Rumour { from, delta }.encode()
}

impl Message {
    /// The version byte and the message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a datagram.
    pub(crate) fn decode_datagram(bytes: &[u8]) -> Result<Message, JunkReason> {
        decode(bytes, DATAGRAM_BYTES_MAX)
    }

    /// Reads a reliable message.
    pub(crate) fn decode_message(bytes: &[u8]) -> Result<Message, JunkReason> {
        decode(bytes, MESSAGE_BYTES_MAX)
    }

    /// The sender; `None` for the failure detector's packets.
    pub(crate) fn from(&self) -> Option<NodeId> {
        match self {
            Message::Swim { .. } => None,
            Message::Leaving { from, .. }
            | Message::Compare { from, .. }
            | Message::Tree { from, .. }
            | Message::Leaves { from, .. }
            | Message::Records { from, .. }
            | Message::Rumour { from, .. }
            | Message::LeafPart { from, .. }
            | Message::Members { from, .. } => Some(*from),
        }
    }

    /// The kind under which it is counted.
    pub(crate) fn traffic(&self) -> Traffic {
        match self {
            Message::Swim { .. } => Traffic::Swim,
            Message::Leaving { .. } => Traffic::Leave,
            Message::Compare { .. } => Traffic::Compare,
            Message::Tree { .. } | Message::Leaves { .. } | Message::LeafPart { .. } => {
                Traffic::Tree
            }
            Message::Records { .. } => Traffic::Records,
            Message::Rumour { .. } => Traffic::Rumour,
            Message::Members { .. } => Traffic::Members,
        }
    }
}

/// Serializes bytes as one byte string: the same encoding as a sequence of numbers, without a call
/// for each number.
mod plain {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_bytes(Bytes)
    }
}

fn decode(bytes: &[u8], bytes_max: usize) -> Result<Message, JunkReason> {
    if bytes.len() > bytes_max {
        return Err(JunkReason::Oversize);
    }
    wire::decode_within::<Message>(bytes, bytes_max).map_err(|_| JunkReason::Undecodable)
}

/// A packet of the failure detector with as many of its addresses as a datagram carries. An address
/// that is left out is learned when member lists are exchanged.
pub(crate) fn swim(packet: Vec<u8>, mut addrs: Vec<Option<SocketAddr>>) -> Message {
    // Version, kind, two lengths; 21 bytes for the longest address.
    let room = DATAGRAM_BYTES_MAX.saturating_sub(packet.len() + 8) / 21;
    addrs.truncate(room.max(addrs_v4_only(&addrs, packet.len())));
    while addrs.last().is_some_and(Option::is_none) {
        addrs.pop();
    }
    Message::Swim { packet, addrs }
}

/// How many addresses fit if all are IPv4, at 9 bytes each; 0 if one is not.
fn addrs_v4_only(addrs: &[Option<SocketAddr>], packet_bytes: usize) -> usize {
    if addrs.iter().flatten().any(SocketAddr::is_ipv6) {
        return 0;
    }
    DATAGRAM_BYTES_MAX.saturating_sub(packet_bytes + 8) / 9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::PACKET_BYTES_MAX;

    #[test]
    fn a_full_packet_with_its_addresses_fits_into_a_datagram() {
        for addr in ["10.0.0.1:7946", "[2001:db8::1]:7946"] {
            let addr: SocketAddr = addr.parse().unwrap();
            let message = swim(vec![7; PACKET_BYTES_MAX], vec![Some(addr); 40]);
            let bytes = message.encode();
            assert!(bytes.len() <= DATAGRAM_BYTES_MAX, "{} bytes", bytes.len());
            assert_eq!(Message::decode_datagram(&bytes), Ok(message));
        }
    }

    #[test]
    fn a_comparison_is_small() {
        let compare =
            Message::Compare { from: NodeId([255; 16]), view: u64::MAX, root: Digest([255; 16]) };
        assert!(compare.encode().len() <= 80, "the arithmetic of the profiles rests on this");
    }

    #[test]
    fn bytes_of_another_version_are_junk() {
        let mut bytes = Message::Rumour { from: NodeId([1; 16]), delta: Delta::default() }.encode();
        bytes[0] = 99;
        assert_eq!(Message::decode_datagram(&bytes), Err(JunkReason::Undecodable));
        assert_eq!(Message::decode_message(&[]), Err(JunkReason::Undecodable));
        assert_eq!(
            Message::decode_datagram(&[1; DATAGRAM_BYTES_MAX + 1]),
            Err(JunkReason::Oversize)
        );
    }
}
