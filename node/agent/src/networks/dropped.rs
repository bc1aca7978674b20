//! Packets that our tables dropped because of where they came from.

use std::collections::BTreeMap;

use crdt_state::NetworkId;
use overlay_linux::balancing::{NetworkBalancer, PortBalancer};

/// How many, since each table was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Packets of VXLAN that came from the address of no member.
    pub(crate) vxlan: u64,
    /// Packets of tasks and peers with the address of somebody else as their source.
    pub(crate) strangers: u64,
}

impl Dropped {
    /// What the tables of the host and of these networks dropped.
    pub(super) fn count(
        host: Option<&mut PortBalancer>,
        networks: &mut BTreeMap<NetworkId, NetworkBalancer>,
    ) -> Dropped {
        let vxlan = host.map_or(0, |host| host.dropped_vxlan().unwrap_or_default());
        let networks = networks.values_mut();
        let strangers = networks.map(|network| network.dropped_strangers().unwrap_or_default());
        Dropped { vxlan, strangers: strangers.sum() }
    }

    /// The numbers with their names among the agent's counters.
    pub(crate) fn counters(self) -> [(&'static str, u64); 2] {
        [("networks.dropped.vxlan", self.vxlan), ("networks.dropped.source", self.strangers)]
    }

    /// Logs what was dropped since the last call.
    pub(super) fn tell(&mut self, now: Dropped) {
        if now.vxlan > self.vxlan {
            tracing::warn!(
                "networks: {} packets for our networks came from addresses of no member and were \
                 dropped; close UDP port 4789 to everybody but the nodes",
                now.vxlan - self.vxlan
            );
        }
        if now.strangers > self.strangers {
            tracing::warn!(
                "networks: {} packets of tasks had a source that is not the task's and were dropped",
                now.strangers - self.strangers
            );
        }
        *self = now;
    }
}
