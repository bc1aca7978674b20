//! Conflicts: facets that were written on both sides of a partition with different values.
//!
//! One value won, by rule and alike on every node; the others stay in the register, and are shown,
//! until somebody writes the facet again. Nothing here decides anything.

use crate::key::RecordKey;
use crate::register::{Register, Write};
use crate::spec::Facet;
use crate::stamp::Stamp;

/// One of the values that were written without knowledge of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Who wrote it, after what.
    pub stamp: Stamp,
    /// When, by the writer's clock, milliseconds since 1970. Display only.
    pub wall_ms: u64,
    /// The encoded value.
    pub value: Vec<u8>,
}

/// A facet with more than one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The record.
    pub key: RecordKey,
    /// The facet of it.
    pub facet: Facet,
    /// The value that counts.
    pub winner: Alternative,
    /// The values that do not, strongest first; each differs from the winner's.
    pub losers: Vec<Alternative>,
}

/// There is no such value to pick: somebody wrote the facet again meanwhile, or the record was
/// removed, or the value is beyond a limit. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such value: the facet was written again, its record removed, or it is beyond a limit"
)]
pub struct NoSuchValue;

impl Conflict {
    /// Of a facet and the write of it that counts; `None` if all its writes say the same.
    pub(crate) fn of(
        key: RecordKey,
        facet: Facet,
        register: &Register,
        winner: &Write,
    ) -> Option<Conflict> {
        let differing = register.writes().iter().filter(|write| write.value != winner.value);
        let losers: Vec<Alternative> = differing.map(Alternative::of).collect();
        if losers.is_empty() {
            return None;
        }
        Some(Conflict { key, facet, winner: Alternative::of(winner), losers })
    }
}

impl Alternative {
    fn of(write: &Write) -> Alternative {
        Alternative { stamp: write.stamp, wall_ms: write.wall_ms, value: write.value.clone() }
    }
}
