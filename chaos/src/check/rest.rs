//! I10: with faults frozen every part of the fleet comes to rest: no writes, no moved tasks.

use std::collections::BTreeSet;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Checks that some machines stay unchanged after a given time.
#[derive(Debug, Default)]
pub struct Rest {
    from: Option<u64>,
    machines: BTreeSet<MachineNo>,
}

impl Rest {
    /// From now on nothing may change on these machines.
    pub fn begin(&mut self, at: u64, machines: BTreeSet<MachineNo>) {
        self.from = Some(at);
        self.machines = machines;
    }

    /// Changes are allowed again.
    pub fn end(&mut self) {
        self.from = None;
    }

    /// The time since when nothing may change.
    pub fn since(&self) -> Option<u64> {
        self.from
    }

    /// A machine wrote to its disk, started or stopped something, or changed its plan.
    pub fn moved(&self, machine: MachineNo, what: &str) -> Verdict {
        match self.from.filter(|_| self.machines.contains(&machine)) {
            None => Ok(()),
            Some(from) => Err(Violation::new(
                Invariant::I10Rest,
                format!("n{machine} {what}, though there is rest since {from} ms"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_moves_after_rest_began_is_found() {
        let mut rest = Rest::default();
        assert_eq!(rest.moved(0, "writes"), Ok(()));
        rest.begin(100, [0].into());
        assert!(rest.moved(0, "writes").is_err());
        assert_eq!(rest.moved(1, "writes"), Ok(()));
        rest.end();
        assert_eq!(rest.moved(0, "writes"), Ok(()));
    }
}
