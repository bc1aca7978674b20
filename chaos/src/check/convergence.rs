//! I1: machines that had enough time hold the same state and the same plan.
//!
//! This is checked for the whole fleet after the heal, and during the harm for every part of it
//! that was undisturbed for long enough.

use std::fmt::Display;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// The state and the plan that one machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<D> {
    /// Which machine.
    pub machine: MachineNo,
    /// The digest of its state.
    pub digest: D,
    /// The owner of every slot of every service, hashed.
    pub placement: u64,
}

/// Are all standings the same?
pub fn agree<D: PartialEq + Display>(standings: &[Standing<D>]) -> Verdict {
    let Some(first) = standings.first() else { return Ok(()) };
    for other in &standings[1..] {
        let what = if other.digest != first.digest {
            format!(
                "state: n{} has {}, n{} has {}",
                first.machine, first.digest, other.machine, other.digest
            )
        } else if other.placement != first.placement {
            format!("placement: n{} and n{}, of equal states", first.machine, other.machine)
        } else {
            continue;
        };
        return Err(Violation::new(Invariant::I1Convergence, format!("they differ in {what}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(machine: MachineNo, digest: u64, placement: u64) -> Standing<u64> {
        Standing { machine, digest, placement }
    }

    #[test]
    fn machines_of_one_mind_agree() {
        assert_eq!(agree(&[standing(0, 5, 7), standing(1, 5, 7)]), Ok(()));
    }

    #[test]
    fn another_state_or_another_placement_is_found() {
        assert!(agree(&[standing(0, 5, 7), standing(1, 6, 7)]).is_err());
        assert!(agree(&[standing(0, 5, 7), standing(1, 5, 8)]).is_err());
    }
}
