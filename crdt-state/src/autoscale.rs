//! Autoscaling: what operators ask for, and what nodes report of the load and declare of the count.
//!
//! ```text
//! each node reports the load of its own tasks ──▶ a node declares another count, in its own record
//!                                                     ──▶ the highest (round, count) is the count
//! ```
//! There is no leader, so which count is in force must follow from the records alone, in whatever
//! order they arrive. A higher count takes the place of a lower one in the same round; a lower one
//! needs a new round. Nobody begins a round while a node that has tasks is silent, so both sides of
//! a partition go on in one round, and after the heal the higher count is in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId};
use crate::key::{Kind, RecordKey};
use crate::spec::Scale;

/// The highest target and the highest use of one task, in percent: a task without a limit may use
/// 100 cores.
pub const PERCENT_MAX: u32 = 10_000;

/// The value of [`crate::spec::Facet::AUTOSCALE`] is an optional one of these; `None`: it was taken
/// off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Autoscale {
    /// At least so many tasks.
    pub min: u32,
    /// At most so many tasks.
    pub max: u32,
    /// The CPU that tasks are to use on average, in percent of their limit, else of their
    /// reservation, else of one core.
    pub cpu: Option<u32>,
    /// The memory that tasks are to use on average, in percent of their limit.
    pub memory: Option<u32>,
}

impl Autoscale {
    /// The number of tasks in force: what was declared, else what operators wrote to begin with.
    pub fn count(&self, written: u32, declared: Option<DeclaredCount>) -> u32 {
        declared.map_or(written, |declared| declared.count).min(self.max).max(self.min)
    }

    /// The scale in force. Only a number of replicas is scaled.
    pub fn scale(&self, written: Scale, declared: Option<DeclaredCount>) -> Scale {
        match written {
            Scale::Replicated { replicas } => {
                Scale::Replicated { replicas: self.count(replicas, declared) }
            }
            other => other,
        }
    }
}

/// A count that a node declared. Of two the greater one is in force: the fields are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeclaredCount {
    /// Raised by whoever declares a lower count.
    pub round: u32,
    /// The number of tasks.
    pub count: u32,
}

/// What one node reports of one service that is scaled by its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ScalingReport {
    /// Its tasks of the service of which it has figures.
    pub tasks: u32,
    /// The CPU that these use together, the sum of their percentages.
    pub cpu: u32,
    /// The memory that these use together, the sum of their percentages.
    pub memory: u32,
    /// The last count that it declared.
    pub declared: Option<DeclaredCount>,
}

/// The value of a node's record of all services that are scaled by their load.
pub type ScalingReports = BTreeMap<ServiceId, ScalingReport>;

impl RecordKey {
    /// The key of what a node reports of services that are scaled by their load.
    pub fn scaling(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::SCALING, id, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_TEN: Autoscale = Autoscale { min: 2, max: 10, cpu: Some(60), memory: None };

    fn declared(round: u32, count: u32) -> DeclaredCount {
        DeclaredCount { round, count }
    }

    #[test]
    fn the_higher_count_is_in_force_unless_a_later_round_lowered_it() {
        let of = |all: &[DeclaredCount]| all.iter().max().copied();
        assert_eq!(of(&[declared(3, 4), declared(3, 8), declared(2, 9)]), Some(declared(3, 8)));
        assert_eq!(of(&[declared(4, 4), declared(3, 8)]), Some(declared(4, 4)));
    }

    #[test]
    fn a_count_is_never_outside_of_what_operators_allow_now() {
        assert_eq!(TO_TEN.count(1, None), 2);
        assert_eq!(TO_TEN.count(40, None), 10);
        assert_eq!(TO_TEN.count(3, Some(declared(1, 99))), 10);
        assert_eq!(TO_TEN.count(3, Some(declared(1, 0))), 2);
        assert_eq!(TO_TEN.count(3, Some(declared(0, 7))), 7);
        assert_eq!(TO_TEN.scale(Scale::Global, Some(declared(1, 7))), Scale::Global);
    }
}
