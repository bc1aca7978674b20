//! Where balancing may change by a change of the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crdt_state::NetworkId;
use overlay::change::PlanChange;
use overlay::plan::{OverlayPlan, Port};

/// Where balancing may change.
#[derive(Default)]
pub(super) struct Concerned {
    /// Virtual addresses, and addresses of this node's tasks.
    pub(super) networks: BTreeMap<NetworkId, (BTreeSet<IpAddr>, BTreeSet<IpAddr>)>,
    /// Published ports.
    pub(super) ports: BTreeSet<Port>,
}

impl Concerned {
    /// By a change of this plan.
    pub(super) fn of(change: &PlanChange, before: &OverlayPlan) -> Concerned {
        let mut concerned = Concerned::default();
        concerned.ports.extend(change.ports.keys());
        for (id, address) in change.virtual_addresses.keys() {
            concerned.networks.entry(*id).or_default().0.insert(*address);
        }
        for (run, after) in &change.tasks {
            let both = before.tasks.get(run).into_iter().chain(after);
            for interface in both.flat_map(|task| &task.interfaces) {
                let (_, tasks) = concerned.networks.entry(interface.network).or_default();
                tasks.extend(&interface.addresses);
            }
        }
        concerned
    }
}
