//! Limits of what decides where tasks run: preferences, and what is reserved.

use std::collections::BTreeMap;

use super::{AMOUNT_MAX, Bounded, Unfit, at_most, number};
use crate::spec::{Placement, Resources};

/// Placement preferences of one service: a plan looks at every node once per preference.
pub const PREFERENCES_MAX: usize = 16;

/// The planner checks constraints and preferences, and leaves alone what it cannot parse.
impl Bounded for Placement {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of preferences", self.preferences.len(), PREFERENCES_MAX)
    }
}

impl Bounded for Resources {
    fn check(&self) -> Result<(), Unfit> {
        number("the amount of processors", self.nano_cpus, AMOUNT_MAX)?;
        number("the amount of memory", self.memory_bytes, AMOUNT_MAX)?;
        number("the number of processes", self.pids, AMOUNT_MAX)?;
        amounts(&self.generic)
    }
}

fn amounts(generic: &BTreeMap<String, u64>) -> Result<(), Unfit> {
    generic.values().try_for_each(|amount| number("a generic resource", *amount, AMOUNT_MAX))
}
