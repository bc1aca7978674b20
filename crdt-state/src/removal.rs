//! Removals: what was removed, what the removal had seen, and how the record can be brought back.
//!
//! A removal wins over every edit that it did not see, at once and on every node. So that such an
//! edit is not lost, the removal lists the writes that it saw. All other writes in the record are
//! shown as conflicts, until somebody confirms the removal or brings the record back. Nothing here
//! ever undoes a removal by itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::conflict::NoSuchValue;
use crate::key::RecordKey;
use crate::limits;
use crate::record::{Record, SharedRecord};
use crate::register::Write;
use crate::replica::Replica;
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;
use crate::wire;

/// What a removal had seen: the value of [`Facet::REMOVAL`]. It has at most as many stamps as a
/// record has writes, 256 of 37 bytes: 10 KB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalFact {
    /// The write of [`Facet::LIFE`] that removes. A version that does not know this facet writes
    /// only [`Facet::LIFE`]: what such a removal had seen is not known, and its record lists no
    /// unseen edits.
    pub life: Stamp,
    /// When the record was created; needed if it is brought back.
    pub created: Stamp,
    /// The writes of other facets that were held.
    pub seen: Vec<(Facet, Stamp)>,
}

impl SharedRecord {
    /// The write that removed this record, if it is removed.
    pub fn removed_by(&self) -> Option<&Write> {
        self.winner(Facet::LIFE).filter(|write| is_removal(write))
    }

    /// The writes of a removed record that none of its removals had seen. Empty also if it is not
    /// known what the removals saw.
    pub fn unseen(&self) -> Vec<(Facet, &Write)> {
        let removals: Vec<Stamp> = self
            .writes_of(Facet::LIFE)
            .iter()
            .filter(|write| is_removal(write))
            .map(|write| write.stamp)
            .collect();
        let facts = self.facts();
        let mut seen = BTreeSet::new();
        for life in &removals {
            let Some(fact) = facts.iter().find(|fact| fact.life == *life) else {
                return Vec::new();
            };
            seen.extend(fact.seen.iter().copied());
        }
        let edits = self.edits().filter(|(facet, write)| !seen.contains(&(*facet, write.stamp)));
        if removals.is_empty() { Vec::new() } else { edits.collect() }
    }

    /// The writes to the record's content, without those that say whether it exists.
    fn edits(&self) -> impl Iterator<Item = (Facet, &Write)> {
        self.writes().filter(|(facet, _)| !matches!(*facet, Facet::LIFE | Facet::REMOVAL))
    }

    fn facts(&self) -> Vec<RemovalFact> {
        self.writes_of(Facet::REMOVAL)
            .iter()
            .filter_map(|write| wire::decode(&write.value).ok())
            .collect()
    }
}

fn is_removal(write: &Write) -> bool {
    matches!(wire::decode::<Life>(&write.value), Ok(Life::Removed { .. }))
}

impl Replica {
    /// Removes a record that exists, or confirms its removal. The write replaces everything held.
    pub fn remove(&mut self, key: RecordKey, wall_ms: u64) -> Result<Stamp, NoSuchValue> {
        let record = self.record(&key).and_then(Record::as_shared).ok_or(NoSuchValue)?;
        let (name, created) = match self.life(&key).ok_or(NoSuchValue)? {
            Life::Present { name, created } => (name, created),
            Life::Removed { name } => (name, created_before(record)),
        };
        let seen = record.edits().map(|(facet, write)| (facet, write.stamp)).collect();
        let life = self.edit(key, Facet::LIFE, &Life::Removed { name }, wall_ms);
        self.edit(key, Facet::REMOVAL, &RemovalFact { life, created, seen }, wall_ms);
        Ok(life)
    }

    /// Settles a conflict of a removed record. It confirms the removal, or brings the record back
    /// with everything that was written to it; where several values were written, this one counts.
    pub(crate) fn pick_of_removed(
        &mut self,
        key: RecordKey,
        facet: Facet,
        stamp: Stamp,
        wall_ms: u64,
    ) -> Result<Stamp, NoSuchValue> {
        let record = self.record(&key).and_then(Record::as_shared).ok_or(NoSuchValue)?;
        let writes = record.writes_of(facet);
        let picked = writes.iter().find(|write| write.stamp == stamp);
        let picked = picked.ok_or(NoSuchValue)?;
        limits::check_facet(key.kind, facet, &picked.value).map_err(|_| NoSuchValue)?;
        if facet == Facet::LIFE {
            return match wire::decode(&picked.value) {
                Ok(Life::Present { name, created }) => {
                    Ok(self.edit(key, facet, &Life::Present { name, created }, wall_ms))
                }
                _ => self.remove(key, wall_ms),
            };
        }
        let Some(Life::Removed { name }) = self.life(&key) else { return Err(NoSuchValue) };
        if !record.unseen().contains(&(facet, picked)) {
            return Err(NoSuchValue);
        }
        let created = created_before(record);
        // Labels of several sides are merged, so none has to be picked.
        let is_one_of_several = writes.len() > 1 && facet != Facet::LABELS;
        let settles = is_one_of_several.then(|| picked.value.clone());
        if let Some(value) = settles {
            self.write(key, facet, value, wall_ms);
        }
        Ok(self.edit(key, Facet::LIFE, &Life::Present { name, created }, wall_ms))
    }
}

/// When a removed record was created, as its removals say. For a record that an older version
/// removed: the stamp of its first remaining write.
fn created_before(record: &SharedRecord) -> Stamp {
    let said = record.facts().into_iter().map(|fact| fact.created).min();
    let first = record.writes().map(|(_, write)| write.stamp).min();
    said.or(first).expect("a record has a write")
}
