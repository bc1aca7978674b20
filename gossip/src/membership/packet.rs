//! Decoding and encoding of the failure detector's packets.
//!
//! A packet of foca is a header, a count and that many updates. It is decoded before foca sees it,
//! so that an update that must not count never reaches foca: one about a superseded identity, or a
//! verdict that is doubted. Packets for which foca offers no call are written here.

use bytes::{Buf, BufMut};
use foca::{Codec as _, Header, Member, Message, State};

use super::codec::Codec;
use crate::Identity;

/// The largest packet that foca may write; constant while foca runs. The addresses of the updates
/// follow the packet: (800 - 47) / 23 = 32 updates, 32 × 9 bytes of IPv4 addresses, 12 bytes of
/// envelope: 1,100 bytes. With IPv6 (21 bytes) the last 15 addresses do not fit and are learned
/// when member lists are exchanged.
pub(crate) const PACKET_BYTES_MAX: usize = 800;

/// A decoded packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) header: Header<Identity>,
    pub(crate) updates: Vec<Member<Identity>>,
}

impl Packet {
    /// A packet with one update or none, written by this node and not by foca.
    pub(crate) fn new(header: Header<Identity>, update: Option<Member<Identity>>) -> Packet {
        Packet { header, updates: update.into_iter().collect() }
    }

    /// Decodes a packet. `None` if the bytes are no packet, or if bytes are left over.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Packet> {
        if bytes.len() > PACKET_BYTES_MAX {
            return None;
        }
        let header = Codec.decode_header(&mut bytes).ok()?;
        let mut updates = Vec::new();
        if bytes.remaining() >= 2 && header.message != Message::Broadcast {
            for _ in 0..bytes.get_u16() {
                updates.push(Codec.decode_member(&mut bytes).ok()?);
            }
        }
        (!bytes.has_remaining()).then_some(Packet { header, updates })
    }

    /// Encodes the packet as foca does: `Announce`, `TurnUndead` and `Broadcast` carry no count.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 24 * self.updates.len());
        Codec.encode_header(&self.header, &mut bytes).expect("a header is below the item limit");
        if !matches!(
            self.header.message,
            Message::Announce | Message::TurnUndead | Message::Broadcast
        ) {
            bytes.put_u16(self.updates.len() as u16);
            for update in &self.updates {
                Codec.encode_member(update, &mut bytes).expect("a member is below the item limit");
            }
        }
        bytes
    }
}

/// Does a member in this state count as active?
pub(crate) fn is_active(state: State) -> bool {
    matches!(state, State::Alive | State::Suspect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::NodeId;

    fn identity(n: u8) -> Identity {
        Identity::at_boot(NodeId([n; 16]), 1)
    }

    #[test]
    fn a_packet_reads_back_and_a_ping_is_small() {
        let header = Header {
            src: identity(1),
            src_incarnation: 3,
            dst: identity(2),
            message: Message::Ping(9),
        };
        let bare = Packet::new(header.clone(), None);
        assert_eq!(Packet::decode(&bare.encode()), Some(bare.clone()));
        assert_eq!(bare.encode().len(), 47, "the arithmetic of the profiles rests on this");
        let update = Member::new(identity(3), 4, State::Suspect);
        let packet = Packet::new(header, Some(update));
        assert_eq!(Packet::decode(&packet.encode()), Some(packet));
    }

    #[test]
    fn a_packet_cut_anywhere_is_none() {
        let header = Header {
            src: identity(1),
            src_incarnation: 3,
            dst: identity(2),
            message: Message::Gossip,
        };
        let bytes = Packet::new(header, Some(Member::down(identity(3)))).encode();
        for cut in 0..bytes.len() {
            let packet = Packet::decode(&bytes[..cut]);
            assert!(packet.is_none_or(|p| p.updates.is_empty()), "cut at {cut}");
        }
    }
}
