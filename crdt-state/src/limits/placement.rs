//! Limits of what decides where tasks run: preferences, and what is reserved.

use std::collections::{BTreeMap, BTreeSet};

use super::{AMOUNT_MAX, Bounded, Unfit, WORD_BYTES_MAX, at_most, number};
use crate::resource::{NamedResources, RESOURCE_NAMES_MAX};
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

/// Names are letters of a variable's value on the node itself; others only show them.
impl Bounded for NamedResources {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of names", self.values().map(BTreeSet::len).sum(), RESOURCE_NAMES_MAX)?;
        let names = self.values().flatten();
        self.keys().chain(names).try_for_each(|word| {
            at_most("the length of the name of a resource", word.len(), WORD_BYTES_MAX)
        })
    }
}

fn amounts(generic: &BTreeMap<String, u64>) -> Result<(), Unfit> {
    generic.values().try_for_each(|amount| number("a generic resource", *amount, AMOUNT_MAX))
}
