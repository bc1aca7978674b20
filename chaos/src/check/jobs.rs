//! I19: a slot of a job that is complete does not run again in its iteration, and every job ends.

use crdt_state::ServiceId;
use crdt_state::spec::RestartCondition;
use crdt_state::task::Slot;
use node_core::plan::Placed;
use node_core::reason::Unplaced;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// A start of a job's slot, and who has completed the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStart {
    /// The machine that starts it.
    pub machine: MachineNo,
    /// The job.
    pub service: ServiceId,
    /// The slot.
    pub slot: Slot,
    /// Does the starting node know that the slot is complete?
    pub is_known: bool,
    /// A machine that completed it while both were undisturbed in one part of the fleet.
    pub in_sight: Option<MachineNo>,
}

/// May the slot start?
pub fn started(start: &JobStart) -> Verdict {
    let JobStart { machine, service, slot, is_known, in_sight } = start;
    let broken = |how: String| {
        let detail = format!("n{machine} starts {service} {slot:?}, {how}");
        Err(Violation::new(Invariant::I19Jobs, detail))
    };
    match in_sight {
        _ if *is_known => broken("and knows that it is complete".to_owned()),
        Some(other) => broken(format!("which n{other} has completed in the same part")),
        None => Ok(()),
    }
}

/// Is the slot over, in a fleet without faults? `takers`: nodes that may take a task of it.
pub fn ended(
    (service, slot): (ServiceId, Slot),
    placed: Placed,
    policy: RestartCondition,
    takers: usize,
) -> Verdict {
    let is_over = match placed {
        Placed::Nowhere(Unplaced::Complete) => true,
        Placed::Nowhere(Unplaced::Failed) => policy == RestartCondition::None,
        Placed::Nowhere(_) => takers == 0,
        Placed::On(..) => false,
    };
    if is_over {
        return Ok(());
    }
    let detail =
        format!("{service} {slot:?} has not ended: {placed:?}, {takers} nodes may take it");
    Err(Violation::new(Invariant::I19Jobs, detail))
}

#[cfg(test)]
mod tests {
    use node_core::reason::Choice;

    use super::*;

    const JOB: ServiceId = ServiceId([1; 16]);

    #[test]
    fn a_start_of_what_is_complete_is_found() {
        let slot = Slot::Number(1);
        let start = JobStart { machine: 0, service: JOB, slot, is_known: false, in_sight: None };
        assert_eq!(started(&start), Ok(()));
        assert!(started(&JobStart { is_known: true, ..start }).is_err());
        assert!(started(&JobStart { in_sight: Some(2), ..start }).is_err());
    }

    #[test]
    fn a_job_that_does_not_end_is_found() {
        let node = crdt_state::NodeId([1; 16]);
        let at = |placed, policy, takers| ended((JOB, Slot::Number(1)), placed, policy, takers);
        let (retry, none) = (RestartCondition::OnFailure, RestartCondition::None);
        assert_eq!(at(Placed::Nowhere(Unplaced::Complete), retry, 3), Ok(()));
        assert_eq!(at(Placed::Nowhere(Unplaced::Failed), none, 3), Ok(()));
        assert_eq!(at(Placed::Nowhere(Unplaced::NoNode), retry, 0), Ok(()));
        assert!(at(Placed::Nowhere(Unplaced::Failed), retry, 3).is_err());
        assert!(at(Placed::Nowhere(Unplaced::Concurrent(1)), retry, 3).is_err());
        assert!(at(Placed::On(node, Choice::Assigned), retry, 3).is_err());
    }
}
