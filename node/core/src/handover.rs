//! Handovers: which node ends its copy of a slot that two nodes run, and when it may.
//!
//! ```text
//!             plan: n2 keeps          n2 kept it, as n1 reads in n2's record
//! n1  running ───────────▶ asking n2 ───────────▶ ends its copy
//!                             │   ▲
//! n2  running: its plan says n2, and it asks nobody ──▶ writes that it keeps
//! ```
//! A node ends its copy only when the node that should keep the slot has answered *this* question.
//! A node answers only while it does not itself ask any node about that slot. So the last copy is
//! never ended. Of all questions about a slot that led to an end, take the one asked last. The node
//! that answered it was not asking then, and none of its later questions led to an end, so it has
//! not ended its copy. No clock, no order of arrival and no agreement about the plan is needed; a
//! lost, late or repeated record only makes a surplus copy run longer.
//! `node/core/tests/handover.rs` tries every order.
//!
//! The asker numbers its questions and never uses a number again for the same slot, not even after
//! the loss of a disk: the store is part of the number. A copy that ends by itself is not part of a
//! handover; the plan handles it.

use std::collections::BTreeMap;

use crdt_state::handover::{Asked, Handovers};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};

/// The most questions that a node asks at a time, and the most answers that it gives. At 40 bytes
/// each at most, they come to 40 KB of the 64 KiB that a record takes. A surplus copy beyond them
/// waits for its turn.
pub const ENTRIES_MAX: usize = 500;

/// The questions that this node asks, and the answers that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    me: NodeId,
    said: Handovers,
}

impl Handover {
    /// What this node wrote last, if it wrote that with this store; else nothing.
    pub fn restore(me: NodeId, store: StoreId, written: Option<Handovers>) -> Handover {
        let written = written.filter(|written| written.store == store);
        Handover { me, said: written.unwrap_or_else(|| Handovers::none(store)) }
    }

    /// The value of this node's record.
    pub fn said(&self) -> &Handovers {
        &self.said
    }

    /// Asks `keeper` whether it keeps the slot, unless it is asked already. This store must never
    /// have used `number` for this slot in a record that was written.
    pub fn ask(&mut self, number: u64, service: ServiceId, slot: Slot, keeper: NodeId) {
        if self.said.asks.get(&(service, keeper)).is_some_and(|asked| asked.contains_key(&slot)) {
            return;
        }
        self.withdraw(service, slot);
        if self.said.asks.values().map(BTreeMap::len).sum::<usize>() < ENTRIES_MAX {
            self.said.asks.entry((service, keeper)).or_default().insert(slot, number);
        }
    }

    /// Withdraws the question about the slot, if there is one.
    pub fn withdraw(&mut self, service: ServiceId, slot: Slot) {
        for ((of, _), asked) in &mut self.said.asks {
            if *of == service {
                asked.remove(&slot);
            }
        }
        self.said.asks.retain(|_, asked| !asked.is_empty());
    }

    /// The slots of a service about which this node asks another node.
    pub fn asked(&self, service: ServiceId) -> Vec<Slot> {
        let of_it = self.said.asks.iter().filter(|((of, _), _)| *of == service);
        of_it.flat_map(|(_, asked)| asked.keys().copied()).collect()
    }

    /// Has the node that is asked about the slot answered that it keeps the slot? `theirs` is that
    /// node's record.
    pub fn is_kept_by(
        &self,
        keeper: NodeId,
        theirs: &Handovers,
        service: ServiceId,
        slot: Slot,
    ) -> bool {
        let asked = self.said.asks.get(&(service, keeper)).and_then(|asked| asked.get(&slot));
        let (Some(number), Some((store, kept))) = (asked, theirs.keeps.get(&(service, self.me)))
        else {
            return false;
        };
        *store == self.said.store && kept.get(&slot) == Some(number)
    }

    /// Answers the questions of other nodes about a service: for the slots that this node keeps,
    /// unless it asks about them itself. An answer stands for as long as its question does.
    pub fn answer(
        &mut self,
        service: ServiceId,
        theirs: &BTreeMap<NodeId, Handovers>,
        keeps: impl Fn(Slot) -> bool,
    ) {
        let mine = self.asked(service);
        let mut answers = BTreeMap::new();
        for (asker, said) in theirs.iter().filter(|(asker, _)| **asker != self.me) {
            let Some(asked) = said.asks.get(&(service, self.me)) else { continue };
            let before = self.said.keeps.get(&(service, *asker));
            let answered = |slot: &Slot, number: &u64| {
                before.is_some_and(|(store, kept)| {
                    *store == said.store && kept.get(slot) == Some(number)
                })
            };
            let kept: Asked = asked
                .iter()
                .filter(|(slot, number)| {
                    answered(slot, number) || (keeps(**slot) && !mine.contains(slot))
                })
                .map(|(slot, number)| (*slot, *number))
                .collect();
            if !kept.is_empty() {
                answers.insert((service, *asker), (said.store, kept));
            }
        }
        self.said.keeps.retain(|(of, _), _| *of != service);
        for (key, (store, mut kept)) in answers {
            let others: usize = self.said.keeps.values().map(|(_, kept)| kept.len()).sum();
            while others + kept.len() > ENTRIES_MAX {
                kept.pop_last();
            }
            if !kept.is_empty() {
                self.said.keeps.insert(key, (store, kept));
            }
        }
    }
}
