//! What a settling of addresses looks at: what changed, and what lacks an address.
//!
//! ```text
//! record, live task, withdrawal ──▶ Outdated ──▶ services and networks ──▶ settle
//! ```
//! A node of 5,000 tasks must not look at all of them because one changed, here or elsewhere. A
//! service depends on its record, its tasks and the networks it is on; a network, on the blocks of
//! all nodes there. Whatever else changes, everything is looked at.

use std::collections::BTreeSet;

use crdt_state::{Kind, NetworkId, RecordKey, ServiceId};
use overlay::blocks::Division;

use super::Addressing;
use crate::catalog::{Catalog, Touched};

/// What changed since the last settling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outdated {
    /// Anything may have changed.
    pub everything: bool,
    /// The networks on which blocks of nodes, or addresses that lie among them, changed.
    pub networks: BTreeSet<NetworkId>,
    /// The services that changed, or whose tasks or addresses did.
    pub services: BTreeSet<ServiceId>,
}

impl Outdated {
    pub(super) fn everything() -> Outdated {
        Outdated { everything: true, ..Outdated::default() }
    }
}

impl Addressing {
    /// A record was read again, which `touched` all this. On what other nodes gave, nothing here
    /// depends.
    pub fn on_record(&mut self, key: RecordKey, touched: &Touched, catalog: &Catalog) {
        let networks = &catalog.networks;
        match key.kind {
            Kind::NETWORK => self.outdated.everything = true,
            Kind::NODE | Kind::EVICTION | Kind::TUNNEL if key.id == self.me.0 => {
                self.outdated.everything = true;
            }
            Kind::NODE_NETWORKS => {
                self.outdated.networks.extend(&touched.claims);
                // Somebody knows an older word of this node.
                let is_refuted = networks.claims.get(&self.me) != Some(&self.said());
                self.outdated.everything |= key.id == self.me.0 && is_refuted;
            }
            Kind::SERVICE => {
                self.outdated.services.insert(ServiceId(key.id));
                // There, virtual addresses lie among the blocks.
                let is_undivided = |id: &&NetworkId| {
                    let ranges = networks.settled.get(*id).map(|settled| &settled.ranges);
                    ranges.into_iter().flatten().any(|range| Division::of(range).is_undivided())
                };
                self.outdated.networks.extend(touched.asked.iter().filter(is_undivided));
            }
            // Which template counts may depend on it.
            Kind::ROLLOUTS => self.outdated.services.extend(&touched.services),
            Kind::ADDRESSES if touched.givers.contains(&self.me) => {
                self.outdated.services.extend(&touched.named);
            }
            _ => {}
        }
    }

    /// Live tasks of these services began or ended.
    pub fn on_live_changed(&mut self, services: BTreeSet<ServiceId>) {
        self.outdated.services.extend(services);
    }

    /// What the next settling is to look at; `local` are the services of which this node has tasks.
    pub fn take_outdated(
        &mut self,
        catalog: &Catalog,
        local: impl Iterator<Item = ServiceId>,
    ) -> Outdated {
        let mut outdated = std::mem::take(&mut self.outdated);
        if outdated.everything {
            outdated.services.extend(local);
            outdated.services.extend(self.leases.services());
            outdated.services.extend(self.meshed.keys());
            outdated.services.extend(catalog.services.keys());
            outdated.services.extend(catalog.networks.addresses.keys());
            outdated.networks.extend(self.blocks.keys());
            outdated.networks.extend(self.own_addresses.keys());
            outdated.networks.extend(catalog.networks.settled.keys());
        }
        outdated.networks.append(&mut self.full);
        for network in &outdated.networks {
            outdated.services.extend(self.leases.services_on(*network));
        }
        outdated
    }
}

#[cfg(test)]
mod tests;
