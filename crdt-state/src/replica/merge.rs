//! Records from outside: deltas from peers, and records from this node's own store.
//!
//! Each record is accepted as a whole or refused as a whole, independently of the others. A write
//! that is held already, or that a held one has seen, is dropped without a signature check. So
//! exchanging known state is cheap.

use super::{LAMPORT_JUMP_MAX, Quarantined, Replica};
use crate::delta::{Delta, Merged};
use crate::digest::Digest;
use crate::junk::Junk;
use crate::key::RecordKey;
use crate::record::{OwnedRecord, Record, SharedRecord, WRITES_MAX};
use crate::wire;

impl Replica {
    /// Merges a delta of a peer. Junk is left out and reported; everything else is merged.
    pub fn merge(&mut self, delta: &Delta) -> Merged {
        let mut merged = Merged::default();
        let mut applying = Vec::new();
        for (key, bytes) in &delta.records {
            let horizon = self.lamport.saturating_add(LAMPORT_JUMP_MAX);
            let record = Record::decode(key, bytes, wire::RECORD_BYTES_MAX);
            match record.and_then(|record| self.accept(*key, record, horizon)) {
                Ok(true) => {
                    self.note_change(*key);
                    applying.extend(self.to_be_applied(key));
                    if !merged.changed.contains(key) {
                        merged.changed.push(*key);
                    }
                }
                Ok(false) => {}
                Err(junk) => merged.junk.push((*key, junk)),
            }
        }
        self.aside.applying(&applying);
        merged
    }

    /// The digest of a record that was not written here and that readers will apply.
    fn to_be_applied(&self, key: &RecordKey) -> Option<Digest> {
        self.record_digest(key).filter(|_| !self.is_unfit(key) && !self.is_own(key))
    }

    /// Loads a record from this node's own store. A record that cannot be accepted is quarantined:
    /// kept beside the others and shown by [`Replica::quarantined`]. Signatures are checked here
    /// too: a damaged bit must not be spread under this node's name.
    pub fn load(&mut self, key: RecordKey, bytes: &[u8]) -> Result<(), Junk> {
        let record = Record::decode(&key, bytes, wire::MESSAGE_BYTES_MAX);
        match record.and_then(|record| self.accept(key, record, u64::MAX)) {
            Ok(changed) => {
                if changed {
                    self.index(key);
                    let applying = self.to_be_applied(&key);
                    self.aside.applying(applying.as_slice());
                }
                Ok(())
            }
            Err(reason) => {
                self.quarantined.insert(key, Quarantined { reason, bytes: bytes.to_vec() });
                Err(reason)
            }
        }
    }

    /// Merges a record whose counters are at most `horizon`. Returns whether anything changed.
    fn accept(&mut self, key: RecordKey, record: Record, horizon: u64) -> Result<bool, Junk> {
        match record {
            Record::Shared(record) => self.accept_shared(key, record, horizon),
            Record::Owned(record) => self.accept_owned(key, record, horizon),
        }
    }

    fn accept_shared(
        &mut self,
        key: RecordKey,
        record: SharedRecord,
        horizon: u64,
    ) -> Result<bool, Junk> {
        let held = self.records.get(&key).and_then(Record::as_shared);
        let known = |facet, write: &_| {
            held.and_then(|held| held.register(facet)).is_some_and(|held| held.knows(write))
        };
        let mut lamport = self.lamport;
        let mut news = record.writes().filter(|(facet, write)| !known(*facet, write)).peekable();
        if news.peek().is_none() {
            return Ok(false);
        }
        for (facet, write) in news {
            if write.stamp.lamport > horizon {
                return Err(Junk::TooFarAhead);
            }
            if !self.verifier.verify(&write.key, &write.message(&key, facet), &write.signature) {
                return Err(Junk::BadSignature);
            }
            lamport = lamport.max(write.stamp.lamport);
        }
        let mut merged = held.cloned().unwrap_or_default();
        if !merged.merge(record) {
            return Ok(false);
        }
        if merged.writes().count() > WRITES_MAX {
            return Err(Junk::TooManyWrites);
        }
        if merged.bytes() > wire::MERGED_BYTES_MAX {
            return Err(Junk::TooLarge);
        }
        self.lamport = lamport;
        self.records.insert(key, Record::Shared(merged));
        Ok(true)
    }

    fn accept_owned(
        &mut self,
        key: RecordKey,
        record: OwnedRecord,
        horizon: u64,
    ) -> Result<bool, Junk> {
        let held = self.records.get(&key).and_then(Record::as_owned);
        if held.is_some_and(|held| *held == record || held.version > record.version) {
            return Ok(false);
        }
        if record.version > horizon {
            return Err(Junk::TooFarAhead);
        }
        if !self.verifier.verify(&record.key, &record.message(&key), &record.signature) {
            return Err(Junk::BadSignature);
        }
        if held.is_some_and(|held| !record.outranks(held)) {
            return Ok(false);
        }
        self.lamport = self.lamport.max(record.version);
        self.records.insert(key, Record::Owned(record));
        Ok(true)
    }
}
