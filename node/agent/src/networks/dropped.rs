//! Packets that our tables dropped because of where they came from.

use overlay::plan::VXLAN_PORT;
use overlay_linux::balancing::{BalancingError, NetworkBalancer, PortBalancer};

/// How many, since each table was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DroppedPackets {
    /// Packets of VXLAN that came from the address of no member.
    pub(crate) vxlan: u64,
    /// Packets of tasks and peers with the address of somebody else as their source.
    pub(crate) source: u64,
}

impl DroppedPackets {
    /// What the tables of the host and of these networks dropped. Rules that are changed meanwhile
    /// cannot be read.
    pub(super) fn count<'a>(
        host: Option<&mut PortBalancer>,
        networks: impl Iterator<Item = &'a mut NetworkBalancer>,
    ) -> Result<DroppedPackets, BalancingError> {
        let vxlan = host.map_or(Ok(0), PortBalancer::dropped_vxlan)?;
        let source = networks.map(NetworkBalancer::dropped_by_source);
        Ok(DroppedPackets { vxlan, source: source.sum::<Result<u64, _>>()? })
    }

    /// The numbers with their names among the agent's counters.
    pub(crate) fn counters(self) -> [(&'static str, u64); 2] {
        [("networks.dropped.vxlan", self.vxlan), ("networks.dropped.source", self.source)]
    }

    /// Logs what was dropped since the last call.
    pub(super) fn tell(&mut self, now: DroppedPackets) {
        if now.vxlan > self.vxlan {
            tracing::warn!(
                "networks: {} packets for our networks came from addresses of no member and were \
                 dropped; close UDP port {VXLAN_PORT} to everybody but the nodes",
                now.vxlan - self.vxlan
            );
        }
        if now.source > self.source {
            tracing::warn!(
                "networks: {} packets of tasks or other nodes had a source that is not the sender's and were \
                 dropped",
                now.source - self.source
            );
        }
        *self = now;
    }
}
