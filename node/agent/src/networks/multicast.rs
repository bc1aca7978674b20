//! The rules of this node that copy multicast, one table for each network that asks for it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::NetworkId;
use overlay::plan::OverlayPlan;
use overlay_linux::balancing::{BalancingError, Intact, Multicast};
use overlay_linux::links::Links;

/// The networks whose multicast is copied.
#[derive(Default)]
pub(super) struct MulticastNetworks {
    networks: BTreeMap<NetworkId, Multicast>,
}

impl MulticastNetworks {
    /// Makes the kernel copy between the links that there are now. Returns what could not be done.
    pub(super) fn apply(&mut self, plan: &OverlayPlan, links: &Links) -> Vec<String> {
        let is_wanted = |id: &NetworkId| plan.networks.get(id).is_some_and(|n| n.multicast);
        self.networks.retain(|id, _| is_wanted(id));
        let mut failed = Vec::new();
        for (id, network) in plan.networks.iter().filter(|(_, network)| network.multicast) {
            if let Err(error) = self.apply_network(*id, links) {
                self.networks.remove(id);
                failed.push(format!("multicast of network {}: {error}", network.name));
            }
        }
        failed
    }

    fn apply_network(&mut self, id: NetworkId, links: &Links) -> Result<(), BalancingError> {
        let Some(namespace) = links.namespace(id) else { return Ok(()) };
        let multicast = match self.networks.entry(id) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => free.insert(Multicast::open(namespace)?),
        };
        multicast.apply(&links.devices(id))
    }

    /// The networks whose rules somebody removed: they have to be applied.
    pub(super) fn lost(&mut self) -> BTreeSet<NetworkId> {
        let is_lost = |held: &mut Multicast| !matches!(held.is_intact(), Ok(Intact::Yes));
        let lost = self.networks.iter_mut().filter_map(|(id, held)| is_lost(held).then_some(*id));
        lost.collect()
    }
}
