//! Connections to destinations, spread over tasks: what both balancers have in common.
//!
//! A destination is a virtual address or a published port. Its chain draws a slot, and a map says
//! which task stands in it. What was written is kept, so that a change sends differences only; after
//! an error or a restart it is not known, and the whole table is replaced.
//!
//! ```text
//! nothing written ── apply: replace ──> written ── apply: edit ──> written
//!        ^                                 │
//!        └── is_intact: No, edit refused ──┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use super::BalancingError;
use super::element::{Edit, Elements, Place, Value, difference};
use super::layout::Layout;
use super::slots::fill;
use super::table::{Intact, Table};

/// A task as a destination leads to it: its address and, for published ports, its port.
pub(super) type Target = (IpAddr, u16);

/// A destination as it was written.
pub(super) struct Destination {
    /// The tasks as they were wanted, all different.
    pub(super) targets: Vec<Target>,
    pub(super) slots: Vec<Target>,
}

/// What an `apply` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Nothing had to be changed.
    Nothing,
    /// So many elements were changed.
    Elements(usize),
    /// The table was written anew, with so many elements.
    Everything(usize),
}

/// What an `apply` did, and where flows may lead to the wrong place since.
pub(super) struct Applied<K> {
    pub(super) changed: Changed,
    /// The destinations that a task left, and those that went.
    pub(super) misled: BTreeSet<K>,
    /// The destinations that were changed; `None`: it may be any.
    pub(super) moved: Option<BTreeSet<K>>,
}

/// What the kernel of a namespace holds.
struct Written<K> {
    destinations: BTreeMap<K, Destination>,
    /// Elements that belong to no destination.
    others: Elements,
}

/// What the kernel shall hold.
pub(super) struct Wanted<K> {
    /// The tasks of each destination, all different.
    pub(super) destinations: BTreeMap<K, Vec<Target>>,
    /// Elements that belong to no destination.
    pub(super) others: Elements,
}

/// The destinations of one table.
pub(super) struct Spread<K> {
    table: Table,
    written: Option<Written<K>>,
    elements: fn(&K, &[Target]) -> Elements,
}

impl<K: Ord + Copy> Spread<K> {
    /// Opens a namespace; changes nothing. `elements` says how a destination with these slots is
    /// written.
    pub(super) fn open(
        namespace: BorrowedFd<'_>,
        layout: Layout,
        elements: fn(&K, &[Target]) -> Elements,
    ) -> Result<Self, BalancingError> {
        Ok(Self { table: Table::open(namespace, layout)?, written: None, elements })
    }

    /// Makes the kernel hold what is wanted.
    pub(super) fn apply(&mut self, wanted: Wanted<K>) -> Result<Applied<K>, BalancingError> {
        let Some(written) = self.written.take() else { return self.replace(wanted) };
        let misled = misled(&written.destinations, &wanted.destinations);
        let (next, edits) = self.plan(written, &wanted);
        let count = edits.len();
        match self.table.edit(edits) {
            Ok(()) => self.written = Some(next),
            // Somebody removed the table or changed its elements.
            Err(error) if error.is_stale() => return self.replace(wanted),
            Err(error) => return Err(error),
        }
        let changed = if count == 0 { Changed::Nothing } else { Changed::Elements(count) };
        Ok(Applied { changed, misled, moved: None })
    }

    /// Makes the kernel hold these destinations and elements as wanted, and leaves all others. An
    /// entry without a value is removed. `None`: it is not known what the kernel holds, and
    /// everything has to be applied.
    pub(super) fn apply_some(
        &mut self,
        wanted: BTreeMap<K, Option<Vec<Target>>>,
        others: BTreeMap<Place, Option<Value>>,
    ) -> Result<Option<Applied<K>>, BalancingError> {
        let Some(mut written) = self.written.take() else { return Ok(None) };
        let (mut edits, mut misled) = (Vec::new(), BTreeSet::new());
        let moved = Some(wanted.keys().copied().collect());
        for (key, targets) in wanted {
            let before = written.destinations.remove(&key);
            if before.as_ref().is_some_and(|before| is_misled(before, targets.as_deref())) {
                misled.insert(key);
            }
            let old = before.as_ref().map_or(&[][..], |before| before.slots.as_slice());
            let elements = |slots: &[Target]| (self.elements)(&key, slots);
            let had = before.as_ref().map(|_| elements(old)).unwrap_or_default();
            let slots = targets.as_ref().map(|targets| fill(old, targets));
            let has = slots.as_ref().map(|slots| elements(slots)).unwrap_or_default();
            difference(had, has, &mut edits);
            let after = slots.zip(targets).map(|(slots, targets)| Destination { targets, slots });
            written.destinations.extend(after.map(|after| (key, after)));
        }
        for (place, value) in others {
            let had = written.others.remove_entry(&place);
            let has = value.map(|value| (place, value));
            difference(had.into_iter().collect(), has.clone().into_iter().collect(), &mut edits);
            written.others.extend(has);
        }
        let count = edits.len();
        match self.table.edit(edits) {
            Ok(()) => self.written = Some(written),
            // Somebody removed the table or changed its elements.
            Err(error) if error.is_stale() => return Ok(None),
            Err(error) => return Err(error),
        }
        let changed = if count == 0 { Changed::Nothing } else { Changed::Elements(count) };
        Ok(Some(Applied { changed, misled, moved }))
    }

    fn replace(&mut self, wanted: Wanted<K>) -> Result<Applied<K>, BalancingError> {
        let misled = wanted.destinations.keys().copied().collect();
        let destinations = wanted.destinations.into_iter();
        let destinations = destinations
            .map(|(key, targets)| (key, Destination { slots: fill(&[], &targets), targets }))
            .collect();
        let written = Written { destinations, others: wanted.others };
        let elements = self.all_elements(&written);
        let count = elements.len();
        self.table.replace(elements)?;
        self.written = Some(written);
        Ok(Applied { changed: Changed::Everything(count), misled, moved: None })
    }

    fn plan(&self, mut old: Written<K>, wanted: &Wanted<K>) -> (Written<K>, Vec<Edit>) {
        let mut edits = Vec::new();
        let mut destinations = BTreeMap::new();
        for (key, targets) in &wanted.destinations {
            let before = match old.destinations.remove(key) {
                Some(same) if same.targets == *targets => {
                    destinations.insert(*key, same);
                    continue;
                }
                Some(before) => Some(before.slots),
                None => None,
            };
            let slots = fill(before.as_deref().unwrap_or_default(), targets);
            let elements = (self.elements)(key, &slots);
            let before = before.map(|slots| (self.elements)(key, &slots));
            difference(before.unwrap_or_default(), elements, &mut edits);
            destinations.insert(*key, Destination { targets: targets.clone(), slots });
        }
        for (key, gone) in &old.destinations {
            difference((self.elements)(key, &gone.slots), Elements::new(), &mut edits);
        }
        difference(old.others, wanted.others.clone(), &mut edits);
        (Written { destinations, others: wanted.others.clone() }, edits)
    }

    fn all_elements(&self, written: &Written<K>) -> Elements {
        let destinations = written.destinations.iter();
        let mut elements: Elements =
            destinations.flat_map(|(key, each)| (self.elements)(key, &each.slots)).collect();
        elements.extend(written.others.clone());
        elements
    }

    /// The destinations as they were written; `None`: not known.
    pub(super) fn destinations(&self) -> Option<&BTreeMap<K, Destination>> {
        self.written.as_ref().map(|written| &written.destinations)
    }

    /// Whether the kernel still holds what was written. If nobody changed any rule in the namespace
    /// this is one short question, else all elements are compared.
    pub(super) fn is_intact(&mut self) -> Result<Intact, BalancingError> {
        if self.written.is_some() && self.table.is_untouched()? {
            return Ok(Intact::Yes);
        }
        self.compare()
    }

    /// Compares all elements.
    pub(super) fn compare(&mut self) -> Result<Intact, BalancingError> {
        let Some(written) = self.written.take() else { return Ok(Intact::No) };
        let intact = self.table.compare(self.all_elements(&written))?;
        if intact == Intact::Yes {
            self.written = Some(written);
        }
        Ok(intact)
    }

    /// The table itself, for what belongs to one balancer only.
    pub(super) fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Removes the table.
    pub(super) fn remove(&mut self) -> Result<(), BalancingError> {
        self.written = None;
        self.table.remove()
    }
}

fn misled<K: Ord + Copy>(
    old: &BTreeMap<K, Destination>,
    new: &BTreeMap<K, Vec<Target>>,
) -> BTreeSet<K> {
    let lost = old.iter().filter(|(key, old)| is_misled(old, new.get(*key).map(Vec::as_slice)));
    lost.map(|(key, _)| *key).collect()
}

/// Did a task leave the destination, or did the destination go? No flow has been led by one that is
/// new.
fn is_misled(old: &Destination, new: Option<&[Target]>) -> bool {
    new.is_none_or(|new| old.targets.iter().any(|target| !new.contains(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u8) -> Target {
        (IpAddr::from([10, 1, 0, number]), 0)
    }

    #[test]
    fn flows_are_misled_by_what_goes_and_by_nothing_that_comes() {
        let old = || Destination { targets: vec![task(1), task(2)], slots: Vec::new() };
        let held = BTreeMap::from([(1, old())]);
        let after = |tasks: &[(u8, &[Target])]| -> BTreeMap<u8, Vec<Target>> {
            tasks.iter().map(|(key, tasks)| (*key, tasks.to_vec())).collect()
        };
        let both = [task(1), task(2)];
        assert!(misled(&held, &after(&[(1, &both)])).is_empty());
        assert!(
            misled(&held, &after(&[(1, &both), (2, &[task(3)])])).is_empty(),
            "a destination came"
        );
        assert!(
            misled(&held, &after(&[(1, &[task(1), task(2), task(3)])])).is_empty(),
            "a task came"
        );
        assert!(!misled(&held, &after(&[(1, &[task(2), task(3)])])).is_empty(), "a task went");
        assert!(!misled(&held, &after(&[(2, &both)])).is_empty(), "the destination went");
    }
}
