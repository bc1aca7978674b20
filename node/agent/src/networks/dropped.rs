//! Packets that our tables dropped because of where they came from.

/// How many, since each table was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Packets of VXLAN that came from the address of no member.
    pub(crate) vxlan: u64,
    /// Packets of tasks and peers with the address of somebody else as their source.
    pub(crate) strangers: u64,
}

impl Dropped {
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
