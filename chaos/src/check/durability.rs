//! I12: a crash at any write loses nothing that was acknowledged, and nothing that others hold.
//!
//! An answer waits for the disk: the acknowledged writes are on the disk when the answer is given.
//! A message waits too: writes of a store that any other node holds must be in that store.
//! Otherwise the node would use a counter twice after a crash, and two different writes would have
//! one stamp.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::{StoreId, Writer};

use crate::check::writes::WriteId;
use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// The last counter of each store's own writes that is on its disk.
#[derive(Debug, Default)]
pub struct Counters {
    durable: BTreeMap<StoreId, u64>,
    lost: BTreeSet<StoreId>,
}

impl Counters {
    /// A store has this write of its own on disk.
    pub fn stored(&mut self, writer: Writer, lamport: u64) {
        let counter = self.durable.entry(writer.store).or_default();
        *counter = lamport.max(*counter);
    }

    /// The store is lost; writes that other nodes hold of it are no longer checked.
    pub fn store_lost(&mut self, store: StoreId) {
        self.lost.insert(store);
    }

    /// A machine holds a write of a store. `is_own`: the store is that machine's own.
    pub fn held(&self, machine: MachineNo, writer: Writer, lamport: u64) -> Verdict {
        let durable = self.durable.get(&writer.store).copied().unwrap_or(0);
        if lamport <= durable || self.lost.contains(&writer.store) {
            return Ok(());
        }
        let detail = format!(
            "n{machine} holds write {lamport} of store {:?}, which has {durable} on its own disk",
            writer.store
        );
        Err(Violation::new(Invariant::I12Durability, detail))
    }
}

/// An edit is answered; `missing` are its writes that are not on the disk.
pub fn answered(machine: MachineNo, missing: &[WriteId]) -> Verdict {
    match missing.first() {
        None => Ok(()),
        Some(write) => Err(Violation::new(
            Invariant::I12Durability,
            format!("n{machine} acknowledges {write:?}, which is not on its disk"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::NodeId;

    #[test]
    fn a_write_that_others_hold_and_its_own_disk_does_not_is_found() {
        let writer = Writer { node: NodeId([1; 16]), store: StoreId(3) };
        let mut counters = Counters::default();
        counters.stored(writer, 7);
        assert_eq!(counters.held(1, writer, 7), Ok(()));
        assert!(counters.held(1, writer, 8).is_err());
        counters.store_lost(writer.store);
        assert_eq!(counters.held(1, writer, 8), Ok(()));
    }
}
