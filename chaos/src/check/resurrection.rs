//! I3: what is removed and known to all never returns; and no machine that knew of a removal
//! forgets it, unless it loses its disk.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Who knows of which removal.
#[derive(Debug, Default)]
pub struct Removals {
    machines: BTreeSet<MachineNo>,
    known: BTreeMap<ServiceId, BTreeSet<MachineNo>>,
    stable: BTreeSet<ServiceId>,
}

impl Removals {
    /// A machine that is a member from now on.
    pub fn joined(&mut self, machine: MachineNo) {
        self.machines.insert(machine);
    }

    /// A machine has it on disk that a service is removed.
    pub fn saw_removed(&mut self, machine: MachineNo, service: ServiceId) {
        let known = self.known.entry(service).or_default();
        known.insert(machine);
        if self.machines.is_subset(known) {
            self.stable.insert(service);
        }
    }

    /// Did every member know of the removal at some time?
    pub fn is_stable(&self, service: ServiceId) -> bool {
        self.stable.contains(&service)
    }

    /// A machine lost its disk, and everything it knew.
    pub fn lost_disk(&mut self, machine: MachineNo) {
        self.known.values_mut().for_each(|known| {
            known.remove(&machine);
        });
    }

    /// A machine holds a service to be wanted.
    pub fn saw_living(&self, machine: MachineNo, service: ServiceId) -> Verdict {
        let forgotten = self.known.get(&service).is_some_and(|known| known.contains(&machine));
        let how = match (self.stable.contains(&service), forgotten) {
            (false, false) => return Ok(()),
            (true, _) => "after every member knew that it was removed",
            (false, true) => "after it knew that it was removed",
        };
        let detail = format!("n{machine} takes service {service} for living {how}");
        Err(Violation::new(Invariant::I3Resurrection, detail))
    }

    /// A machine starts a task of a service.
    pub fn started(&self, machine: MachineNo, service: ServiceId) -> Verdict {
        if !self.stable.contains(&service) {
            return Ok(());
        }
        let detail = format!("n{machine} starts a task of {service}, removed and known to all");
        Err(Violation::new(Invariant::I3Resurrection, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: ServiceId = ServiceId([7; 16]);

    fn fleet() -> Removals {
        let mut removals = Removals::default();
        (0..2).for_each(|machine| removals.joined(machine));
        removals
    }

    #[test]
    fn a_removal_that_only_one_knows_may_be_news_to_the_other() {
        let mut removals = fleet();
        removals.saw_removed(0, WEB);
        assert_eq!(removals.saw_living(1, WEB), Ok(()));
        assert_eq!(removals.started(1, WEB), Ok(()));
        assert!(removals.saw_living(0, WEB).is_err());
    }

    #[test]
    fn what_all_knew_to_be_removed_must_not_return_even_to_a_lost_disk() {
        let mut removals = fleet();
        removals.saw_removed(0, WEB);
        removals.saw_removed(1, WEB);
        removals.lost_disk(1);
        assert!(removals.saw_living(1, WEB).is_err());
        assert!(removals.started(1, WEB).is_err());
    }
}
