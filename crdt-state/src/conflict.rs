//! Conflicts: facets that were written on both sides of a partition with different values, and
//! edits of a record that was removed on the other side.
//!
//! One value won, by rule and alike on every node; the others stay in the register, and are shown,
//! until somebody writes the facet again. Nothing here decides anything.

use crate::key::RecordKey;
use crate::record::SharedRecord;
use crate::register::Write;
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;
use crate::wire;

/// One of the values that were written without knowledge of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Of which facet: the conflict's, but [`Facet::LIFE`] for a removal that did not see the edit.
    pub facet: Facet,
    /// Who wrote it, after what.
    pub stamp: Stamp,
    /// When, by the writer's clock, milliseconds since 1970. Display only.
    pub wall_ms: u64,
    /// The encoded value.
    pub value: Vec<u8>,
}

/// A facet with more than one value, or with one that the removal of its record did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The record.
    pub key: RecordKey,
    /// The facet of it.
    pub facet: Facet,
    /// The label, of [`Facet::LABEL_CHANGES`]: labels conflict one by one.
    pub label: Option<String>,
    /// The value that counts, or the removal.
    pub winner: Alternative,
    /// The values that do not, strongest first; each differs from the winner's.
    pub losers: Vec<Alternative>,
}

/// There is no such value to pick: somebody wrote the facet again meanwhile, or removed the record
/// having seen it, or the value is beyond a limit. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such value: the facet was written again, its record removed, or it is beyond a limit"
)]
pub struct NoSuchValue;

impl Conflict {
    /// Everything in a record that lost and was not settled since.
    pub(crate) fn of(key: RecordKey, record: &SharedRecord) -> Vec<Conflict> {
        if let Some(removal) = record.removed_by() {
            return Conflict::of_removed(key, record, removal);
        }
        let facets = record.facets().filter(|(facet, _)| match *facet {
            // Labels are listed key by key; what is given up on each side is given up.
            Facet::LABEL_CHANGES | Facet::VOLUMES_GIVEN_UP => false,
            Facet::LABELS => record.has_whole_labels(),
            facet => is_operators(facet),
        });
        let conflicts = facets.filter_map(|(facet, register)| {
            let winner = record.winner(facet)?;
            let losers = register.writes().iter().filter(|write| write.value != winner.value);
            Conflict::between(key, (facet, winner), (facet, losers))
        });
        conflicts.chain(record.label_conflicts(key)).collect()
    }

    /// Other names that it was given, and every edit that no removal saw, facet by facet.
    fn of_removed(key: RecordKey, record: &SharedRecord, removal: &Write) -> Vec<Conflict> {
        let winner = (Facet::LIFE, removal);
        let renamed = record
            .writes_of(Facet::LIFE)
            .iter()
            .filter(|write| !matches!(wire::decode(&write.value), Ok(Life::Removed { .. })));
        let mut conflicts = Vec::from_iter(Conflict::between(key, winner, (Facet::LIFE, renamed)));
        let unseen = record.unseen();
        // The entries of labels go with their map.
        let facets = record.facets().map(|(facet, _)| facet);
        let facets = facets.filter(|facet| *facet != Facet::LABEL_CHANGES);
        for facet in facets.filter(|facet| is_operators(*facet)) {
            let edits = unseen.iter().filter(|(of, _)| *of == facet).map(|(_, write)| *write);
            conflicts.extend(Conflict::between(key, winner, (facet, edits)));
        }
        conflicts
    }

    fn between<'a>(
        key: RecordKey,
        (of, winner): (Facet, &Write),
        (facet, losers): (Facet, impl Iterator<Item = &'a Write>),
    ) -> Option<Conflict> {
        let losers: Vec<_> = losers.map(|write| Alternative::of(facet, write)).collect();
        let winner = Alternative::of(of, winner);
        (!losers.is_empty()).then_some(Conflict { key, facet, label: None, winner, losers })
    }
}

/// What is written along with an operator's value goes with it: there is nothing to pick in it.
fn is_operators(facet: Facet) -> bool {
    !matches!(facet, Facet::REMOVAL | Facet::LAST_GOOD | Facet::PREVIOUS)
}

impl Alternative {
    fn of(facet: Facet, write: &Write) -> Alternative {
        let Write { stamp, wall_ms, value, .. } = write;
        Alternative { facet, stamp: *stamp, wall_ms: *wall_ms, value: value.clone() }
    }
}
