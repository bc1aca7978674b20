//! I2: every acknowledged write is in the final state, superseded by one that saw it, or listed as
//! a conflict.
//!
//! The checker keeps its own account of which write saw which, and does not rely on the causal
//! clocks: a write has seen every value of the facet that its machine held at that time. One loss
//! is allowed, and counted: a write whose only copy was on a lost disk.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::spec::Facet;
use crdt_state::{RecordKey, Stamp};

use crate::invariant::{Invariant, Verdict, Violation};

/// The name of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId {
    /// Record.
    pub key: RecordKey,
    /// Facet.
    pub facet: Facet,
    /// Who wrote, and when.
    pub stamp: Stamp,
}

/// All writes of a run.
#[derive(Debug, Default)]
pub struct Writes {
    /// For each write the writes that saw it.
    seen_by: BTreeMap<WriteId, BTreeSet<WriteId>>,
    values: BTreeMap<WriteId, Vec<u8>>,
    acknowledged: BTreeSet<WriteId>,
    lost_with_disk: BTreeSet<WriteId>,
}

impl Writes {
    /// An operator wrote on a machine that held these values of the facet.
    pub fn written(&mut self, write: WriteId, value: &[u8], saw: &[WriteId]) -> Verdict {
        for seen in saw.iter().filter(|seen| **seen != write) {
            self.seen_by.entry(*seen).or_default().insert(write);
        }
        match self.values.insert(write, value.to_vec()) {
            Some(before) if before != value => Err(Violation::new(
                Invariant::I2Writes,
                format!("two different writes have one stamp: {write:?}"),
            )),
            _ => Ok(()),
        }
    }

    /// The operator was told that the write is done.
    pub fn acknowledged(&mut self, write: WriteId) {
        self.acknowledged.insert(write);
    }

    /// Was the operator told that it is done, and was it not lost with a disk?
    pub fn is_acknowledged(&self, write: WriteId) -> bool {
        self.acknowledged.contains(&write)
    }

    /// A disk was lost; these are all writes on the disks that are left.
    pub fn disk_lost(&mut self, left: &BTreeSet<WriteId>) -> u64 {
        let gone: Vec<WriteId> = self
            .acknowledged
            .iter()
            .filter(|write| !self.is_kept(**write, left))
            .copied()
            .collect();
        let count = gone.len() as u64;
        for write in gone {
            self.acknowledged.remove(&write);
            self.lost_with_disk.insert(write);
        }
        count
    }

    /// Is the write held, or a write that saw it, directly or through other writes?
    pub fn is_kept(&self, write: WriteId, held: &BTreeSet<WriteId>) -> bool {
        let mut asked = BTreeSet::from([write]);
        let mut next = vec![write];
        while let Some(write) = next.pop() {
            if held.contains(&write) {
                return true;
            }
            let later = self.seen_by.get(&write).into_iter().flatten();
            next.extend(later.filter(|later| asked.insert(**later)));
        }
        false
    }

    /// Is everything that was acknowledged found in what a machine holds in the end?
    pub fn all_kept(&self, held: &BTreeSet<WriteId>) -> Verdict {
        match self.acknowledged.iter().find(|write| !self.is_kept(**write, held)) {
            None => Ok(()),
            Some(lost) => Err(Violation::new(
                Invariant::I2Writes,
                format!(
                    "an acknowledged write is gone, and nothing that saw it is there: {lost:?}"
                ),
            )),
        }
    }

    /// How many writes were acknowledged and not lost with a disk.
    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::{Kind, NodeId, StoreId, Writer};

    fn write(lamport: u64, node: u8) -> WriteId {
        let writer = Writer { node: NodeId([node; 16]), store: StoreId(1) };
        let key = RecordKey { kind: Kind::SERVICE, id: [1; 16] };
        WriteId { key, facet: Facet::SCALE, stamp: Stamp { lamport, writer } }
    }

    #[test]
    fn a_write_that_a_later_one_saw_may_go() {
        let mut writes = Writes::default();
        for (after, before) in [(1, None), (2, Some(1)), (3, Some(2))] {
            let saw: Vec<WriteId> = before.map(|lamport| write(lamport, 1)).into_iter().collect();
            writes.written(write(after, 1), b"x", &saw).unwrap();
            writes.acknowledged(write(after, 1));
        }
        assert_eq!(writes.all_kept(&BTreeSet::from([write(3, 1)])), Ok(()));
        assert!(writes.all_kept(&BTreeSet::from([write(2, 1)])).is_err());
    }

    #[test]
    fn a_concurrent_write_that_is_no_longer_listed_is_lost() {
        let mut writes = Writes::default();
        for node in [1, 2] {
            writes.written(write(5, node), b"x", &[]).unwrap();
            writes.acknowledged(write(5, node));
        }
        assert_eq!(writes.all_kept(&BTreeSet::from([write(5, 1), write(5, 2)])), Ok(()));
        assert!(writes.all_kept(&BTreeSet::from([write(5, 2)])).is_err());
    }

    #[test]
    fn a_write_on_a_lost_disk_alone_is_the_allowed_loss() {
        let mut writes = Writes::default();
        writes.written(write(5, 1), b"x", &[]).unwrap();
        writes.acknowledged(write(5, 1));
        assert_eq!(writes.disk_lost(&BTreeSet::new()), 1);
        assert_eq!(writes.all_kept(&BTreeSet::new()), Ok(()));
    }

    #[test]
    fn one_stamp_for_two_values_is_found() {
        let mut writes = Writes::default();
        writes.written(write(5, 1), b"x", &[]).unwrap();
        assert!(writes.written(write(5, 1), b"y", &[]).is_err());
    }
}
