//! What this node says of its part in networks and of the addresses of its tasks, as records.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::network::{NodeNetworks, SlotAddresses, TaskAddresses};
use crdt_state::replica::Replica;
use crdt_state::task::Slot;
use crdt_state::{NodeId, RecordKey, ServiceId};

use super::Addressing;
use crate::catalog::NetworkCatalog;

impl Addressing {
    /// What this node says of its part in networks.
    pub(super) fn said(&self) -> NodeNetworks {
        NodeNetworks {
            refusal: self.facts.refusal.clone(),
            data_address: self.facts.data_address,
            mtu: self.facts.mtu,
            routes: self.facts.routes.clone(),
            blocks: self.blocks.clone(),
        }
    }

    /// Writes what changed of this node, and of the addresses of these services. Returns whether
    /// anything did.
    pub(super) fn write(
        &self,
        services: &BTreeSet<ServiceId>,
        replica: &mut Replica,
        networks: &NetworkCatalog,
        wall_ms: u64,
    ) -> bool {
        let said = self.said();
        let mut is_changed = networks.claims.get(&self.me) != Some(&said);
        if is_changed {
            replica.put_owned(RecordKey::node_networks(self.me), &said, wall_ms);
        }
        if let Some(tunnel) = &self.tunnel
            && networks.tunnels.get(&self.me) != Some(tunnel)
        {
            replica.put_owned(RecordKey::tunnel(self.me), tunnel, wall_ms);
            is_changed = true;
        }
        let picked = &self.picked_ports;
        if networks.picked_ports.get(&self.me).map_or(!picked.is_empty(), |said| said != picked) {
            let key = RecordKey::picked_ports(self.me);
            match picked.is_empty() {
                true => replica.retire_owned(key, wall_ms),
                false => replica.put_owned(key, picked, wall_ms),
            }
            is_changed = true;
        }
        let mut slots: BTreeMap<(ServiceId, Slot), SlotAddresses> = BTreeMap::new();
        for (task, lease) in services.iter().flat_map(|service| self.leases.of(*service)) {
            let (service, slot, node) = (lease.service, lease.slot, self.me);
            let empty = SlotAddresses { service, slot, node, tasks: Vec::new() };
            let record = slots.entry((service, slot)).or_insert(empty);
            let networks =
                lease.interfaces.iter().map(|leased| (leased.network, leased.addresses.clone()));
            let networks = networks.collect();
            record.tasks.push(TaskAddresses { task, networks, withdrawn: lease.is_withdrawn });
        }
        for (key, record) in &slots {
            if own_record(networks, self.me, *key) != Some(record) {
                let key = RecordKey::addresses(self.me, key.0, key.1);
                replica.put_owned(key, record, wall_ms);
                is_changed = true;
            }
        }
        for service in services {
            let Some(records) = networks.addresses.get(service) else { continue };
            for (slot, _) in records.keys().filter(|(_, node)| *node == self.me) {
                if !slots.contains_key(&(*service, *slot)) {
                    replica.retire_owned(RecordKey::addresses(self.me, *service, *slot), wall_ms);
                    is_changed = true;
                }
            }
        }
        is_changed
    }
}

fn own_record(
    networks: &NetworkCatalog,
    me: NodeId,
    (service, slot): (ServiceId, Slot),
) -> Option<&SlotAddresses> {
    networks.addresses.get(&service)?.get(&(slot, me))
}
