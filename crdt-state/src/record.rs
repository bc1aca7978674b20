//! Records: what is stored, sent and merged under one key.
//!
//! A *shared* record is an ordered map of facets, each an independent [`Register`]. It is never a
//! `crdts::Map`, which diverges. An *owned* record has one writer and a version. The kind in the
//! key decides which of the two a record is. So kinds and facets that this version does not know
//! are kept, merged and passed on like any other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::junk::Junk;
use crate::key::RecordKey;
use crate::register::{Register, WireWrite, Write};
use crate::signature::{PublicKey, Signature};
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;
use crate::wire;

/// The most writes in one shared record, over all facets: 200 nodes that all edited one facet
/// without seeing each other, and a reserve. Settling a register compares its writes in pairs, so
/// this bounds time as well as memory. A record from outside with more writes is junk.
pub const WRITES_MAX: usize = 256;

/// Bytes of an owned record's subject: a task's service and slot are 33 bytes.
pub const SUBJECT_BYTES_MAX: usize = 64;

/// What is held under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Any node may write it.
    Shared(SharedRecord),
    /// Only its owner writes it.
    Owned(OwnedRecord),
}

impl Record {
    /// Reads a record, or a part of a shared one. Checks its form, but not its signatures.
    pub fn decode(key: &RecordKey, bytes: &[u8], bytes_max: usize) -> Result<Record, Junk> {
        if key.kind.is_owned() {
            let record: OwnedRecord = wire::decode_within(bytes, bytes_max)?;
            record.check(key)?;
            return Ok(Record::Owned(record));
        }
        SharedRecord::decode(bytes, bytes_max).map(Record::Shared)
    }

    /// The canonical bytes: equal records have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Record::Shared(record) => wire::encode(record),
            Record::Owned(record) => wire::encode(record),
        }
    }

    /// The shared record, if it is one.
    pub fn as_shared(&self) -> Option<&SharedRecord> {
        if let Record::Shared(record) = self { Some(record) } else { None }
    }

    /// The owned record, if it is one.
    pub fn as_owned(&self) -> Option<&OwnedRecord> {
        if let Record::Owned(record) = self { Some(record) } else { None }
    }
}

/// A record that any node may write: facets, each with its own causal clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct SharedRecord {
    facets: BTreeMap<Facet, Register>,
}

impl SharedRecord {
    fn decode(bytes: &[u8], bytes_max: usize) -> Result<SharedRecord, Junk> {
        let wire: Vec<(Facet, Vec<WireWrite>)> = wire::decode_within(bytes, bytes_max)?;
        let ascending = wire.is_sorted_by(|(a, _), (b, _)| a < b);
        if wire.is_empty() || !ascending || wire.iter().any(|(_, writes)| writes.is_empty()) {
            return Err(Junk::Undecodable);
        }
        if wire.iter().map(|(_, writes)| writes.len()).sum::<usize>() > WRITES_MAX {
            return Err(Junk::TooManyWrites);
        }
        let mut facets = BTreeMap::new();
        for (facet, writes) in wire {
            let writes = writes.into_iter().map(Write::try_from).collect::<Result<_, _>>()?;
            facets.insert(facet, Register::of(writes));
        }
        Ok(SharedRecord { facets })
    }

    /// The facets, by number.
    pub fn facets(&self) -> impl Iterator<Item = (Facet, &Register)> {
        self.facets.iter().map(|(facet, register)| (*facet, register))
    }

    /// One facet.
    pub fn register(&self, facet: Facet) -> Option<&Register> {
        self.facets.get(&facet)
    }

    /// The writes of one facet, strongest first; none if there is no such facet.
    pub fn writes_of(&self, facet: Facet) -> &[Write] {
        self.register(facet).map_or(&[][..], |register| register.writes())
    }

    /// Every write held, with its facet.
    pub fn writes(&self) -> impl Iterator<Item = (Facet, &Write)> {
        self.facets()
            .flat_map(|(facet, register)| register.writes().iter().map(move |write| (facet, write)))
    }

    /// The write that counts: the highest stamp. For [`Facet::LIFE`], any removal comes first.
    pub fn winner(&self, facet: Facet) -> Option<&Write> {
        let register = self.register(facet)?;
        if facet == Facet::LIFE {
            let removal = register.writes().iter().find(|write| {
                matches!(wire::decode::<Life>(&write.value), Ok(Life::Removed { .. }))
            });
            return removal.or(register.winner());
        }
        register.winner()
    }

    /// The highest stamp over all facets.
    pub fn stamp(&self) -> Option<Stamp> {
        self.writes().map(|(_, write)| write.stamp).max()
    }

    /// The approximate size in bytes, in memory and encoded.
    pub fn bytes(&self) -> usize {
        self.writes().map(|(_, write)| 200 + 40 * write.clock.len() + write.value.len()).sum()
    }

    /// Merges the other record into this one. Returns whether anything changed.
    pub fn merge(&mut self, other: SharedRecord) -> bool {
        let mut changed = false;
        for (facet, register) in other.facets {
            changed |= self.facets.entry(facet).or_default().merge(register);
        }
        changed
    }

    /// A record with one write only: a part that merges like the whole.
    pub(crate) fn of(facet: Facet, write: Write) -> SharedRecord {
        SharedRecord { facets: BTreeMap::from([(facet, Register::of(vec![write]))]) }
    }
}

/// A record that one node writes: the highest version counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedRecord {
    /// The owner's public key: the owner's node id is its hash, and the record's key follows from
    /// that id.
    pub key: PublicKey,
    /// The subject of the record, besides its owner, see [`RecordKey::owned`].
    pub subject: Vec<u8>,
    /// The owner's Lamport counter when it wrote.
    pub version: u64,
    /// The owner's time of day, milliseconds since 1970. Display only.
    pub wall_ms: u64,
    /// The encoded value; `None`: the record is retired.
    pub value: Option<Vec<u8>>,
    /// The signature of [`OwnedRecord::message`], by `key`.
    pub signature: Signature,
}

impl OwnedRecord {
    /// The node that writes it.
    pub fn owner(&self) -> NodeId {
        NodeId::of(&self.key)
    }

    /// The bytes that are signed: all fields, after a prefix for this type, every part of known
    /// length.
    pub fn message(&self, key: &RecordKey) -> Vec<u8> {
        let value = self.value.as_deref();
        let mut message = Vec::with_capacity(128 + value.map_or(0, <[u8]>::len));
        message.extend(b"edgectl owned 1\0");
        message.extend(key.to_bytes());
        message.extend((self.subject.len() as u64).to_be_bytes());
        message.extend(&self.subject);
        message.extend(self.version.to_be_bytes());
        message.extend(self.wall_ms.to_be_bytes());
        message.push(u8::from(value.is_some()));
        message.extend(value.unwrap_or_default());
        message
    }

    /// Does this record win over the other? The higher version wins. Two different records of one
    /// version exist only if the owner's disk was rolled back; then the hash decides.
    pub fn outranks(&self, other: &OwnedRecord) -> bool {
        let hash = |record: &OwnedRecord| *blake3::hash(&wire::encode(record)).as_bytes();
        self.version > other.version
            || self.version == other.version && self != other && hash(self) > hash(other)
    }

    fn check(&self, key: &RecordKey) -> Result<(), Junk> {
        let too_large = |value: &Vec<u8>| value.len() > wire::VALUE_BYTES_MAX;
        if self.subject.len() > SUBJECT_BYTES_MAX || self.value.as_ref().is_some_and(too_large) {
            return Err(Junk::TooLarge);
        }
        if *key != RecordKey::owned(key.kind, self.owner(), &self.subject) {
            return Err(Junk::NotOwner);
        }
        Ok(())
    }
}
