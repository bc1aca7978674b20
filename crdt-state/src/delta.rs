//! Deltas: records, or parts of them, on their way to another replica.
//!
//! Every part merges by itself, in any order and any number of times. A record that a delta leaves
//! out may still exist: a delta must never be treated as the whole state.

use serde::{Deserialize, Serialize};

use crate::junk::Junk;
use crate::key::RecordKey;
use crate::record::{Record, SharedRecord};
use crate::wire;

/// Records with their encoded bytes, each at most [`wire::RECORD_BYTES_MAX`]. A larger record
/// comes as several parts under the same key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// The key and the encoded bytes of each record.
    pub records: Vec<(RecordKey, Vec<u8>)>,
}

impl Delta {
    /// The delta as bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads what [`Delta::encode`] wrote, up to [`wire::MESSAGE_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Delta, Junk> {
        wire::decode_within(bytes, wire::MESSAGE_BYTES_MAX)
    }

    /// Does it hold no records?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Size of its records and keys in bytes, close to the size of its encoding.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|(_, bytes)| 20 + bytes.len()).sum()
    }

    /// Adds a record: whole if it fits, in parts of one write each otherwise.
    pub(crate) fn push(&mut self, key: RecordKey, record: &Record) {
        let bytes = record.encode();
        match record {
            Record::Shared(shared) if bytes.len() > wire::RECORD_BYTES_MAX => {
                for (facet, write) in shared.writes() {
                    let part = SharedRecord::of(facet, write.clone());
                    self.records.push((key, wire::encode(&part)));
                }
            }
            _ => self.records.push((key, bytes)),
        }
    }
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// The records that changed, each once, in the order of the delta.
    pub changed: Vec<RecordKey>,
    /// The records that were refused, and why.
    pub junk: Vec<(RecordKey, Junk)>,
}
