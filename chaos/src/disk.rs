//! The disk of a machine: a store of records, and the time that a write takes.
//!
//! Writes are acknowledged in the order of their requests. A power cut keeps all acknowledged
//! writes, and of the others a prefix, as a transactional store does. A lost disk is replaced by a
//! new store with an id that was never used before. The machine's key and its boot counter are
//! files of their own and survive.

use std::collections::{BTreeMap, VecDeque};

use crdt_state::{RecordKey, StoreId};

use crate::dice::Dice;

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The sequence number that the node gave it.
    pub seq: u64,
    /// Records and their bytes.
    pub puts: Vec<(RecordKey, Vec<u8>)>,
    /// Records that are forgotten.
    pub drops: Vec<RecordKey>,
}

/// The disk of one machine.
#[derive(Debug)]
pub struct Disk {
    store: StoreId,
    stores: u64,
    records: BTreeMap<RecordKey, Vec<u8>>,
    waiting: VecDeque<Write>,
    free_at: u64,
    boots: u64,
    bytes_written: u64,
    copy: Option<BTreeMap<RecordKey, Vec<u8>>>,
}

impl Disk {
    /// An empty store on the disk of machine `machine`.
    pub fn new(machine: usize) -> Disk {
        let mut disk = Disk {
            store: StoreId(0),
            stores: (machine as u64) << 32,
            records: BTreeMap::new(),
            waiting: VecDeque::new(),
            free_at: 0,
            boots: 0,
            bytes_written: 0,
            copy: None,
        };
        disk.format();
        disk
    }

    fn format(&mut self) {
        self.stores += 1;
        self.store = StoreId(self.stores);
        self.records.clear();
        self.waiting.clear();
    }

    /// Requests a write; it is on disk at the returned time. Then call [`Disk::synced`].
    pub fn write(&mut self, now: u64, takes_ms: u64, write: Write) -> u64 {
        self.free_at = self.free_at.max(now) + takes_ms;
        self.waiting.push_back(write);
        self.free_at
    }

    /// The oldest write is on disk; returns it.
    pub fn synced(&mut self) -> Write {
        let write = self.waiting.pop_front().expect("a write is synced after it was asked for");
        self.apply(&write);
        write
    }

    fn apply(&mut self, write: &Write) {
        for (key, bytes) in &write.puts {
            self.bytes_written += bytes.len() as u64;
            self.records.insert(*key, bytes.clone());
        }
        for key in &write.drops {
            self.records.remove(key);
        }
    }

    /// The agent or the power is gone: some of the waiting writes, the oldest ones, were made.
    pub fn crash(&mut self, dice: &mut Dice) {
        let made = dice.index(self.waiting.len() + 1);
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().take(made).for_each(|write| self.apply(write));
        self.free_at = 0;
    }

    /// The disk is replaced by an empty one.
    pub fn lose(&mut self) {
        self.format();
    }

    /// Somebody copies what the store holds now.
    pub fn copy(&mut self) {
        self.copy = Some(self.records.clone());
    }

    /// The store is replaced by its copy, if there is one. The agent finds that the copy did not
    /// see the last start, and gives it a new id: a new store that begins with the old records.
    pub fn restore(&mut self) -> bool {
        let Some(copy) = self.copy.clone() else { return false };
        self.format();
        self.waiting.clear();
        self.records = copy;
        true
    }

    /// Replaces records by other bytes than were written: no disk should do that.
    pub fn falsify(&mut self, with: impl Fn(RecordKey, &[u8]) -> Option<Vec<u8>>) {
        for (key, bytes) in &mut self.records {
            if let Some(other) = with(*key, bytes) {
                *bytes = other;
            }
        }
    }

    /// Raises the counter of agents started here; written before an agent does anything.
    pub fn boot(&mut self) -> u64 {
        self.boots += 1;
        self.boots
    }

    /// The id of the store.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// The records on disk.
    pub fn records(&self) -> &BTreeMap<RecordKey, Vec<u8>> {
        &self.records
    }

    /// Writes that are not yet on disk.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of records written so far.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::Kind;

    fn write(seq: u64) -> Write {
        let key = RecordKey { kind: Kind::SERVICE, id: [seq as u8; 16] };
        Write { seq, puts: vec![(key, vec![1])], drops: vec![] }
    }

    #[test]
    fn a_crash_keeps_what_was_acknowledged_and_a_prefix_of_the_rest() {
        for seed in 0..20 {
            let mut disk = Disk::new(0);
            for seq in 1..=4 {
                disk.write(0, 2, write(seq));
            }
            assert_eq!(disk.synced().seq, 1);
            disk.crash(&mut Dice::new(seed, "disk"));
            let kept: Vec<u8> = disk.records().keys().map(|key| key.id[0]).collect();
            assert_eq!(kept, (1..=kept.len() as u8).collect::<Vec<_>>());
            assert!(!kept.is_empty());
        }
    }

    #[test]
    fn a_write_waits_for_the_ones_before_it() {
        let mut disk = Disk::new(0);
        assert_eq!(disk.write(10, 2000, write(1)), 2010);
        assert_eq!(disk.write(11, 3, write(2)), 2013);
    }

    #[test]
    fn a_restored_store_holds_what_was_copied_and_is_another_one() {
        let mut disk = Disk::new(0);
        assert!(!disk.restore(), "there is no copy");
        let write_now = |disk: &mut Disk, seq| {
            disk.write(0, 1, write(seq));
            disk.synced();
        };
        write_now(&mut disk, 1);
        disk.copy();
        write_now(&mut disk, 2);
        let before = disk.store();
        assert!(disk.restore());
        assert_eq!(disk.records().len(), 1);
        assert_ne!(disk.store(), before);
    }

    #[test]
    fn a_store_id_is_never_used_again() {
        let mut disk = Disk::new(3);
        let before = disk.store();
        disk.lose();
        assert_ne!(disk.store(), before);
        assert_ne!(disk.store(), Disk::new(2).store());
    }
}
