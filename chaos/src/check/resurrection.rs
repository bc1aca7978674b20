//! I3: a service whose removal all members know never returns; and no machine that knew of a
//! removal forgets it, unless it loses its disk. An operator who saw a removal may undo it.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::{ServiceId, Stamp};

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Which machines know of which removal.
#[derive(Debug, Default)]
pub struct Removals {
    machines: BTreeSet<MachineNo>,
    known: BTreeMap<Removal, BTreeSet<MachineNo>>,
    stable: BTreeSet<Removal>,
    /// For each removal the earlier removals that it confirms.
    confirms: BTreeMap<Removal, Vec<Removal>>,
    taken_back: BTreeSet<Removal>,
    /// Services that a restored store brought back: a machine that does not know of a removal may
    /// treat them as living until it learns of it.
    rolled_back: BTreeSet<ServiceId>,
}

/// A service, and the write that removed it.
type Removal = (ServiceId, Stamp);

impl Removals {
    /// A machine that is a member from now on.
    pub fn joined(&mut self, machine: MachineNo) {
        self.machines.insert(machine);
    }

    /// A removal by somebody who knew of the removals in `before`.
    pub fn confirmed(&mut self, service: ServiceId, removal: Stamp, before: &[Stamp]) {
        let before = before.iter().map(|stamp| (service, *stamp)).collect();
        self.confirms.insert((service, removal), before);
    }

    /// An operator who knew of these removals brought the service back.
    pub fn taken_back(&mut self, service: ServiceId, removals: &[Stamp]) {
        let mut next: Vec<Removal> = removals.iter().map(|stamp| (service, *stamp)).collect();
        while let Some(removal) = next.pop() {
            if self.taken_back.insert(removal) {
                next.extend(self.confirms.get(&removal).into_iter().flatten());
            }
        }
    }

    /// A machine has a removal of a service on disk. Returns whether all members know it now.
    pub fn saw_removed(&mut self, machine: MachineNo, service: ServiceId, removal: Stamp) -> bool {
        let known = self.known.entry((service, removal)).or_default();
        known.insert(machine);
        self.machines.is_subset(known) && self.stable.insert((service, removal))
    }

    /// A machine lost its disk, and with it everything it knew.
    pub fn lost_disk(&mut self, machine: MachineNo) {
        self.known.values_mut().for_each(|known| {
            known.remove(&machine);
        });
    }

    /// A machine has an older store, which holds these services, each with these removals.
    pub fn restored(&mut self, machine: MachineNo, held: &[(ServiceId, Vec<Stamp>)]) {
        self.lost_disk(machine);
        for (service, removals) in held {
            for removal in removals {
                self.known.entry((*service, *removal)).or_default().insert(machine);
            }
            // One that was undone since does not count: the machine may hear of that before it hears
            // of the removal that came later.
            if !removals.iter().any(|stamp| self.is_in_force((*service, *stamp), *service)) {
                self.rolled_back.insert(*service);
            }
        }
    }

    /// A machine treats a service as living.
    pub fn saw_living(&self, machine: MachineNo, service: ServiceId) -> Verdict {
        let is_stable = self.is_stable(service) && !self.may_not_know(machine, service);
        let how = match (is_stable, self.knows(machine, service)) {
            (false, false) => return Ok(()),
            (true, _) => "after every member knew that it was removed",
            (false, true) => "after it knew that it was removed",
        };
        let detail = format!("n{machine} takes service {service} for living {how}");
        Err(Violation::new(Invariant::I3Resurrection, detail))
    }

    /// A machine starts a task of a service.
    pub fn started(&self, machine: MachineNo, service: ServiceId) -> Verdict {
        if !self.is_stable(service) || self.may_not_know(machine, service) {
            return Ok(());
        }
        let detail = format!("n{machine} starts a task of {service}, removed and known to all");
        Err(Violation::new(Invariant::I3Resurrection, detail))
    }

    fn knows(&self, machine: MachineNo, service: ServiceId) -> bool {
        let mut known =
            self.known.iter().filter(|(removal, _)| self.is_in_force(**removal, service));
        known.any(|(_, machines)| machines.contains(&machine))
    }

    /// Could the machine have the service from a restored store, without the removal?
    fn may_not_know(&self, machine: MachineNo, service: ServiceId) -> bool {
        self.rolled_back.contains(&service) && !self.knows(machine, service)
    }

    /// Did every member know at some time of a removal that nobody undid?
    fn is_stable(&self, service: ServiceId) -> bool {
        self.stable.iter().any(|removal| self.is_in_force(*removal, service))
    }

    fn is_in_force(&self, removal: Removal, service: ServiceId) -> bool {
        removal.0 == service && !self.taken_back.contains(&removal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::{NodeId, StoreId, Writer};

    const WEB: ServiceId = ServiceId([7; 16]);

    fn fleet() -> Removals {
        let mut removals = Removals::default();
        (0..2).for_each(|machine| removals.joined(machine));
        removals
    }

    fn stamp(lamport: u64) -> Stamp {
        Stamp { lamport, writer: Writer { node: NodeId([1; 16]), store: StoreId(1) } }
    }

    #[test]
    fn a_removal_that_only_one_knows_may_be_news_to_the_other() {
        let mut removals = fleet();
        removals.saw_removed(0, WEB, stamp(1));
        assert_eq!(removals.saw_living(1, WEB), Ok(()));
        assert_eq!(removals.started(1, WEB), Ok(()));
        assert!(removals.saw_living(0, WEB).is_err());
    }

    #[test]
    fn what_all_knew_to_be_removed_must_not_return_even_to_a_lost_disk() {
        let mut removals = fleet();
        assert!(!removals.saw_removed(0, WEB, stamp(1)));
        assert!(removals.saw_removed(1, WEB, stamp(1)));
        removals.lost_disk(1);
        assert!(removals.saw_living(1, WEB).is_err());
        assert!(removals.started(1, WEB).is_err());
    }

    #[test]
    fn what_an_operator_brought_back_may_return_until_it_is_removed_again() {
        let mut removals = fleet();
        removals.confirmed(WEB, stamp(2), &[stamp(1)]);
        for removal in [stamp(1), stamp(2)] {
            removals.saw_removed(0, WEB, removal);
            removals.saw_removed(1, WEB, removal);
        }
        removals.taken_back(WEB, &[stamp(2)]);
        assert_eq!((removals.saw_living(1, WEB), removals.started(1, WEB)), (Ok(()), Ok(())));
        removals.saw_removed(0, WEB, stamp(5));
        assert!(removals.saw_living(0, WEB).is_err());
    }

    #[test]
    fn a_machine_with_an_older_store_may_start_what_was_removed_since_until_it_hears() {
        let mut removals = fleet();
        (0..2).for_each(|machine| {
            removals.saw_removed(machine, WEB, stamp(5));
        });
        removals.restored(0, &[(WEB, Vec::new())]);
        assert_eq!(removals.saw_living(0, WEB), Ok(()));
        assert_eq!(removals.started(0, WEB), Ok(()));
        assert_eq!(removals.saw_living(2, WEB), Ok(()), "it came later, and has it from there");
        assert!(removals.saw_living(1, WEB).is_err());
        removals.saw_removed(0, WEB, stamp(5));
        assert!(removals.started(0, WEB).is_err());
    }

    #[test]
    fn an_older_store_may_hold_a_removal_that_was_undone_since_and_lack_the_later_one() {
        let mut removals = fleet();
        let all_know = |removals: &mut Removals, removal| {
            (0..2).for_each(|machine| {
                removals.saw_removed(machine, WEB, removal);
            });
        };
        all_know(&mut removals, stamp(1));
        removals.taken_back(WEB, &[stamp(1)]);
        all_know(&mut removals, stamp(5));
        let mut with_the_later = fleet();
        all_know(&mut with_the_later, stamp(5));
        removals.restored(0, &[(WEB, vec![stamp(1)])]);
        assert_eq!(removals.saw_living(0, WEB), Ok(()), "it hears first that one was undone");
        with_the_later.restored(0, &[(WEB, vec![stamp(5)])]);
        assert!(with_the_later.saw_living(0, WEB).is_err());
    }
}
