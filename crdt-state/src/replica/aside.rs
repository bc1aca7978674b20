//! Records that a node could not apply: which are being applied, which are held back after a crash,
//! and which are set aside because the node crashed again.
//!
//! This is the only judgement of a record that depends on the node and not on the record alone.
//! Such a record is held, passed on and part of the digest like any other, but it is not read. A
//! further write gives the record another digest, and so it is tried again.

use std::collections::BTreeSet;

use super::Replica;
use crate::digest::Digest;
use crate::key::{Kind, RecordKey};
use crate::limits::Unfit;

/// The share of the records held back that is released at a time after a crash: a sixteenth. Among
/// up to 16 records the one that crashes the node is released alone the next time; among five
/// thousand, after four crashes.
const SHARE: usize = 16;

/// Stores which records are being applied, so that the next start after a crash can read it. Must
/// not fail.
pub trait Witness: Send {
    /// These records are applied from now on, besides those that were reported before.
    fn applying(&mut self, records: &[Digest]);
    /// All reported records are applied.
    fn applied(&mut self);
}

/// What earlier runs of the agent left.
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
    /// Reports every record from outside to the witness from now on. The records of `held_back` are
    /// released a few at a time by [`Replica::let_in`], those of `set_aside` never. Must be called
    /// before anything is loaded.
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

    /// Releases some of the records that were held back, nodes first. They count as changed.
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

    /// Everything that was merged or released has been applied.
    pub fn applied(&mut self) {
        if std::mem::take(&mut self.aside.in_hand)
            && let Some(witness) = &mut self.aside.witness
        {
            witness.applied();
        }
    }
}
