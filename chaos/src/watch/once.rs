//! The runs of services that run at most once: feeds I6, and gives the reasons of their stops to I7.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::task::{Slot, TaskStart};

use super::Watch;
use crate::check::kept::Justified;
use crate::check::once;
use crate::machine::Machine;
use crate::network::MachineNo;
use crate::programs::RunFacts;
use crate::sim_node::SimNode;
use crate::sometimes::Event;

/// The services that run at most once.
#[derive(Debug, Default)]
pub(super) struct OnceFacts {
    services: BTreeSet<ServiceId>,
    /// The last machine of each slot that ran.
    last: BTreeMap<(ServiceId, Slot), MachineNo>,
}

impl Watch {
    /// A node starts a run: is its service one of them?
    pub(super) fn note_once(&mut self, no: MachineNo, start: &TaskStart, machines: &[Machine]) {
        let agent = machines[no].agent.as_ref();
        let service = agent.and_then(|agent| agent.node.service(start.service));
        if service.is_some_and(|service| service.partition.is_at_most_one()) {
            self.once.services.insert(start.service);
            let last = self.once.last.insert((start.service, start.slot), no);
            let moved = last.is_some_and(|last| last != no);
            self.sometimes.saw_times(Event::LeaseMoved, u64::from(moved));
        }
    }

    /// No slot of them runs twice at this time.
    pub(super) fn judge_once(&mut self, at: u64, machines: &[Machine]) {
        if self.once.services.is_empty() {
            return;
        }
        let mut running: BTreeMap<(ServiceId, Slot), Vec<MachineNo>> = BTreeMap::new();
        for machine in machines {
            for (_, facts) in machine.programs.running_at(at) {
                if self.once.services.contains(&facts.service) {
                    running.entry((facts.service, facts.slot)).or_default().push(machine.no);
                }
            }
        }
        for (slot, machines) in running {
            self.report(once::at_most_one(at, slot, &machines));
        }
    }
}

/// A run of such a service may be stopped for want of leases: I6 and the plan decide when, not the
/// copies of others. `None`: it is of no such service.
pub(super) fn justify(facts: RunFacts, node: &SimNode) -> Option<Justified> {
    let service = node.service(facts.service)?;
    service.partition.is_at_most_one().then_some(Justified::ByOperator)
}
