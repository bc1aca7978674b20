//! A replica: all records that one node holds, their digests, and which records changed since they
//! were last drained.
//!
//! It never refuses a record because another one is missing, never reads a clock, and never accepts
//! a write whose signature it has not checked. Local edits are in [`edit`], records from outside in
//! [`merge`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::conflict::Conflict;
use crate::delta::Delta;
use crate::digest::{Digest, DigestTree, FAN_OUT, TreePath};
use crate::id::NodeId;
use crate::junk::Junk;
use crate::key::{Kind, RecordKey};
use crate::limits::{self, Unfit};
use crate::record::Record;
use crate::signature::{Signer, Verifier};
use crate::spec::{Facet, Life};
use crate::stamp::{Stamp, Writer};
use crate::wire;

mod aside;
mod draft;
mod edit;
mod merge;
#[cfg(test)]
mod tests;

pub use aside::Witness;

/// How far ahead of everything held a counter from outside may be. At one write a second, day and
/// night, a fleet needs 136 years to reach it; a forger needs four billion steps to the end of a
/// `u64`.
pub const LAMPORT_JUMP_MAX: u64 = 1 << 32;

/// The records of one node.
pub struct Replica {
    writer: Writer,
    signer: Box<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    lamport: u64,
    records: BTreeMap<RecordKey, Record>,
    tree: DigestTree,
    changed: BTreeSet<RecordKey>,
    quarantined: BTreeMap<RecordKey, Quarantined>,
    /// Records that are held and passed on, but not read.
    unfit: BTreeMap<RecordKey, Unfit>,
    aside: aside::Aside,
}

/// A record of the store that this version cannot accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Why it was refused.
    pub reason: Junk,
    /// The bytes that were found; the store keeps them until a peer has sent a good copy.
    pub bytes: Vec<u8>,
}

impl Replica {
    /// An empty replica. The writer's node must be the one that the signer's key proves. Its store
    /// id must be new for every store that is created, and also for a store of which
    /// [`Replica::load`] quarantined records before: a writer that uses a counter twice loses
    /// writes.
    pub fn new(writer: Writer, signer: Box<dyn Signer>, verifier: Arc<dyn Verifier>) -> Replica {
        assert_eq!(writer.node, NodeId::of(&signer.public_key()), "a node writes with its own key");
        Replica {
            writer,
            signer,
            verifier,
            lamport: 0,
            records: BTreeMap::new(),
            tree: DigestTree::default(),
            changed: BTreeSet::new(),
            quarantined: BTreeMap::new(),
            unfit: BTreeMap::new(),
            aside: aside::Aside::default(),
        }
    }

    /// The node that writes here.
    pub fn me(&self) -> NodeId {
        self.writer.node
    }

    /// The writer id of this replica.
    pub fn writer(&self) -> Writer {
        self.writer
    }

    /// The highest counter of any write that is held or was made here.
    pub fn lamport(&self) -> u64 {
        self.lamport
    }

    /// The stamp of the next write here; for values that contain their own creation stamp.
    pub fn next_stamp(&self) -> Stamp {
        Stamp { lamport: self.lamport.saturating_add(1), writer: self.writer }
    }

    /// The keys of the records that edits and merges changed since the last call.
    pub fn drain_changed(&mut self) -> BTreeSet<RecordKey> {
        std::mem::take(&mut self.changed)
    }

    /// Did any record change since the last call of [`Replica::drain_changed`]?
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The record under this key.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key)
    }

    /// The keys of one kind, including removed and retired records.
    pub fn keys(&self, kind: Kind) -> impl Iterator<Item = RecordKey> {
        let (first, last) = (RecordKey { kind, id: [0; 16] }, RecordKey { kind, id: [255; 16] });
        self.records.range(first..=last).map(|(key, _)| *key)
    }

    /// The value of a facet that counts; `None` if there is none or the record is unfit.
    pub fn facet<T: DeserializeOwned>(&self, key: &RecordKey, facet: Facet) -> Option<(Stamp, T)> {
        if self.is_unfit(key) {
            return None;
        }
        self.winner(key, facet)
    }

    fn winner<T: DeserializeOwned>(&self, key: &RecordKey, facet: Facet) -> Option<(Stamp, T)> {
        let write = self.records.get(key)?.as_shared()?.winner(facet)?;
        Some((write.stamp, wire::decode(&write.value).ok()?))
    }

    /// The value of an owned record and its owner; `None` if there is none, it was retired, or it
    /// is unfit.
    pub fn owned<T: DeserializeOwned>(&self, key: &RecordKey) -> Option<(NodeId, T)> {
        if self.is_unfit(key) {
            return None;
        }
        let record = self.records.get(key)?.as_owned()?;
        Some((record.owner(), wire::decode(record.value.as_ref()?).ok()?))
    }

    /// Whether a shared record exists; answered also for a record that is otherwise unfit.
    pub fn life(&self, key: &RecordKey) -> Option<Life> {
        let write = self.records.get(key)?.as_shared()?.winner(Facet::LIFE)?;
        limits::check_facet(key.kind, Facet::LIFE, &write.value).ok()?;
        wire::decode(&write.value).ok()
    }

    /// The records that are held and passed on but not read, each with its digest: their content is
    /// beyond a limit, or of another version. A later write can make a record fit again.
    pub fn unfit(&self) -> impl Iterator<Item = (RecordKey, Digest, Unfit)> {
        let digest = |key: &RecordKey| self.record_digest(key).unwrap_or_default();
        self.unfit.iter().map(move |(key, unfit)| (*key, digest(key), *unfit))
    }

    /// The digest of a record: the same on every node that holds the same record.
    pub fn record_digest(&self, key: &RecordKey) -> Option<Digest> {
        self.tree.record(key)
    }

    /// Is the record held, but unfit to be read?
    pub fn is_unfit(&self, key: &RecordKey) -> bool {
        self.unfit.contains_key(key)
    }

    /// The canonical bytes of the whole record.
    pub fn encode_record(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.records.get(key).map(Record::encode)
    }

    /// The delta that gives others these records too. Keys that are not held are left out.
    pub fn delta(&self, keys: impl IntoIterator<Item = RecordKey>) -> Delta {
        let mut delta = Delta::default();
        for key in keys {
            if let Some(record) = self.records.get(&key) {
                delta.push(key, record);
            }
        }
        delta
    }

    /// The digest of everything held: equal on two nodes if and only if they hold the same.
    pub fn digest(&self) -> Digest {
        self.tree.root()
    }

    /// The digests of the branches below a path; all empty for a leaf.
    pub fn children(&self, path: TreePath) -> [Digest; FAN_OUT] {
        self.tree.children(path)
    }

    /// The records at or below a path, usually a leaf, with their digests.
    pub fn leaf(&self, path: TreePath) -> Vec<(RecordKey, Digest)> {
        self.tree.records(path).collect()
    }

    /// The facets that hold more than one value, and the edits that a removal did not see.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let shared =
            self.records.iter().filter_map(|(key, record)| Some((key, record.as_shared()?)));
        shared.flat_map(|(key, record)| Conflict::of(*key, record)).collect()
    }

    /// Drops a record without leaving a trace. Only for a record that every member holds as
    /// removed: any other member would bring it back. Does not count as a change.
    pub fn forget(&mut self, key: &RecordKey) {
        self.records.remove(key);
        self.tree.remove(key);
        self.changed.remove(key);
        self.quarantined.remove(key);
        self.unfit.remove(key);
    }

    /// The records of the store that could not be accepted. They are not part of the digest and are
    /// not sent, because nobody could accept them.
    pub fn quarantined(&self) -> impl Iterator<Item = (&RecordKey, &Quarantined)> {
        self.quarantined.iter()
    }

    /// The size in bytes of all values, clocks and signatures, for the memory budget.
    pub fn bytes(&self) -> usize {
        let records = self.records.values().map(|record| match record {
            Record::Owned(record) => 180 + record.value.as_ref().map_or(0, Vec::len),
            Record::Shared(record) => record.bytes(),
        });
        let quarantined = self.quarantined.values().map(|record| record.bytes.len());
        records.chain(quarantined).sum()
    }

    /// Is it an owned record of this node?
    fn is_own(&self, key: &RecordKey) -> bool {
        let record = self.records.get(key).and_then(Record::as_owned);
        record.is_some_and(|record| record.owner() == self.writer.node)
    }

    /// Updates the digest of a record, and checks again whether it is fit to be read. Returns
    /// whether its bytes changed.
    fn index(&mut self, key: RecordKey) -> bool {
        let record = self.records.get(&key).expect("the record that was just written");
        let digest = Digest::of(&key, &record.encode());
        // A node's own records are never set aside: without them the node would forget which
        // volumes it holds, and what it runs.
        let judged = if self.is_own(&key) { Ok(()) } else { self.aside.judge(&digest) };
        match limits::check(&key, record).and(judged) {
            Ok(()) => self.unfit.remove(&key),
            Err(unfit) => self.unfit.insert(key, unfit),
        };
        self.tree.insert(key, digest) != Some(digest)
    }
}
