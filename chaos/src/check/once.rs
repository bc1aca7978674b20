//! I6: a slot of an at-most-one service never runs on two machines, whatever the fleet believes.
//!
//! Judged from outside, over all machines at once: also those that are cut off, stand still, or
//! whose agent is dead.

use crdt_state::ServiceId;
use crdt_state::task::Slot;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Does it run once at most? `machines`: one entry for every run.
pub fn at_most_one(at: u64, (id, slot): (ServiceId, Slot), machines: &[MachineNo]) -> Verdict {
    if machines.len() <= 1 {
        return Ok(());
    }
    let detail = format!("at {at} ms {id} {slot:?} runs on the machines {machines:?}");
    Err(Violation::new(Invariant::I6AtMostOne, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_one_slot_are_one_too_many_wherever_they_are() {
        let slot = (ServiceId([1; 16]), Slot::Number(1));
        assert_eq!(at_most_one(1, slot, &[]), Ok(()));
        assert_eq!(at_most_one(1, slot, &[4]), Ok(()));
        assert!(at_most_one(1, slot, &[4, 2]).is_err());
        assert!(at_most_one(1, slot, &[4, 4]).is_err());
    }
}
