//! The messages between a holder and its witnesses.
//!
//! They are no messages of gossip: the first byte is none of its versions, and an agent that knows
//! no leases counts them as junk and grants nothing.

use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, wire};
use serde::{Deserialize, Serialize};

use super::LeaseKey;

/// The first byte.
const MARK: u8 = 0xf0;

/// A message; frozen, as all that nodes say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseMessage {
    /// The sender wants to run a slot.
    Ask {
        /// Of which service.
        service: ServiceId,
        /// Which slot.
        slot: Slot,
        /// The sender never uses a number again.
        number: u64,
        /// How long after it asked its run may live at the most.
        lease_ms: u64,
    },
    /// The answer to an `Ask`.
    Answer {
        /// Of which service.
        service: ServiceId,
        /// Which slot.
        slot: Slot,
        /// The number of the question.
        number: u64,
        /// The answer.
        verdict: LeaseVerdict,
    },
    /// The sender does not run the slot any more.
    Release {
        /// Of which service.
        service: ServiceId,
        /// Which slot.
        slot: Slot,
        /// The number of the last question: who was asked again meanwhile ignores this message.
        number: u64,
    },
}

/// What a witness says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseVerdict {
    /// The slot may run at the sender of the question.
    Granted,
    /// Another node has it, for so long at the most.
    Taken {
        /// Which node; that of the witness itself if it does not know.
        by: NodeId,
        /// Milliseconds.
        wait_ms: u64,
    },
    /// The node that was asked is no anchor of the service, as far as it knows.
    NotAnchor,
}

impl LeaseMessage {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![MARK];
        bytes.extend(wire::encode(self));
        bytes
    }

    /// The slot that it is about.
    pub fn key(&self) -> LeaseKey {
        match self {
            LeaseMessage::Ask { service, slot, .. }
            | LeaseMessage::Answer { service, slot, .. }
            | LeaseMessage::Release { service, slot, .. } => (*service, *slot),
        }
    }

    /// The inverse; `None`: it is none.
    pub fn decode(bytes: &[u8]) -> Option<LeaseMessage> {
        let (mark, rest) = bytes.split_first()?;
        (*mark == MARK).then(|| wire::decode(rest).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_other_versions_read_what_is_asked_and_answered() {
        let (service, slot, number) = (ServiceId([2; 16]), Slot::Number(1), 300);
        let (by, wait_ms) = (NodeId([1; 16]), 9);
        let (twos, ones) = ("02".repeat(16), "01".repeat(16));
        let taken = LeaseVerdict::Taken { by, wait_ms };
        for (message, bytes) in [
            (
                LeaseMessage::Ask { service, slot, number, lease_ms: 5 },
                format!("f00100{twos}0001fb2c0105"),
            ),
            (
                LeaseMessage::Answer { service, slot, number, verdict: LeaseVerdict::Granted },
                format!("f00101{twos}0001fb2c0100"),
            ),
            (
                LeaseMessage::Answer { service, slot, number, verdict: taken },
                format!("f00101{twos}0001fb2c0101{ones}09"),
            ),
            (LeaseMessage::Release { service, slot, number }, format!("f00102{twos}0001fb2c01")),
        ] {
            let encoded = message.encode();
            let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, bytes);
            assert_eq!(LeaseMessage::decode(&encoded), Some(message));
            assert_eq!(LeaseMessage::decode(&encoded[1..]), None);
            assert_eq!(LeaseMessage::decode(&encoded[..9]), None);
        }
    }
}
