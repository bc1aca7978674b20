//! I8: no two live tasks share an address. I9: names resolve to what runs.
//!
//! Judged by the programs that really run in an undisturbed part. On two sides of a cut one block
//! may be claimed twice: nobody there can reach the other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::task::Run;
use crdt_state::{NetworkId, ServiceId};

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// The address of a task that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it runs.
    pub machine: MachineNo,
    /// On which network.
    pub network: NetworkId,
    /// Which run.
    pub run: Run,
    /// Of which service.
    pub service: ServiceId,
    /// The address.
    pub address: IpAddr,
    /// Does its node report it as running?
    pub is_steady: bool,
}

/// What a node answers for the name of all tasks of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub name: String,
    /// The addresses in the answer.
    pub answered: Vec<IpAddr>,
    /// The tasks of the service that run in the part.
    pub runs: Vec<Held>,
}

/// Does every address have one holder?
pub fn distinct(held: &[Held]) -> Verdict {
    let mut holders: BTreeMap<(NetworkId, IpAddr), &Held> = BTreeMap::new();
    for one in held {
        if let Some(other) = holders.insert((one.network, one.address), one) {
            let detail = format!(
                "{} is the address of {:?} on {} and of {:?} on {}",
                one.address, other.run, other.machine, one.run, one.machine
            );
            return Err(Violation::new(Invariant::I8Addresses, detail));
        }
    }
    Ok(())
}

/// Does every answer name tasks that run, and leave out none?
pub fn resolved(lookups: &[Lookup]) -> Verdict {
    for Lookup { name, answered, runs } in lookups {
        let stale = answered.iter().find(|ip| !runs.iter().any(|run| run.address == **ip));
        if let Some(stale) = stale {
            let detail = format!("{name} leads to {stale}, where nothing of it runs: {runs:?}");
            return Err(Violation::new(Invariant::I9Names, detail));
        }
        let missing = runs.iter().find(|run| run.is_steady && !answered.contains(&run.address));
        if let Some(missing) = missing {
            let detail = format!("{name} leads to {answered:?}, and not to {missing:?}");
            return Err(Violation::new(Invariant::I9Names, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crdt_state::TaskId;

    use super::*;

    fn held(machine: MachineNo, address: &str) -> Held {
        Held {
            machine,
            network: NetworkId([1; 16]),
            run: Run { task: TaskId([machine as u8; 16]), attempt: 1 },
            service: ServiceId([1; 16]),
            address: address.parse().expect("an address"),
            is_steady: true,
        }
    }

    fn lookup(answered: &[&str], runs: Vec<Held>) -> Lookup {
        let answered = answered.iter().map(|text| text.parse().expect("an address")).collect();
        Lookup { name: "tasks.web".to_owned(), answered, runs }
    }

    #[test]
    fn an_address_with_two_holders_is_broken() {
        assert_eq!(distinct(&[held(0, "10.0.0.2"), held(1, "10.0.0.3")]), Ok(()));
        assert!(distinct(&[held(0, "10.0.0.2"), held(1, "10.0.0.2")]).is_err());
    }

    #[test]
    fn an_answer_names_exactly_what_runs() {
        let runs = || vec![held(0, "10.0.0.2"), held(1, "10.0.0.3")];
        assert_eq!(resolved(&[lookup(&["10.0.0.2", "10.0.0.3"], runs())]), Ok(()));
        assert!(resolved(&[lookup(&["10.0.0.2"], runs())]).is_err());
        assert!(resolved(&[lookup(&["10.0.0.2", "10.0.0.3", "10.0.0.4"], runs())]).is_err());
        let mut stopping = runs();
        stopping[1].is_steady = false;
        assert_eq!(resolved(&[lookup(&["10.0.0.2"], stopping)]), Ok(()));
    }
}
