//! The writes of this node.
//!
//! Every write raises the Lamport counter, is signed, and sees everything held. Arguments that no
//! caller may pass (the record of another node, a value that does not fit) are bugs and are
//! asserted.

use serde::Serialize;

use super::Replica;
use crate::conflict::NoSuchValue;
use crate::job::{self, JobReport};
use crate::key::{Kind, RecordKey, task_subject};
use crate::limits;
use crate::network::SlotAddresses;
use crate::record::{OwnedRecord, Record, SharedRecord};
use crate::register::{Clock, Write};
use crate::schedule::RunReport;
use crate::secret::SecretKeys;
use crate::signature::Signature;
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;
use crate::task::TaskRecord;
use crate::wire;

impl Replica {
    /// Writes a facet of a shared record; the write replaces everything held of the facet. The
    /// encoded value must be at most [`wire::VALUE_BYTES_MAX`]: callers check values from people
    /// before.
    pub fn edit<T: Serialize>(
        &mut self,
        key: RecordKey,
        facet: Facet,
        value: &T,
        wall_ms: u64,
    ) -> Stamp {
        self.write(key, facet, wire::encode(value), wall_ms)
    }

    /// Settles a conflict: writes one of its values, named by its stamp, over all the others.
    /// Picking an edit of a removed record brings the record back; picking the removal confirms it.
    /// A value beyond a limit cannot be picked.
    pub fn pick(
        &mut self,
        key: RecordKey,
        facet: Facet,
        stamp: Stamp,
        wall_ms: u64,
    ) -> Result<Stamp, NoSuchValue> {
        if matches!(self.life(&key), Some(Life::Removed { .. })) {
            return self.pick_of_removed(key, facet, stamp, wall_ms);
        }
        let record = self.record(&key).and_then(Record::as_shared);
        let writes = record.map_or(&[][..], |record| record.writes_of(facet));
        let picked = writes.iter().find(|write| write.stamp == stamp).ok_or(NoSuchValue)?;
        limits::check_facet(key.kind, facet, &picked.value).map_err(|_| NoSuchValue)?;
        let value = picked.value.clone();
        if let (Facet::LABELS, Ok(labels)) = (facet, wire::decode(&value)) {
            return Ok(self.edit_labels(key, &labels, wall_ms));
        }
        Ok(self.write(key, facet, value, wall_ms))
    }

    /// Writes one of this node's own records, unless it holds that value already. After the loss of
    /// a store, merging brings back the versions that were written before. The caller must call
    /// this again when a merge has changed one of the node's own records, and then outranks that
    /// version.
    pub fn put_owned<T: Serialize>(&mut self, key: RecordKey, value: &T, wall_ms: u64) {
        let value = wire::encode(value);
        let subject = subject_of(key.kind, &value);
        self.write_owned(key, subject, Some(value), wall_ms);
    }

    /// Retires one of this node's own records: it has no value any more. Nothing is written if
    /// nothing is held.
    pub fn retire_owned(&mut self, key: RecordKey, wall_ms: u64) {
        let held = self.record(&key).and_then(Record::as_owned);
        if let Some(subject) = held.map(|record| record.subject.clone()) {
            self.write_owned(key, subject, None, wall_ms);
        }
    }

    fn take_stamp(&mut self) -> Stamp {
        let stamp = self.next_stamp();
        self.lamport = stamp.lamport;
        stamp
    }

    /// Like [`Replica::edit`], for a value that is encoded already.
    pub(crate) fn write(
        &mut self,
        key: RecordKey,
        facet: Facet,
        value: Vec<u8>,
        wall_ms: u64,
    ) -> Stamp {
        assert!(!key.kind.is_owned(), "an owned record has no facets");
        assert!(value.len() <= wire::VALUE_BYTES_MAX, "a value of {} bytes", value.len());
        let stamp = self.take_stamp();
        let held = self.record(&key).and_then(Record::as_shared).and_then(|r| r.register(facet));
        let clock = held.map_or_else(|| Clock::first(stamp), |held| held.clock_for(stamp));
        let public = self.signer.public_key();
        let signature = Signature([0; 64]);
        let mut write = Write { stamp, wall_ms, key: public, clock, value, signature };
        write.signature = self.signer.sign(&write.message(&key, facet));
        let part = SharedRecord::of(facet, write);
        match self.records.entry(key).or_insert_with(|| Record::Shared(SharedRecord::default())) {
            Record::Shared(record) => record.merge(part),
            Record::Owned(_) => unreachable!("a shared kind holds shared records"),
        };
        self.note_change(key);
        stamp
    }

    fn write_owned(
        &mut self,
        key: RecordKey,
        subject: Vec<u8>,
        value: Option<Vec<u8>>,
        wall_ms: u64,
    ) {
        assert!(key.kind.is_owned(), "a shared record has no owner");
        let own = RecordKey::owned(key.kind, self.me(), &subject);
        assert_eq!(key, own, "a node writes only its own records");
        let bytes = value.as_ref().map_or(0, Vec::len);
        assert!(bytes <= wire::VALUE_BYTES_MAX, "a value of {bytes} bytes");
        if self.record(&key).and_then(Record::as_owned).is_some_and(|held| held.value == value) {
            return;
        }
        let version = self.take_stamp().lamport;
        let public = self.signer.public_key();
        let signature = Signature([0; 64]);
        let mut record = OwnedRecord { key: public, subject, version, wall_ms, value, signature };
        record.signature = self.signer.sign(&record.message(&key));
        self.records.insert(key, Record::Owned(record));
        self.note_change(key);
    }

    pub(super) fn note_change(&mut self, key: RecordKey) {
        if self.index(key) {
            self.quarantined.remove(&key);
            self.changed.insert(key);
        }
    }
}

/// The subject of an owned record, read from its value if its kind has several records per node.
fn subject_of(kind: Kind, value: &[u8]) -> Vec<u8> {
    let (service, slot) = match kind {
        Kind::TASK => {
            let record = wire::decode::<TaskRecord>(value);
            let record = record.expect("a task record's value is a TaskRecord");
            (record.service, record.slot)
        }
        Kind::ADDRESSES => {
            let record = wire::decode::<SlotAddresses>(value);
            let record = record.expect("the value of a slot's addresses is SlotAddresses");
            (record.service, record.slot)
        }
        Kind::COMPLETIONS => {
            let report = wire::decode::<JobReport>(value);
            let report = report.expect("the value of a job's report is a JobReport");
            return job::subject(report.service).to_vec();
        }
        Kind::SCHEDULED_RUNS => {
            let report = wire::decode::<RunReport>(value);
            let report = report.expect("the value of a report of runs is a RunReport");
            return job::subject(report.service).to_vec();
        }
        Kind::SECRET_KEYS => {
            let keys = wire::decode::<SecretKeys>(value);
            return keys.expect("the value of wrapped keys is SecretKeys").secret.0.to_vec();
        }
        _ => return Vec::new(),
    };
    task_subject(service, slot).to_vec()
}
