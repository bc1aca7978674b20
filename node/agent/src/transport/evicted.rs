//! The nodes that operators removed from the fleet: no connection with them is made or kept.

use std::collections::BTreeSet;
use std::sync::RwLock;

use crdt_state::NodeId;

/// The nodes, as the node knows them.
#[derive(Default)]
pub(super) struct Evicted(RwLock<BTreeSet<NodeId>>);

impl Evicted {
    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.0.read().expect("nothing panics while it holds this").contains(&node)
    }

    /// Replaces all of them. Returns those that are new.
    pub(super) fn set(&self, nodes: BTreeSet<NodeId>) -> Vec<NodeId> {
        let held = self.0.read().expect("nothing panics while it holds this").clone();
        if held == nodes {
            return Vec::new();
        }
        let new = nodes.difference(&held).copied().collect();
        *self.0.write().expect("nothing panics while it holds this") = nodes;
        new
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::transport::tests::{Peer, peer_with_timeout};
    use crate::transport::{Arrival, DialFailure};

    fn peer(seed: u8) -> Peer {
        peer_with_timeout(seed, 1, "127.0.0.1:0", Duration::from_secs(5))
    }

    #[tokio::test]
    async fn a_removed_node_loses_its_connection_and_gets_no_other() {
        let (mut member, mut removed) = (peer(1), peer(2));
        removed.transport.connect(member.addr());
        let (node, addr) = (removed.node, removed.addr());
        assert_eq!(member.next().await, Arrival::Connected { node, addr });
        assert!(matches!(removed.next().await, Arrival::Connected { .. }));

        member.transport.set_evicted([removed.node].into());
        removed.transport.send_message(member.node, member.addr(), vec![7; 9]);
        // The node is told of the attempt, and of nothing that came with it.
        assert_eq!(member.next().await, Arrival::Connected { node, addr });
        assert_eq!(removed.next().await, Arrival::Undelivered { to: member.node });
        removed.transport.connect(member.addr());
        let (addr, why) = (member.addr(), DialFailure::Evicted);
        assert_eq!(removed.next().await, Arrival::NotConnected { addr, why });
        member.transport.connect(removed.addr());
        let (addr, why) = (removed.addr(), DialFailure::EvictedPeer);
        loop {
            match member.next().await {
                Arrival::Connected { .. } => {}
                other => break assert_eq!(other, Arrival::NotConnected { addr, why }),
            }
        }
    }
}
