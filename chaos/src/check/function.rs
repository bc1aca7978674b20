//! I4: equal digests and equal member views give equal plans, on every machine, at any time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// All plans of a run, by the inputs of the plan.
#[derive(Debug)]
pub struct Plans<D> {
    made: BTreeMap<(D, u64), (u64, MachineNo, u64)>,
}

impl<D> Default for Plans<D> {
    fn default() -> Self {
        Plans { made: BTreeMap::new() }
    }
}

impl<D: Ord> Plans<D> {
    /// At time `at` a machine made this plan from this state digest and this hash of its member
    /// view.
    pub fn made(&mut self, at: u64, machine: MachineNo, from: (D, u64), plan: u64) -> Verdict {
        match self.made.entry(from) {
            Entry::Vacant(entry) => {
                entry.insert((plan, machine, at));
                Ok(())
            }
            Entry::Occupied(entry) if entry.get().0 == plan => Ok(()),
            Entry::Occupied(entry) => {
                let (_, other, then) = entry.get();
                let detail = format!(
                    "n{machine} plans otherwise than n{other} did at {then} ms, of equal state and members"
                );
                Err(Violation::new(Invariant::I4Function, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_plan_of_the_same_state_and_members_is_found() {
        let mut plans = Plans::default();
        assert_eq!(plans.made(1, 0, (5, 1), 100), Ok(()));
        assert_eq!(plans.made(2, 1, (5, 1), 100), Ok(()));
        assert_eq!(plans.made(3, 1, (5, 2), 101), Ok(()));
        assert_eq!(plans.made(4, 1, (6, 1), 102), Ok(()));
        assert!(plans.made(5, 2, (5, 1), 103).is_err());
    }
}
