//! The history of one node: how the node began, and every input in order. From a history the node
//! can be built again, with the same state after every entry.
//!
//! ```text
//! head   Began   Record*   Found*   Started   ( Input  Signed*  Digest? )*
//! ```
//! A history does not contain the node's private key. It contains the signatures that the node
//! made, so that its records are the same again. It contains the variables and commands of
//! services, as the store does. A history may end anywhere; it must never begin in the middle.

use std::collections::BTreeSet;

use crdt_state::task::AdoptedRun;
use crdt_state::{Digest, PublicKey, RecordKey, Signature, Writer, wire};
use gossip::Now;
use serde::{Deserialize, Serialize};

use crate::input::Input;
use crate::node::NodeConfig;

/// What a history begins with; another format has another number.
pub const HEAD: &[u8] = b"edgectl history 1\n";

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Entry {
    /// What the node is made from.
    Began(Box<Began>),
    /// A record that was in the node's store.
    Record {
        /// Its key.
        key: RecordKey,
        /// As it was stored.
        bytes: Vec<u8>,
    },
    /// A run that was found on the machine.
    Found(Box<AdoptedRun>),
    /// The node was made.
    Started {
        /// The node's time.
        now: Now,
        /// The time of day, for display.
        wall_ms: u64,
    },
    /// The node was given an input.
    Input {
        /// When, in the node's time.
        now: Now,
        /// The time of day, for display.
        wall_ms: u64,
        /// The fact.
        input: Box<Input>,
    },
    /// The node signed something, in the order in which it did.
    Signed(Signature),
    /// The digest of the node's state after the last input, if it changed.
    Digest(Digest),
}

/// What a node is made from, besides records and runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Began {
    /// Version of the agent.
    pub version: String,
    /// The node's public key.
    pub key: PublicKey,
    /// The writer of its records.
    pub writer: Writer,
    /// Its configuration.
    pub config: NodeConfig,
    /// Records that are held back, see `crdt_state::Replica::watch`.
    pub held_back: BTreeSet<Digest>,
    /// Records that are set aside.
    pub set_aside: BTreeSet<Digest>,
}

/// An entry as it is written: its length in four bytes, little-endian, and its encoding. `None`:
/// the entry is larger than the largest message.
pub fn encode(entry: &Entry) -> Option<Vec<u8>> {
    let body = wire::encode(entry);
    let length =
        u32::try_from(body.len()).ok().filter(|_| body.len() <= wire::MESSAGE_BYTES_MAX)?;
    Some([&length.to_le_bytes(), body.as_slice()].concat())
}

/// Why a history cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoHistory {
    /// It does not begin with [`HEAD`].
    #[error("this is no history of an agent, or one of another format")]
    Head,
    /// The entry with this number cannot be decoded.
    #[error("entry {0} is damaged, or of another version")]
    Damaged(usize),
}

/// Reads a history. An entry that was cut off at the end is left out.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, NoHistory> {
    let mut rest = bytes.strip_prefix(HEAD).ok_or(NoHistory::Head)?;
    let mut entries = Vec::new();
    while let Some((length, body)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((body, after)) = body.split_at_checked(length) else { break };
        let entry = wire::decode_within(body, wire::MESSAGE_BYTES_MAX);
        entries.push(entry.map_err(|_| NoHistory::Damaged(entries.len()))?);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let input = |now, input| Entry::Input { now: Now(now), wall_ms: 7, input: Box::new(input) };
        vec![
            Entry::Started { now: Now(1), wall_ms: 5 },
            input(2, Input::TimerFired),
            input(3, Input::Persisted { seq: 9 }),
            Entry::Signed(Signature([3; 64])),
        ]
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let frames = entries.iter().map(|entry| encode(entry).expect("a small entry"));
        [HEAD.to_vec()].into_iter().chain(frames).collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_history_is_read_back_and_one_cut_off_lacks_its_last_entry() {
        let bytes = written(&entries());
        let shown = |entries: &[Entry]| format!("{entries:?}");
        assert_eq!(shown(&decode(&bytes).expect("whole")), shown(&entries()));
        let cut = decode(&bytes[..bytes.len() - 1]).expect("cut off");
        assert_eq!(shown(&cut), shown(&entries()[..3]));
    }

    #[test]
    fn what_is_no_history_is_refused() {
        assert_eq!(decode(b"state").map(|_| ()), Err(NoHistory::Head));
        let mut bytes = written(&entries());
        // The version byte of the first entry.
        bytes[HEAD.len() + 4] = 99;
        assert_eq!(decode(&bytes).map(|_| ()), Err(NoHistory::Damaged(0)));
    }

    #[test]
    fn an_entry_beyond_the_largest_message_is_not_written() {
        let bytes = vec![0; wire::MESSAGE_BYTES_MAX];
        let key = RecordKey { kind: crdt_state::Kind::SERVICE, id: [0; 16] };
        assert_eq!(encode(&Entry::Record { key, bytes }), None);
    }
}
