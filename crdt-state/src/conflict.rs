//! Conflicts: facets that were written on both sides of a partition with different values, and
//! edits of a record that was removed on the other side.
//!
//! One value wins, by the same rule on every node. The others stay in the register, and are shown,
//! until somebody writes the facet again. Nothing here decides anything.

use crate::key::RecordKey;
use crate::record::SharedRecord;
use crate::register::Write;
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;
use crate::wire;

/// One of several values whose writers did not see each other's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The facet of the value: that of the conflict, or [`Facet::LIFE`] for a removal that did not
    /// see the edit.
    pub facet: Facet,
    /// Who wrote the value, and after which writes.
    pub stamp: Stamp,
    /// The time of the write by the writer's clock, milliseconds since 1970. Display only.
    pub wall_ms: u64,
    /// The encoded value.
    pub value: Vec<u8>,
}

/// A facet with more than one value, or with one that the removal of its record did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The record.
    pub key: RecordKey,
    /// The facet that is in conflict.
    pub facet: Facet,
    /// The label, for [`Facet::LABEL_CHANGES`]: labels conflict one by one.
    pub label: Option<String>,
    /// The value that counts, or the removal.
    pub winner: Alternative,
    /// The values that do not count, strongest first; each differs from the winner's.
    pub losers: Vec<Alternative>,
}

/// No such value can be picked: meanwhile somebody wrote the facet again, or removed the record
/// after seeing the value, or the value is beyond a limit. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such value: the facet was written again, its record removed, or it is beyond a limit"
)]
pub struct NoSuchValue;

impl Conflict {
    /// All conflicts of a record that are not settled yet.
    pub(crate) fn of(key: RecordKey, record: &SharedRecord) -> Vec<Conflict> {
        if let Some(removal) = record.removed_by() {
            return Conflict::of_removed(key, record, removal);
        }
        let facets = record.facets().filter(|(facet, _)| match *facet {
            // Labels are listed key by key. Volumes given up never conflict: both sides' ids count.
            Facet::LABEL_CHANGES | Facet::VOLUMES_GIVEN_UP => false,
            Facet::LABELS => record.has_whole_labels(),
            facet => is_operators(facet),
        });
        let conflicts = facets.filter_map(|(facet, register)| {
            let winner = record.winner(facet)?;
            let losers = register
                .writes()
                .iter()
                .filter(|write| !is_same(facet, &write.value, &winner.value));
            Conflict::between(key, (facet, winner), (facet, losers))
        });
        conflicts.chain(record.label_conflicts(key)).collect()
    }

    /// The other names that were given to the record, and every edit that no removal saw, facet by
    /// facet.
    fn of_removed(key: RecordKey, record: &SharedRecord, removal: &Write) -> Vec<Conflict> {
        let winner = (Facet::LIFE, removal);
        let renamed = record
            .writes_of(Facet::LIFE)
            .iter()
            .filter(|write| !matches!(wire::decode(&write.value), Ok(Life::Removed { .. })));
        let mut conflicts = Vec::from_iter(Conflict::between(key, winner, (Facet::LIFE, renamed)));
        let unseen = record.unseen();
        // Entries of labels are listed together with their map.
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

/// Do two values say the same? What every node makes of the same file has one id, and on each side of
/// a partition an age of its own.
fn is_same(facet: Facet, one: &[u8], other: &[u8]) -> bool {
    let name = |value: &[u8]| match wire::decode(value) {
        Ok(Life::Present { name, .. }) if facet == Facet::LIFE => Some(name),
        _ => None,
    };
    one == other || name(one).is_some_and(|one| name(other) == Some(one))
}

/// Facets that are written along with an operator's value have nothing to pick.
fn is_operators(facet: Facet) -> bool {
    !matches!(
        facet,
        Facet::REMOVAL
            | Facet::LAST_GOOD
            | Facet::PREVIOUS
            | Facet::PREVIOUS_NETWORKS
            | Facet::EARLIER_EXTENSIONS
            // Whoever has the file that counts makes everything as it says.
            | Facet::STACK
            // A token is written once, and never taken again once it has ended anywhere.
            | Facet::TOKEN
            | Facet::TOKEN_END
    )
}

impl Alternative {
    fn of(facet: Facet, write: &Write) -> Alternative {
        let Write { stamp, wall_ms, value, .. } = write;
        Alternative { facet, stamp: *stamp, wall_ms: *wall_ms, value: value.clone() }
    }
}
