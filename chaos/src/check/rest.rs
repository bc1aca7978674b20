//! I10: with faults frozen every part of the fleet comes to rest: no writes, no moved tasks. Votes of
//! anchors may come later than all agree.

use std::collections::BTreeSet;

use crdt_state::Kind;

use crate::bounds::VOTE_MS;
use crate::disk::Write;
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

    /// A machine wrote records to its disk.
    pub fn wrote(&self, at: u64, machine: MachineNo, write: &Write) -> Verdict {
        let is_early = self.from.is_some_and(|from| at < from + VOTE_MS);
        let is_vote =
            write.drops.is_empty() && write.puts.iter().all(|(key, _)| key.kind == Kind::GRANTS);
        match is_early && is_vote {
            true => Ok(()),
            false => self.moved(machine, "writes"),
        }
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
    use crdt_state::RecordKey;

    use super::*;

    #[test]
    fn whatever_moves_after_rest_began_is_found() {
        let mut rest = Rest::default();
        assert_eq!(rest.moved(0, "writes"), Ok(()));
        rest.begin(100, [0].into());
        assert!(rest.moved(0, "writes").is_err());
        assert_eq!(rest.moved(1, "writes"), Ok(()));
        let wrote = |at, kinds: &[Kind]| {
            let puts =
                kinds.iter().map(|kind| (RecordKey { kind: *kind, id: [1; 16] }, Vec::new()));
            rest.wrote(at, 0, &Write { seq: 1, puts: puts.collect(), drops: Vec::new() })
        };
        assert_eq!(wrote(101, &[Kind::GRANTS]), Ok(()), "a late vote");
        assert!(wrote(101, &[Kind::GRANTS, Kind::TASK]).is_err());
        assert!(wrote(101 + VOTE_MS, &[Kind::GRANTS]).is_err(), "it never ends");
        rest.end();
        assert_eq!(rest.moved(0, "writes"), Ok(()));
    }
}
