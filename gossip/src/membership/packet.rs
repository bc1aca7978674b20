//! A packet of the failure detector, taken apart and put together again.
//!
//! foca's packets are a header, a count and so many updates. They are opened before foca sees them,
//! so that an update that must not count (about a superseded identity, a verdict that is doubted)
//! never reaches it; and written by hand where foca has no call for what is to be said.

use bytes::{Buf, BufMut};
use foca::{Codec as _, Header, Member, Message, State};

use super::codec::Codec;
use crate::Identity;

/// The most that foca may write, never changed while it runs. Behind its updates travel their
/// addresses: (800 - 47) / 23 = 32 updates, 32 × 9 bytes of IPv4 addresses, 12 bytes of envelope:
/// 1,100 bytes. With IPv6 (21 bytes) the last 15 addresses do not fit and are learned by exchange.
pub(crate) const PACKET_BYTES_MAX: usize = 800;

/// A packet that can be read and changed.
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

    /// Reads a packet; `None` if it is none, or has bytes left over.
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

    /// Writes it as foca does: announcements and the word that one is held for gone carry no count.
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

/// Is this a state in which a member counts as there?
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
