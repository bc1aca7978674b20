//! Records that a node could not apply: which are being applied, which are held back after a
//! crash, and which are set aside because it crashed again.
//!
//! The only judgement of a record that is a node's own and not a function of the record. Such a
//! record is held, passed on and part of the digest like any other; it is not read. Another write
//! gives it another digest, and with that another chance.

use std::collections::BTreeSet;

use super::Replica;
use crate::digest::Digest;
use crate::key::{Kind, RecordKey};
use crate::limits::Unfit;

/// Records that are let in at once after a crash: a sixteenth of those held back. One that
/// crashed alone with few others is alone the next time; one of five thousand after four crashes.
const SHARE: usize = 16;

/// Is told what is being applied, for whoever comes after a crash. Must not fail.
pub trait Witness: Send {
    /// These are applied from now on, besides those told before.
    fn applying(&mut self, records: &[Digest]);
    /// All that were told are applied.
    fn applied(&mut self);
}

/// What earlier lives of the node left behind.
#[derive(Default)]
pub(super) struct Aside {
    witness: Option<Box<dyn Witness>>,
    in_hand: bool,
    held_back: BTreeSet<Digest>,
    set_aside: BTreeSet<Digest>,
}

impl Aside {
    pub(super) fn judge(&self, digest: &Digest) -> Result<(), Unfit> {
        match (self.set_aside.contains(digest), self.held_back.contains(digest)) {
            (true, _) => Err(Unfit::SetAside),
            (false, true) => Err(Unfit::HeldBack),
            (false, false) => Ok(()),
        }
    }

    pub(super) fn applying(&mut self, records: &[Digest]) {
        if let Some(witness) = self.witness.as_mut().filter(|_| !records.is_empty()) {
            witness.applying(records);
            self.in_hand = true;
        }
    }
}

impl Replica {
    /// Has every record from outside told to the witness. Those of `held_back` are let in a few at
    /// a time by [`Replica::let_in`], those of `set_aside` not at all. To be called before anything
    /// is loaded.
    pub fn watch(
        &mut self,
        witness: Box<dyn Witness>,
        held_back: BTreeSet<Digest>,
        set_aside: BTreeSet<Digest>,
    ) {
        self.aside = Aside { witness: Some(witness), in_hand: false, held_back, set_aside };
    }

    /// Are records still held back?
    pub fn is_holding_back(&self) -> bool {
        self.unfit.values().any(|unfit| *unfit == Unfit::HeldBack)
    }

    /// Lets some of the records in that were held back, nodes first. They count as changed.
    pub fn let_in(&mut self) {
        if !self.is_holding_back() {
            return;
        }
        let held = self.unfit.iter().filter(|(_, unfit)| **unfit == Unfit::HeldBack);
        let mut keys: Vec<RecordKey> = held.map(|(key, _)| *key).collect();
        keys.sort_by_key(|key| (key.kind != Kind::NODE, *key));
        keys.truncate(keys.len().div_ceil(SHARE));
        let digests: Vec<Digest> = keys.iter().filter_map(|key| self.record_digest(key)).collect();
        self.aside.applying(&digests);
        for digest in &digests {
            self.aside.held_back.remove(digest);
        }
        for key in keys {
            self.index(key);
            self.changed.insert(key);
        }
    }

    /// Everything that came in was applied.
    pub fn applied(&mut self) {
        if std::mem::take(&mut self.aside.in_hand)
            && let Some(witness) = &mut self.aside.witness
        {
            witness.applied();
        }
    }
}
