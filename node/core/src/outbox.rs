//! The order of writes and of what depends on them.
//!
//! One `Persist` is under way at a time; changes that come meanwhile go into the next one, so a
//! slow disk batches by itself. Actions that depend on a change are held until the change is on
//! disk. Actions of the failure detector are never held.

use std::collections::{BTreeSet, VecDeque};

use crdt_state::RecordKey;
use crdt_state::replica::Replica;
use crdt_state::task::Run;

use crate::input::Action;

/// Actions on their way out. Bounded by what one persist can hold up: the queues of gossip are
/// bounded by records, and orders by the tasks of this node.
#[derive(Debug, Default)]
pub struct Outbox {
    ready: VecDeque<Action>,
    held: VecDeque<(u64, Action)>,
    changed: BTreeSet<RecordKey>,
    under_way: Option<(u64, BTreeSet<RecordKey>)>,
    last_seq: u64,
}

impl Outbox {
    /// An action that depends on nothing stored.
    pub fn push(&mut self, action: Action) {
        self.ready.push_back(action);
    }

    /// An action that depends on every change noted so far.
    pub fn push_held(&mut self, action: Action) {
        let gate = match (&self.under_way, self.changed.is_empty()) {
            (_, false) => self.last_seq + 1,
            (Some((seq, _)), true) => *seq,
            (None, true) => return self.ready.push_back(action),
        };
        self.held.push_back((gate, action));
    }

    /// A run is not to be started after all. Returns whether its start still waited for the disk;
    /// then the start is taken back.
    pub fn take_back_start(&mut self, run: Run) -> bool {
        let before = self.held.len();
        self.held
            .retain(|(_, action)| !matches!(action, Action::StartRun(start) if start.run == run));
        self.held.len() < before
    }

    /// These records changed.
    pub fn note_changed(&mut self, keys: impl IntoIterator<Item = RecordKey>) {
        self.changed.extend(keys);
    }

    /// Would [`Outbox::flush`] order a write?
    pub fn is_due(&self) -> bool {
        self.under_way.is_none() && !self.changed.is_empty()
    }

    /// Orders the next write, if one is needed and none is under way.
    pub fn flush(&mut self, replica: &Replica) {
        if !self.is_due() {
            return;
        }
        self.last_seq += 1;
        let keys = std::mem::take(&mut self.changed);
        let (mut puts, mut drops) = (Vec::new(), Vec::new());
        for key in &keys {
            match replica.encode_record(key) {
                Some(bytes) => puts.push((*key, bytes)),
                None => drops.push(*key),
            }
        }
        self.ready.push_back(Action::Persist { seq: self.last_seq, puts, drops });
        self.under_way = Some((self.last_seq, keys));
    }

    /// A write is on disk: releases the actions that waited for it, and returns the records that
    /// may now be spread.
    pub fn on_persisted(&mut self, seq: u64) -> BTreeSet<RecordKey> {
        let Some((_, keys)) = self.under_way.take_if(|(under_way, _)| *under_way <= seq) else {
            return BTreeSet::new();
        };
        while self.held.front().is_some_and(|(gate, _)| *gate <= seq) {
            self.ready.extend(self.held.pop_front().map(|(_, action)| action));
        }
        keys
    }

    /// Is a write under way?
    pub fn is_writing(&self) -> bool {
        self.under_way.is_some()
    }

    /// The next action.
    pub fn pop(&mut self) -> Option<Action> {
        self.ready.pop_front()
    }
}
